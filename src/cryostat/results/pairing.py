"""Which rows of results compare with which, and the tables that follow."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from cryostat.core.errors import SettingError
from cryostat.core.progress import track
from cryostat.results.comparison import CellComparison, holm, kept_comparison
from cryostat.results.leaderboard import Row, in_blocks, measured_rows, on_same_nuclei
from cryostat.results.records import BrokenRun, RunRecord
from cryostat.results.shift import Shift, shift
from cryostat.results.tables import row_digest, summarise


@dataclass(frozen=True, eq=False)
class Pair:
    """Two rows of one table.

    Attributes:
        first: The row with the higher macro F1.
        second: The other.
        comparison: First less second.
        adjusted: p-value of the macro F1 after Holm's correction over the table.
    """

    first: Row
    second: Row
    comparison: CellComparison
    adjusted: float


@dataclass(frozen=True, eq=False)
class ShiftedRow:
    """One encoder and head on two splits."""

    base: Row
    shifted: Row
    shift: Shift


def comparable_rows(records: Iterable[RunRecord]) -> tuple[list[list[Row]], tuple[BrokenRun, ...]]:
    """Blocks of rows on the same nuclei, best first, two or more each; and the runs that could not be read."""
    rows, broken = _rows(records)
    blocks = [on_same_nuclei(block) for block in in_blocks(rows)]
    return [block for block in blocks if len(block) > 1], broken


def pairs(rows: Sequence[Row], *, every: bool = False) -> list[Pair]:
    """Compare the rows of one block, Holm's correction over all that are compared.

    Args:
        rows: Rows on the same nuclei, best first.
        every: Compare each with each; otherwise all with the first.
    """
    chosen = list(itertools.combinations(rows, 2)) if every else [(rows[0], row) for row in rows[1:]]
    found = [kept_comparison(one.evidence, two.evidence, two.record) for one, two in track(chosen, "comparisons")]
    adjusted = holm([comparison.macro_f1.p_value for comparison in found])
    return [Pair(one, two, c, p) for (one, two), c, p in zip(chosen, found, adjusted, strict=True)]


def shifted_rows(
    records: Iterable[RunRecord], base: str, shifted: str
) -> tuple[list[ShiftedRow], tuple[BrokenRun, ...]]:
    """What each encoder and head loses from one split to another of the same dataset.

    Args:
        records: Runs, with their folders.
        base: Split, or family of folds, in distribution.
        shifted: That of the shifted part.

    Returns:
        Rows, highest macro F1 in distribution first; and the runs that could not be read.

    Raises:
        SettingError: No encoder and head has complete runs on both.
    """
    rows, broken = _rows(records)
    complete = [row for row in rows if row.facts["complete"]]
    of_base = [row for row in complete if row.facts["split"] == base]
    found = [
        ShiftedRow(one, two, shift(one.evidence, two.evidence))
        for one in track(of_base, "shifts")
        for two in complete
        if two.facts["split"] == shifted and row_digest(one.record) == row_digest(two.record)
    ]
    if not found:
        raise SettingError(
            f"no encoder and head has complete runs on both {base!r} and {shifted!r}",
            remedy="Run them on both splits, alike in head, protocol, fraction and Cryostat's version",
        )
    return sorted(found, key=lambda row: -row.base.intervals.macro_f1.value), broken


def _rows(records: Iterable[RunRecord]) -> tuple[list[Row], tuple[BrokenRun, ...]]:
    by_id = {record.run_id: record for record in records}
    frame, broken = summarise(by_id.values())
    rows, unreadable = measured_rows(frame, by_id)
    return list(rows.values()), (*broken, *unreadable)
