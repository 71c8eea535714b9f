"""The table of finished runs with intervals and ranks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from cryostat.core.errors import InputError
from cryostat.core.progress import track
from cryostat.results.comparison import CellComparison, kept_comparison
from cryostat.results.evidence import Evidence, evidence
from cryostat.results.intervals import CellIntervals, kept_intervals
from cryostat.results.ranking import rank
from cryostat.results.records import BrokenRun, RunRecord
from cryostat.results.tables import summarise

BLOCK = ("dataset", "split", "protocol", "fraction")
"""What rows must share to be ranked together."""

CLASS_LOW, CLASS_HIGH = "f1_low ", "f1_high "
"""Prefixes of the columns with the ends of the classes' intervals."""


@dataclass(eq=False)
class Row:
    """One row of the table, with what its columns come from.

    Attributes:
        facts: The row as `tables.summarise` makes it.
        record: The run in whose folder its figures are kept.
        evidence: What its runs found.
        intervals: Their scores with intervals.
        rank: Place among the rows of its block; None where it is not ranked.
        p_best: p-value against the best row of the block, after Holm's correction.
        to_best: Comparison with the best row of the block, which comes first.
    """

    facts: Mapping[str, Any]
    record: RunRecord
    evidence: Evidence
    intervals: CellIntervals
    rank: int | None = None
    p_best: float = math.nan
    to_best: CellComparison | None = field(default=None, repr=False)


def leaderboard(records: Iterable[RunRecord]) -> tuple[pd.DataFrame, tuple[BrokenRun, ...]]:
    """`tables.summarise` with 95 % intervals from resampled patients (else fields), and ranks.

    Intervals and comparisons are kept in the folders of the runs.

    Args:
        records: Runs, with their folders; those of other benchmarks than `cells` are passed over.

    Returns:
        The frame of `summarise` with the further columns `macro_f1_low`, `macro_f1_high`, `macro_f1_common` (without
        rare classes; NaN where there are none), `accuracy_low`, `accuracy_high`, `clusters`, `cluster` (what one is),
        `effective_clusters`, `design_effect`, `rare` (class to why it is marked), `doubtful` (classes
        whose intervals are likely too narrow, with their effective number of clusters), `rank` (None for rows that
        lack folds or were tested on other nuclei), `p_best`, `detectable` (smallest difference from the best that would
        be found four times out of five), and `f1_low <class>`, `f1_high <class>`. And the runs that could not be read.
    """
    by_id = {record.run_id: record for record in records}
    frame, broken = summarise(by_id.values())
    rows, unreadable = measured_rows(frame, by_id)
    for block in in_blocks(rows.values()):
        rank_rows(block)
    columns = {i: _columns(row) for i, row in rows.items()}
    added = pd.DataFrame.from_dict(columns, orient="index").reindex(frame.index)
    # Written out, as pandas makes floats of numbers that stand beside None.
    ranks = pd.Series([rows[i].rank if i in rows else None for i in frame.index], frame.index, dtype=object)
    return pd.concat([frame, added.assign(rank=ranks)], axis=1), (*broken, *unreadable)


def measured_rows(frame: pd.DataFrame, records: Mapping[str, RunRecord]) -> tuple[dict[int, Row], list[BrokenRun]]:
    """The rows of `tables.summarise`, by number, with their evidence and intervals; and what cannot be read.

    Args:
        frame: The table.
        records: Run id to record.
    """
    rows, broken = {}, []
    for i, facts in enumerate(track(frame.to_dict("records"), "intervals")):
        runs = [records[run_id] for run_id in facts["runs"]]
        try:
            found = evidence(runs)
            rows[i] = Row({str(k): v for k, v in facts.items()}, runs[0], found, kept_intervals(found, runs[0]))
        except InputError as error:
            broken.append(BrokenRun(runs[0].folder or Path(runs[0].run_id), error.problem))
    return rows, broken


def rank_rows(rows: Sequence[Row]) -> None:
    """Rank rows of one block by macro F1: those without all folds, or on other nuclei than most, get no rank."""
    chosen = on_same_nuclei(rows)
    if len(chosen) < 2:
        return
    found: dict[tuple[int, int], CellComparison] = {}

    def p_value(first: int, second: int) -> float:
        one, two = chosen[first], chosen[second]
        found[first, second] = kept_comparison(one.evidence, two.evidence, two.record)
        return found[first, second].macro_f1.p_value

    places = rank([row.intervals.macro_f1.value for row in chosen], p_value)
    best = next(i for i, place in enumerate(places) if place.rank == 1 and place.leader == i)
    for i, (row, place) in enumerate(zip(chosen, places, strict=True)):
        row.rank, row.p_best, row.to_best = place.rank, place.adjusted, found.get((best, i))


def in_blocks(rows: Iterable[Row]) -> list[list[Row]]:
    """The rows of each dataset, split, protocol and fraction, in their order."""
    blocks: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        blocks.setdefault(tuple(str(row.facts[name]) for name in BLOCK), []).append(row)
    return list(blocks.values())


def on_same_nuclei(rows: Iterable[Row]) -> list[Row]:
    """The rows with all folds that can be paired: of several sets of nuclei, the set that most were tested on."""
    alike: dict[str, list[Row]] = {}
    for row in rows:
        if row.facts["complete"]:
            alike.setdefault(row.evidence.nuclei, []).append(row)
    return max(alike.values(), key=len, default=[])


def _columns(row: Row) -> dict[str, Any]:
    found = row.intervals
    rare = {c.name: c.rare for c in found.rare}
    return {
        "macro_f1_low": found.macro_f1.low,
        "macro_f1_high": found.macro_f1.high,
        "macro_f1_common": found.macro_f1_common.value if rare else math.nan,
        "accuracy_low": found.accuracy.low,
        "accuracy_high": found.accuracy.high,
        "clusters": found.clusters,
        "cluster": found.kind,
        "effective_clusters": found.effective_clusters,
        "design_effect": found.design_effect,
        "rare": ", ".join(f"{name} ({why})" for name, why in rare.items()),
        "doubtful": ", ".join(f"{c.name} ({c.effective:.0f})" for c in found.classes if c.doubtful),
        "rank": row.rank,
        "p_best": row.p_best,
        "detectable": row.to_best.macro_f1.detectable if row.to_best else math.nan,
        **{CLASS_LOW + c.name: c.f1.low for c in found.classes},
        **{CLASS_HIGH + c.name: c.f1.high for c in found.classes},
    }
