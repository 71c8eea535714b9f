"""Replication of CoRe-BT: the rows of its tables on a cohort of one's own, under the protocol `paper`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryostat.cases.cohort import Cohort, load_cohort
from cryostat.cases.methods.core_bt import CoreBT
from cryostat.cases.runs.spec import CaseSpec
from cryostat.cases.runs.study import CaseOutcome, run_case_specs
from cryostat.core.errors import SettingError
from cryostat.core.home import Home
from cryostat.core.identity import differences
from cryostat.results.cases.scores import CaseScores
from cryostat.results.cases.subsets import subset_name
from cryostat.results.published import PublishedRow, PublishedTable, published_benchmark
from cryostat.results.records import RunRecord

BENCHMARK = "core-bt"
"""The published benchmark."""

PROTOCOL = "paper"
"""The rules whose runs are compared."""

MRI, PATHOLOGY = "mri", "pathology"
"""The modalities of the published experiments; reports are in none of them."""

USUAL_NAMES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        MRI: ("mri", "mr", "radiology"),
        PATHOLOGY: ("wsi", "pathology", "histology", "histo", "slides"),
        "lgg-hgg": ("lgg_hgg", "lgg-hgg"),
        "level1": ("level1", "tumour_type", "tumor_type", "corebt4_top"),
        "who-grade": ("who_grade", "who-grade", "who_grade_234", "who_grade_low34", "grade"),
    }
)
"""What modalities and tasks of the paper are called in cohorts, in the order in which they are looked for."""

METRICS = ("balanced_accuracy", "macro_precision", "macro_f1")
"""What the published tables hold; what they call accuracy and recall is the first."""

EXPERTS, FUSION = "experts", "fusion"
"""The two runs of a task: stage 1 alone, and the whole."""

SETTINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType({EXPERTS: {"steps": 0}, FUSION: {}})
"""What each run changes of the settings that the protocol gives `core-bt`: with no step of training, only experts."""


@dataclass(frozen=True)
class Configuration:
    """How a row of the tables is repeated.

    Attributes:
        run: `experts` or `fusion`.
        ablation: What withholding a modality means.
        offered: What is not withheld.
    """

    run: str
    ablation: str
    offered: tuple[str, ...]


CONFIGURATIONS: Mapping[str, Configuration] = MappingProxyType(
    {
        "MRI only": Configuration(EXPERTS, "full", (MRI,)),
        "Pathology only": Configuration(EXPERTS, "full", (PATHOLOGY,)),
        "Fusion": Configuration(FUSION, "phi_only", (MRI, PATHOLOGY)),
        "Fusion (MRI ablated)": Configuration(FUSION, "phi_only", (PATHOLOGY,)),
        "Fusion (Pathology ablated)": Configuration(FUSION, "phi_only", (MRI,)),
        "Fusion (Both ablated)": Configuration(FUSION, "phi_only", ()),
    }
)
"""Rows of the tables by their printed names."""


@dataclass(frozen=True)
class Figure:
    """One metric of a row; what is missing is None.

    Attributes:
        paper: As printed.
        value: Ours.
        low: Lower end of the 95 % interval from resampled test patients.
        high: Upper end.
    """

    paper: float | None
    value: float | None = None
    low: float | None = None
    high: float | None = None

    @property
    def within(self) -> bool | None:
        """Whether the published figure lies in our interval; None where either is missing."""
        if self.paper is None or self.low is None or self.high is None:
            return None
        return self.low <= self.paper <= self.high


@dataclass(frozen=True)
class ReplicatedCase:
    """A published row and ours.

    Attributes:
        published: As printed.
        figures: By name of the metric.
        withheld: Balanced accuracy where an ablated modality is gone for the experts too; None where none is ablated.
    """

    published: PublishedRow
    figures: Mapping[str, Figure]
    withheld: float | None = None


@dataclass(frozen=True)
class ReplicatedTask:
    """A published table and ours.

    Attributes:
        published: As printed.
        task: Name of the cohort's task; empty where it has none.
        classes: Its classes, in order.
        supports: Test patients of each class.
        rows: Its rows.
        runs: Names of our runs.
        quirks: The rules and settings of the fusion that differ from `standard` and from the method's own.
        reason: Why there is nothing of ours; empty where there is.
        remedy: What to do about it.
    """

    published: PublishedTable
    task: str
    classes: tuple[str, ...]
    supports: tuple[int, ...]
    rows: tuple[ReplicatedCase, ...]
    runs: tuple[str, ...] = ()
    quirks: tuple[str, ...] = ()
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class CaseChoice:
    """What of a cohort stands for what of the paper, and how often.

    Attributes:
        names: Modality (`mri`, `pathology`) or published table (`level1` …) to the cohort's name of it; others are
            looked for under `USUAL_NAMES`.
        repeats: Other draws of the test patients; the paper has one.
        seeds: Seeds of the method.
    """

    names: Mapping[str, str] = field(default_factory=dict)
    repeats: int | None = None
    seeds: tuple[int, ...] = (0,)

    def __post_init__(self) -> None:
        if strangers := sorted(set(self.names) - set(USUAL_NAMES)):
            raise SettingError(
                f"the paper has no modality or table {strangers[0]!r}",
                remedy=f"Choose of: {', '.join(USUAL_NAMES)}",
            )


def replicate_cases(
    manifest: Path, home: Home, choice: CaseChoice | None = None, *, device: str = "auto"
) -> tuple[ReplicatedTask, ...]:
    """Run the protocol `paper` on a cohort, and put the published rows beside what comes of it.

    Args:
        manifest: The cohort's manifest.
        home: Where embeddings and runs live; finished runs are found again.
        choice: What of the cohort stands for what of the paper.
        device: Where encoders run.

    Raises:
        CryostatError: The cohort cannot be read, or lacks MRI or pathology.
    """
    wanted, cohort = choice or CaseChoice(), load_cohort(manifest)
    names = {what: _modality(cohort, what, wanted) for what in (MRI, PATHOLOGY)}
    tables = [table for table in published_benchmark(BENCHMARK).tables if table.task]
    tasks = {table.name: _named(table.name, cohort.tasks, wanted) for table in tables}
    specs = {
        (table.name, run): _spec(manifest.resolve(), task, run, cohort, names, wanted)
        for table in tables
        if (task := tasks[table.name])
        for run in SETTINGS
    }
    done = run_case_specs(list(specs.values()), home, device=device, study=f"replicate-{BENCHMARK}-{cohort.name}")
    outcomes = dict(zip(specs, done, strict=True))
    return tuple(_task(table, tasks[table.name], cohort, names, outcomes) for table in tables)


def quirks_of(record: RunRecord) -> tuple[str, ...]:
    """In what a run differs: its rules from `standard`, its settings from the method's own, as `name: run / usual`."""
    usual = {name: setting.default for name, setting in CoreBT.settings.items()}
    settings = record.settings["method_settings"]
    return (*record.settings["quirks"], *(f"{CoreBT.name}.{line}" for line in differences(settings, usual)))


