"""The plan of a study of cases: its fits, the evidence that is there, times, and what stands in the way."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.cohort import Cohort, load_cohort
from cryostat.cases.cohort.availability import Availability, availability
from cryostat.cases.evaluation.offers import plan_arms
from cryostat.cases.evaluation.selection import open_settings
from cryostat.cases.evaluation.splits import Split, plan_splits
from cryostat.cases.labels import Targets, targets
from cryostat.cases.methods.base import Method
from cryostat.cases.methods.registry import method
from cryostat.cases.planning.modalities import ModalityPlan, plan_modality, presence
from cryostat.cases.planning.rates import Rate, candidates, fits_of, rate_of_runs, rate_of_trial
from cryostat.cases.protocols import CaseProtocol
from cryostat.cases.runs.bench import BEST
from cryostat.cases.runs.settings import resolved_settings
from cryostat.cases.runs.spec import CaseSpec, CaseStudy
from cryostat.cases.simulated import load_simulated
from cryostat.core.errors import CryostatError, InputError, SettingError
from cryostat.core.home import Home
from cryostat.results.records import CASES, RunRecord, find_runs
from cryostat.runs.obstacles import Obstacle

ROW_BYTES = 10
"""Bytes of one prediction in a run's folder, as measured on finished runs."""


@dataclass(frozen=True)
class CaseRow:
    """One run of a study.

    Attributes:
        cohort: Name of its cohort; of one that cannot be read, of its manifest.
        task: The task.
        modalities: Those that are used.
        method: The method.
        done: Whether it is finished already, about: told by its settings.
        patients: With one certain class, so that they can be tested.
        splits: Splits.
        fits: Fits of all splits and seeds, those that choose settings among them.
        predictions: Rows that it will write: tested patients × subsets × ablations × seeds.
        seconds: About how long it takes; None where that is not known.
        basis: What that rests on.
        obstacles: What keeps it from starting.
    """

    cohort: str
    task: str
    modalities: tuple[str, ...]
    method: str
    done: bool = False
    patients: int = 0
    splits: int = 0
    fits: int = 0
    predictions: int = 0
    seconds: float | None = None
    basis: str = ""
    obstacles: tuple[Obstacle, ...] = ()


@dataclass(frozen=True)
class CasePlan:
    """What a study of cases costs.

    Attributes:
        study: Name of the study.
        protocol: Its rules.
        modalities: Of all its cohorts.
        rows: Its runs.
        free: Bytes free where embeddings and runs go.
    """

    study: str
    protocol: str
    modalities: tuple[ModalityPlan, ...]
    rows: tuple[CaseRow, ...]
    free: int

    @property
    def seconds(self) -> float:
        """All time that is known, of encoders and of runs that are not done."""
        ahead = [row.seconds or 0.0 for row in self.rows if not row.done and not row.obstacles]
        return sum(ahead) + sum(modality.seconds or 0.0 for modality in self.modalities)

    @property
    def to_read(self) -> int:
        """Bytes of evidence, held in memory while a cohort's runs last."""
        return sum(modality.bytes for modality in self.modalities)

    @property
    def to_write(self) -> int:
        """Bytes of predictions, about."""
        return ROW_BYTES * sum(row.predictions for row in self.rows if not row.done)

    @cached_property
    def obstacles(self) -> dict[Obstacle, int]:
        """What stands in the way, with the number of unfinished runs that each keeps from starting."""
        found: dict[Obstacle, int] = {}
        for row in self.rows:
            for obstacle in row.obstacles:
                found[obstacle] = found.get(obstacle, 0) + 1
        return found


def plan_cases(study: CaseStudy, home: Home, *, limit: int | None = None, timed: bool = True) -> CasePlan:
    """Plan a study of cases; looks at files without decoding them, writes nothing.

    Args:
        study: The study.
        home: Where everything lives.
        limit: Only the first so many runs.
        timed: Time methods of which there is no finished run by a few small fits on noise.

    Raises:
        CryostatError: A manifest cannot be read.
    """
    planner = _Planner(home, timed)
    rows = tuple(planner.row(spec) for spec in study.specs()[:limit])
    protocol = str(study.base.get("protocol", "standard"))
    return CasePlan(study.name, protocol, planner.modalities(study), rows, _free(home.root))


@dataclass(frozen=True, eq=False)
class _Seen:
    """A cohort after a first look.

    Attributes:
        cohort: The cohort.
        availability: Who has what.
        plans: Its modalities by name.
    """

    cohort: Cohort
    availability: Availability
    plans: Mapping[str, ModalityPlan]


