"""Running specs: evidence in, one record a method and task out, with a row for every patient and subset."""

from __future__ import annotations

import datetime
import pkgutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import pandas as pd

from cryostat.cases import evaluation
from cryostat.cases.cohort import Cohort
from cryostat.cases.evaluation.evaluate import Evaluation, evaluate
from cryostat.cases.evaluation.preparation import Preparation
from cryostat.cases.evaluation.splits import Split, plan_splits
from cryostat.cases.evidence import Evidence
from cryostat.cases.labels import Targets
from cryostat.cases.methods import base, batched, experts
from cryostat.cases.methods.base import Method
from cryostat.cases.methods.registry import method
from cryostat.cases.protocols import CaseProtocol
from cryostat.cases.runs.best import BestPossible, Question, best_possible
from cryostat.cases.runs.material import Material, identity_of_labels
from cryostat.cases.runs.settings import resolved_settings
from cryostat.cases.runs.spec import CaseSpec
from cryostat.core.files import safe_name, write_json
from cryostat.core.home import Home
from cryostat.core.identity import code_version, digest, sha256_array
from cryostat.results.cases.predictions import write_case_predictions
from cryostat.results.cases.scores import CaseScores, score_cases
from cryostat.results.predictions import GROUP
from cryostat.results.records import CASES, PREDICTIONS, RECORD, SCORES, RunRecord
from cryostat.runs.environment import Phases, environment
from cryostat.runs.folders import drafted

BEST = BestPossible()


@dataclass(frozen=True, eq=False)
class Prepared:
    """A run that can begin: everything that determines it is known.

    Attributes:
        spec: What was asked for.
        rules: The protocol, with what the run replaces of it.
        cohort: Of whom.
        evidence: What is known of them.
        targets: What is asked.
        splits: Who is trained on and who is tested.
        method: How.
        settings: All settings of the method.
        identity: All that determines its result.
        run_id: Its name.
        folder: Where it will stand.
    """

    spec: CaseSpec
    rules: CaseProtocol
    cohort: Cohort
    evidence: Evidence
    targets: Targets
    splits: tuple[Split, ...]
    method: Method
    settings: Mapping[str, Any]
    identity: Mapping[str, Any]
    run_id: str
    folder: Path


class CaseBench:
    """Runs specs in this process; evidence is gathered once for all runs of a cohort.

    Args:
        home: Where embeddings and runs live.
        device: Where encoders run: `auto`, `cpu`, `cuda` …
    """

    def __init__(self, home: Home, *, device: str = "auto") -> None:
        self.home, self.material = home, Material(home, device)

    def run(self, spec: CaseSpec) -> RunRecord:
        """Execute one run, or find it finished.

        Raises:
            CryostatError: Whatever stands in the way, with the remedy.
        """
        phases = Phases()
        with phases.phase("evidence"):
            run = self.prepare(spec)
        if not (run.folder / RECORD).exists():
            _keep(run, _fitted(run, phases), phases)
        return RunRecord.load(run.folder)

    def prepare(self, spec: CaseSpec) -> Prepared:
        """Resolve a run's cohort, evidence, labels, splits, settings and identity."""
        rules, way = spec.rules(), BEST if spec.method == BEST.name else method(spec.method)
        cohort, evidence = self.material.cohort(spec.cohort), self.material.evidence(spec.cohort, spec.modalities)
        found = self.material.targets(spec.cohort, spec.task, shuffled=spec.shuffled)
        splits = _splits(rules, cohort, evidence, found)
        settings = resolved_settings(way, rules.methods.get(spec.method, {}), spec.settings)
        identity = {
            "benchmark": CASES,
            "cohort": cohort.identity(tasks=[found.task.name], modalities=list(evidence.modalities)),
            "evidence": {"modalities": list(evidence.modalities), **evidence.identity},
            "task": identity_of_labels(found),
            "splits": digest([[s.name, sha256_array(s.train), sha256_array(s.test)] for s in splits]),
            "method": {"name": way.name, **settings},
            "protocol": rules.rules(),
            "seeds": list(spec.seeds),
            "shuffled": spec.shuffled,
            "code": _code(type(way).__module__),
        }
        run_id = "-".join((cohort.name, found.task.name, way.name, digest(identity, 10)))
        folder = self.home.runs / safe_name(run_id)
        return Prepared(spec, rules, cohort, evidence, found, splits, way, settings, identity, run_id, folder)


