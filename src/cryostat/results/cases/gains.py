"""What fusion gains: everything that a patient has against the expert of each single modality, on the same patients."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cryostat.core.errors import CryostatError
from cryostat.results.cases.comparison import PairedScore, compare
from cryostat.results.cases.listing import BLOCK
from cryostat.results.cases.panel import FULL
from cryostat.results.cases.scores import DRAWS
from cryostat.results.cases.subsets import ALL_PATIENTS, all_subsets, subset_name
from cryostat.results.comparison import holm
from cryostat.results.records import CASES, BrokenRun, RunRecord

EXPERTS = "best-expert"
"""The method whose runs fusion is held against: with one modality offered it is that modality's linear probe."""

EVERYBODY = "everybody"
"""How two runs compare on all patients, each with everything that the patient has."""

BEST = "best expert"
"""Against the expert that did best in training, of those that a patient has evidence for."""


@dataclass(frozen=True)
class Gain:
    """One comparison on the same patients.

    Attributes:
        run_id: The first run.
        method: Its method.
        against: What it is compared with: a modality, `BEST`, or the subset that both were offered.
        n: Patients.
        score: Both values of the metric, their difference, its interval and p-value.
        adjusted: The p-value after Holm's correction over the comparisons of its table.
    """

    run_id: str
    method: str
    against: str
    n: int
    score: PairedScore
    adjusted: float

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        plain = asdict(self)
        return {**plain, **plain.pop("score")}


@dataclass(frozen=True)
class GainTable:
    """Comparisons that were corrected together.

    Attributes:
        facts: Cohort, task, protocol, split and modalities.
        metric: Its name.
        gains: A row a comparison.
    """

    facts: Mapping[str, str]
    metric: str
    gains: tuple[Gain, ...]


def fusion_gains(
    records: Iterable[RunRecord], metric: str = "macro_f1", *, draws: int = DRAWS
) -> tuple[tuple[GainTable, ...], tuple[BrokenRun, ...]]:
    """Runs of fusion against the newest run of the single experts on the same splits, a table a run.

    Args:
        records: Runs, with their folders; those of other benchmarks, and those without a run of `EXPERTS` beside
            them, are passed over.
        metric: Name of a metric.
        draws: Resamples and exchanges.

    Returns:
        The tables, and what could not be compared.
    """
    tables, broken = [], []
    for runs in _blocks(records):
        experts = [record for record in runs if record.settings["method"] == EXPERTS]
        for record in (r for r in runs if r.settings["method"] != EXPERTS and experts):
            try:
                tables.append(_against_experts(record, experts[-1], metric, draws))
            except CryostatError as error:
                broken.append(BrokenRun(record.folder or Path(record.run_id), error.problem))
    return tuple(tables), tuple(broken)


def compare_two(first: RunRecord, second: RunRecord, metric: str = "macro_f1", *, draws: int = DRAWS) -> GainTable:
    """Two runs, for every subset of the modalities on the patients who have all of it, and for everybody.

    Raises:
        SettingError: A run is of another benchmark, or lacks an arm.
        InputError: The runs are of other patients, tasks or splits.
    """
    for record in (first, second):
        record.folder_of(CASES)
    pair = first.predictions(), second.predictions()
    subsets = all_subsets(first.case_scores().modalities)[1:]
    arms = [(name, name, name, name) for name in subsets]
    arms.append((EVERYBODY, subsets[-1], subsets[-1], ALL_PATIENTS))
    return _table(first, metric, arms, pair, draws)


def _blocks(records: Iterable[RunRecord]) -> list[list[RunRecord]]:
    blocks: dict[str, list[RunRecord]] = {}
    for record in sorted((r for r in records if r.benchmark == CASES), key=lambda r: r.created):
        if not record.settings.get("shuffled"):
            blocks.setdefault(str([record.settings.get(name) for name in BLOCK]), []).append(record)
    return list(blocks.values())


def _against_experts(record: RunRecord, experts: RunRecord, metric: str, draws: int) -> GainTable:
    modalities = record.case_scores().modalities
    everything = subset_name(modalities)
    arms = [(name, everything, name, name) for name in modalities]
    arms.append((BEST, everything, everything, ALL_PATIENTS))
    return _table(record, metric, arms, (record.predictions(), experts.predictions()), draws)


Arms = Sequence[tuple[str, str, str, str]]
"""What a row is called, what the first and what the second is offered, and the population."""


def _table(
    record: RunRecord, metric: str, arms: Arms, tables: tuple[pd.DataFrame, pd.DataFrame], draws: int
) -> GainTable:
    scores, settings = record.case_scores(), record.settings
    found = [
        compare(
            *tables,
            scores.classes,
            scores.modalities,
            arm_a=(FULL, one),
            arm_b=(FULL, two),
            population=population,
            ordinal=scores.ordinal,
            draws=draws,
        )
        for _, one, two, population in arms
    ]
    adjusted = holm([each.metrics[metric].p_value for each in found])
    rows = (
        Gain(record.run_id, str(settings["method"]), arm[0], each.n, each.metrics[metric], p)
        for arm, each, p in zip(arms, found, adjusted, strict=True)
    )
    facts = {name: str(settings.get(name, "")) for name in BLOCK} | {"modalities": subset_name(scores.modalities)}
    return GainTable(facts, metric, tuple(rows))