@dataclass(eq=False)
class _Planner:
    """Plans runs one after another; each cohort is looked at and each method timed once."""

    home: Home
    timed: bool
    _seen: dict[Path, _Seen] = field(default_factory=dict)
    _rates: dict[tuple[str, str], Rate | None] = field(default_factory=dict)

    @cached_property
    def _records(self) -> Sequence[RunRecord]:
        return find_runs(self.home, benchmark=CASES).records

    def seen(self, path: Path) -> _Seen:
        """A cohort after a first look."""
        if path not in self._seen:
            cohort = load_cohort(path)
            looked = availability(cohort)
            plans = {m.name: plan_modality(cohort, m, looked, self.home) for m in cohort.modalities.values()}
            self._seen[path] = _Seen(cohort, looked, plans)
        return self._seen[path]

    def modalities(self, study: CaseStudy) -> tuple[ModalityPlan, ...]:
        """The modalities that a study uses, each once."""
        found = [
            plan
            for path in study.cohorts
            for plan in self.seen(path).plans.values()
            if any(not some or plan.name in some for some in study.modalities)
        ]
        return tuple(found)

    def row(self, spec: CaseSpec) -> CaseRow:
        """Plan one run."""
        seen = self.seen(spec.cohort)
        names = tuple(name for name in seen.cohort.modalities if not spec.modalities or name in spec.modalities)
        bare = CaseRow(seen.cohort.name, spec.task, names, spec.method)
        try:
            for name in spec.modalities:
                seen.cohort.modality(name)
            return self._planned(spec, seen, names)
        except CryostatError as error:
            return _with(bare, obstacles=(Obstacle.of(error),))

    def _planned(self, spec: CaseSpec, seen: _Seen, names: tuple[str, ...]) -> CaseRow:
        rules, cohort = spec.rules(), seen.cohort
        way: Method = BEST if spec.method == BEST.name else method(spec.method)
        settings = resolved_settings(way, rules.methods.get(spec.method, {}), spec.settings)
        asked = targets(cohort.task(spec.task), cohort.table, cohort.path)
        present = presence(seen.availability, cohort, names)
        splits = _splits(rules, cohort, asked, present)
        arms = plan_arms(names, way, None, rules.evaluation.ablations)
        if way is BEST:
            _require_simulated(cohort)
        seeds = len(dict.fromkeys(spec.seeds)) if way.chance else 1
        tried = candidates(way, settings) if rules.evaluation.select else 0
        fits, learnt = (0, 0) if way is BEST else fits_of(splits, seeds, tried, rules.evaluation.inner)
        row = CaseRow(
            cohort.name,
            spec.task,
            names,
            spec.method,
            done=any(_is(record, spec, rules, cohort, names, settings) for record in self._records),
            patients=int(asked.certain.sum()),
            splits=len(splits),
            fits=fits,
            predictions=sum(len(split.test) for split in splits) * len(arms) * seeds,
            obstacles=tuple(obstacle for name in names for obstacle in seen.plans[name].obstacles),
        )
        if row.done:
            return _with(row, seconds=0.0, obstacles=())
        if row.obstacles or way is BEST:
            return row
        rate = self._rate(way, settings, rules, asked, present, splits, cohort.name)
        batches = 1 + len(open_settings(way, settings)) * rules.evaluation.select
        return _with(row, seconds=rate.seconds(batches, learnt), basis=rate.basis) if rate else row

    def _rate(
        self,
        way: Method,
        settings: Mapping[str, Any],
        rules: CaseProtocol,
        asked: Targets,
        present: NDArray[np.bool_],
        splits: Sequence[Split],
        cohort: str,
    ) -> Rate | None:
        key = (cohort, way.name)
        if key not in self._rates:
            mine = [record for record in self._records if record.settings.get("method") == way.name]
            near = [record for record in mine if record.settings.get("cohort") == cohort] or mine
            found = rate_of_runs(near, rules.evaluation.inner)
            if found is None and self.timed:
                found = rate_of_trial(way, settings, rules, asked, present, splits[0])
            self._rates[key] = found
        return self._rates[key]


def _with(row: CaseRow, **facts: Any) -> CaseRow:
    return CaseRow(**{**vars(row), **facts})


def _require_simulated(cohort: Cohort) -> None:
    try:
        load_simulated(cohort.path.parent)
    except InputError as error:
        raise SettingError(
            f"{BEST.name} is known of simulated cohorts alone, {cohort.name} is none: {error.where} {error.problem}",
            remedy="Leave it out, or make such a cohort with: cryostat cases simulate -o DIR",
        ) from error


def _splits(rules: CaseProtocol, cohort: Cohort, asked: Targets, present: NDArray[np.bool_]) -> tuple[Split, ...]:
    sites, column = (None if name is None else cohort.table[name].tolist() for name in (cohort.site, cohort.split))
    chosen = rules.splits
    return plan_splits(
        chosen.kind,
        asked,
        present,
        sites=sites,
        table_split=column,
        repeats=chosen.repeats,
        folds=chosen.folds,
        least_site=chosen.least_site,
        test_share=chosen.test_share,
    )


def _is(
    record: RunRecord,
    spec: CaseSpec,
    rules: CaseProtocol,
    cohort: Cohort,
    names: Sequence[str],
    settings: Mapping[str, Any],
) -> bool:
    """Whether a finished run is of these settings."""
    wanted = {
        "cohort": cohort.name,
        "task": spec.task,
        "method": spec.method,
        "method_settings": dict(settings),
        "modalities": list(names),
        "protocol": rules.name,
        "split": rules.splits.kind,
        "repeats": rules.splits.repeats,
        "folds": rules.splits.folds,
        "ablations": list(rules.evaluation.ablations),
        "seeds": list(spec.seeds),
        "shuffled": spec.shuffled,
    }
    return all(record.settings.get(name) == value for name, value in wanted.items())


def _free(folder: Path) -> int:
    """Bytes free where a folder is or will be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free