def _modality(cohort: Cohort, what: str, choice: CaseChoice) -> str:
    found = _named(what, cohort.modalities, choice)
    if not found:
        raise SettingError(
            f"cohort {cohort.name} has nothing that is called like {what}",
            where=cohort.path,
            remedy=f"Name it of {', '.join(cohort.modalities)} with: --as {what}=NAME",
        )
    return found


def _named(what: str, known: Collection[str], choice: CaseChoice) -> str:
    """What stands for a modality or task of the paper; empty where nothing does."""
    if what not in choice.names:
        return next((name for name in USUAL_NAMES[what] if name in known), "")
    if choice.names[what] not in known:
        raise SettingError(
            f"{what}={choice.names[what]} names what the cohort does not have", remedy=f"Choose of: {', '.join(known)}"
        )
    return choice.names[what]


def _spec(
    manifest: Path, task: str, run: str, cohort: Cohort, names: Mapping[str, str], choice: CaseChoice
) -> CaseSpec:
    return CaseSpec(
        manifest,
        task,
        CoreBT.name,
        _ordered(names.values(), cohort),
        protocol=PROTOCOL,
        repeats=choice.repeats,
        seeds=choice.seeds,
        settings=SETTINGS[run],
    )


def _ordered(names: Collection[str], cohort: Cohort) -> tuple[str, ...]:
    """Modalities in the order of the cohort."""
    return tuple(name for name in cohort.modalities if name in names)


def _task(
    table: PublishedTable,
    task: str,
    cohort: Cohort,
    names: Mapping[str, str],
    outcomes: Mapping[tuple[str, str], CaseOutcome],
) -> ReplicatedTask:
    if not task:
        reason = f"cohort {cohort.name} has no task that is called like {table.name}"
        return _without(table, task, reason, f"Name one of {', '.join(cohort.tasks)} with: --as {table.name}=NAME")
    found = {run: outcomes[table.name, run] for run in SETTINGS}
    records = {run: outcome.record for run, outcome in found.items() if outcome.record}
    if len(records) < len(found):
        reason = next(outcome.reason for outcome in found.values() if outcome.record is None)
        return _without(table, task, reason.rstrip("."), "Mend it and run this again; finished runs are found")
    scores = {run: record.case_scores() for run, record in records.items()}
    everything = _ordered(names.values(), cohort)
    complete = scores[FUSION].of(ablation="full", population=subset_name(everything))
    return ReplicatedTask(
        table,
        task,
        scores[FUSION].classes,
        complete.supports,
        tuple(_row(row, scores, names, cohort) for row in table.rows),
        tuple(record.run_id for record in records.values()),
        quirks_of(records[FUSION]),
    )


def _without(table: PublishedTable, task: str, reason: str, remedy: str) -> ReplicatedTask:
    rows = tuple(ReplicatedCase(row, {name: Figure(row.metrics.get(name)) for name in METRICS}) for row in table.rows)
    return ReplicatedTask(table, task, (), (), rows, reason=reason, remedy=remedy)


def _row(
    row: PublishedRow, scores: Mapping[str, CaseScores], names: Mapping[str, str], cohort: Cohort
) -> ReplicatedCase:
    """A row on the test patients that have both modalities, as in the paper."""
    how = CONFIGURATIONS[row.config]
    offered = subset_name(_ordered([names[what] for what in how.offered], cohort))
    population = subset_name(_ordered(names.values(), cohort))
    arm = scores[how.run].of(offered, ablation=how.ablation, population=population)
    ablated = how.run == FUSION and len(how.offered) < len(names)
    gone = scores[how.run].of(offered, ablation="full", population=population) if ablated else None
    figures = {
        name: Figure(row.metrics.get(name), (found := arm.metrics[name]).value, found.low, found.high)
        for name in METRICS
    }
    return ReplicatedCase(row, figures, gone.metrics[METRICS[0]].value if gone else None)
