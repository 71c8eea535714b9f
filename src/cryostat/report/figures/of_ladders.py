"""Robustness figures of finished runs: which ladders stand beside each other, and the table that is drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from cryostat.core.files import safe_name
from cryostat.report.figures.ladders import ladder_figure, ladder_frame
from cryostat.report.figures.study import Drawing
from cryostat.results.ladder_files import has_ladder, read_ladder
from cryostat.results.ladders import LadderRow, ladder_rows, with_equal_steps
from cryostat.results.records import CELLS, BrokenRun, RunRecord
from cryostat.results.tables import row_digest

BLOCK = ("dataset", "split", "protocol", "fraction")
"""What rows share whose ladders are compared."""

MOST = 6
"""Models in one figure."""

Blocks = list[list[LadderRow]]


def ladder_blocks(records: Iterable[RunRecord]) -> tuple[Blocks, tuple[BrokenRun, ...]]:
    """The curves of all runs that have climbed, in groups that compare; and what could not be read.

    Where no perturbation is finished on all folds and seeds of a group, the group shows the folds that are.

    Args:
        records: Runs, with their folders; those without a ladder may be among them.
    """
    runs = [record for record in records if record.benchmark == CELLS]
    climbed = {row_digest(record) for record in runs if has_ladder(record)}
    own = {record.run_id: record for record in runs if row_digest(record) in climbed}
    rows, broken = ladder_rows(own.values()) if own else ([], ())
    found = []
    for block in _in_blocks(rows):
        if not any(row.curves for row in block):
            block, more = ladder_rows(_furthest([own[run] for row in block for run in row.facts["runs"]]))
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


def ladder_drawings(records: Iterable[RunRecord]) -> tuple[list[Drawing], tuple[BrokenRun, ...]]:
    """A figure a dataset, split, protocol and share of the training fields with ladders."""
    blocks, broken = ladder_blocks(records)
    return [Drawing(f"{_file_name(block[0])}-robustness", partial(draw_ladders, block)) for block in blocks], broken


def _file_name(row: LadderRow) -> str:
    share = row.facts["fraction"]
    parts = [str(row.facts[name]) for name in BLOCK[:-1]] + ([f"{100 * share:g}pc"] if share and share < 1 else [])
    return safe_name("-".join(parts))


def draw_ladders(block: Sequence[LadderRow]) -> Any:
    """The figure of a group of rows; of many, those that are best untouched."""
    best = sorted((row for row in block if row.curves), key=lambda row: -float(row.facts["macro_f1"]))
    shown = best[:MOST]
    frame, note = ladder_frame(shown)
    which = f" The {MOST} of {len(best)} models that are best untouched." if len(best) > MOST else ""
    return ladder_figure(frame, title=f"{where(shown[0])}: robustness", note=note + which)


def where(row: LadderRow) -> str:
    """Dataset and split of a row, and what it lacks of them."""
    facts = row.facts
    lacking = "" if facts["complete"] else f" ({str(facts['folds']).replace('/', ' of ')} folds)"
    share = f", {100 * facts['fraction']:g} % of training" if facts["fraction"] and facts["fraction"] < 1 else ""
    return f"{facts['dataset']}, {facts['split']}{lacking}{share}"
