"""Which ladders stand beside each other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cryostat.results.ladder_files import has_ladder, read_ladder
from cryostat.results.ladders import LadderRow, ladder_rows, with_equal_steps
from cryostat.results.records import CELLS, BrokenRun, RunRecord
from cryostat.results.tables import row_digest

BLOCK = ("dataset", "split", "protocol", "fraction")
"""What rows share whose ladders are compared."""

Blocks = list[list[LadderRow]]


def ladder_blocks(
    records: Iterable[RunRecord], perturbations: Sequence[str] = ()
) -> tuple[Blocks, tuple[BrokenRun, ...]]:
    """The curves of all runs that have climbed, in groups that compare; and what could not be read.

    Where no perturbation is finished on all folds and seeds of a group, the group shows the folds that are.

    Args:
        records: Runs, with their folders; those without a ladder may be among them.
        perturbations: Only these; all by default.

    Returns:
        Groups whose rows have curves or say why they have none; and the runs that could not be read.
    """
    of_cells = [record for record in records if record.benchmark == CELLS]
    climbed = {row_digest(record) for record in of_cells if has_ladder(record)}
    own = {record.run_id: record for record in of_cells if row_digest(record) in climbed}
    rows, broken = ladder_rows(own.values(), perturbations) if own else ([], ())
    found = []
    for block in _in_blocks(rows):
        if not any(row.curves for row in block):
            block, more = ladder_rows(
                _furthest([own[run] for row in block for run in row.facts["runs"]]), perturbations
            )
            broken = (*broken, *more)
        if any(row.curves for row in block):
            found.append(with_equal_steps(block))
    return found, tuple(dict.fromkeys(broken))


def _in_blocks(rows: Iterable[LadderRow]) -> Blocks:
    blocks: dict[tuple[str, ...], list[LadderRow]] = {}
    for row in rows:
        blocks.setdefault(tuple(str(row.facts[name]) for name in BLOCK), []).append(row)
    return list(blocks.values())


def _furthest(records: Sequence[RunRecord]) -> list[RunRecord]:
    """The runs of the folds, of one seed, whose ladders have the most steps."""
    steps: dict[tuple[str, str], set[tuple[str, str, int]]] = {}
    for record in records:
        if has_ladder(record) and record.folder is not None:
            reached = {(row_digest(record), *key) for key in read_ladder(record.folder).rungs}
            steps.setdefault(_part(record), set()).update(reached)
    most = max(steps, key=lambda part: len(steps[part]))
    parts = {part for part, reached in steps.items() if part[0] == most[0] and reached >= steps[most]}
    return [record for record in records if _part(record) in parts]


def _part(record: RunRecord) -> tuple[str, str]:
    return str(record.settings.get("seed")), str(record.settings.get("split"))