def fit_cohort(
    cohort: Cohort,
    *,
    task: str,
    method: str = "core-bt",
    modalities: Sequence[str] = (),
    protocol: str = "standard",
    seeds: Sequence[int] = (0,),
    settings: Mapping[str, Any] | None = None,
    home: Home | None = None,
    **rules: Any,
) -> RunRecord:
    """Judge a method on a task of a cohort, and keep the run.

    Args:
        cohort: From `load_cohort`.
        task: Name of a task of the cohort.
        method: Name of a method.
        modalities: Names of the modalities used; empty: all.
        protocol: Name of the rules.
        seeds: Seeds of the method.
        settings: Settings of the method that differ from its defaults.
        home: Where embeddings and runs live.
        **rules: What replaces the protocol's rules: split, repeats, folds, ablations (see `CaseSpec`).
    """
    spec = CaseSpec(
        cohort.path, task, method, tuple(modalities), protocol, seeds=tuple(seeds), settings=settings or {}, **rules
    )
    return CaseBench(home or Home.find()).run(spec)


def _splits(rules: CaseProtocol, cohort: Cohort, evidence: Evidence, found: Targets) -> tuple[Split, ...]:
    sites, column = (None if name is None else cohort.table[name].tolist() for name in (cohort.site, cohort.split))
    return plan_splits(
        rules.splits.kind,
        found,
        evidence.present,
        sites=sites,
        table_split=column,
        repeats=rules.splits.repeats,
        folds=rules.splits.folds,
        least_site=rules.splits.least_site,
        test_share=rules.splits.test_share,
    )


def _fitted(run: Prepared, phases: Phases) -> Evaluation:
    asked = run.rules.evaluation
    with phases.phase("fit"):
        if run.method is BEST:
            used = tuple(run.evidence.modalities)
            folder = run.cohort.path.parent
            return best_possible(Question(folder, run.evidence.patients, used, run.targets, run.splits, asked.decision))
        return evaluate(
            run.evidence,
            run.targets,
            run.splits,
            run.method,
            choice=run.settings,
            select=asked.select,
            seeds=run.spec.seeds,
            ablations=asked.ablations,
            preparation=Preparation(**run.rules.preparation),
            decision=asked.decision,
            inner=asked.inner,
        )


def _keep(run: Prepared, found: Evaluation, phases: Phases) -> None:
    frame = _with_columns_of_cohort(found.frame.assign(run_id=run.run_id), run)
    with phases.phase("score"):
        scores = _scores(run, frame)
    record = RunRecord(
        run_id=run.run_id,
        benchmark=CASES,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        identity=run.identity,
        settings=_settings(run),
        training=found.facts,
        phases=phases.entries,
        environment=environment(),
        failures=[asdict(problem) for problem in run.evidence.problems],
    )
    with drafted(run.folder) as draft:
        write_case_predictions(draft / PREDICTIONS, frame, run.targets.task.classes, tuple(run.evidence.modalities))
        write_json(draft / SCORES, scores.to_dict())
        record.save(draft)


def _with_columns_of_cohort(frame: pd.DataFrame, run: Prepared) -> pd.DataFrame:
    """The predictions with the site and the groups of each patient."""
    table, cohort = run.cohort.table, run.cohort
    columns = {} if cohort.site is None else {"site": cohort.site}
    columns |= {f"{GROUP}{name}": name for name in cohort.groups}
    place = {patient: i for i, patient in enumerate(run.evidence.patients)}
    rows = frame["patient_id"].map(place).to_numpy()
    return frame.assign(**{name: table[column].to_numpy()[rows] for name, column in columns.items()})


def _scores(run: Prepared, frame: pd.DataFrame) -> CaseScores:
    task = run.targets.task
    tested = sorted({run.evidence.patients[i] for split in run.splits for i in split.test})
    return score_cases(frame, task.classes, tuple(run.evidence.modalities), ordinal=task.ordinal, expected=tested)


def _settings(run: Prepared) -> dict[str, Any]:
    task = run.targets.task
    return {
        "cohort": run.cohort.name,
        "manifest": str(run.spec.cohort),
        "task": task.name,
        "classes": list(task.classes),
        "ordinal": task.ordinal,
        "method": run.method.name,
        "method_settings": dict(run.settings),
        "modalities": list(run.evidence.modalities),
        "protocol": run.rules.name,
        "quirks": run.rules.quirks(),
        "split": run.rules.splits.kind,
        "repeats": run.rules.splits.repeats,
        "folds": run.rules.splits.folds,
        "ablations": list(run.rules.evaluation.ablations),
        "seeds": list(run.spec.seeds),
        "shuffled": run.spec.shuffled,
        "patients": len(run.evidence.patients),
    }


@cache
def _code(module: str) -> str:
    """Version of the code that a method and the evaluation consist of."""
    own = [import_module(module), base, batched, experts]
    return code_version(*dict.fromkeys([*own, *_modules_of(evaluation)]))


def _modules_of(package: ModuleType) -> list[ModuleType]:
    names = [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
    return [import_module(name) for name in sorted(names)]
