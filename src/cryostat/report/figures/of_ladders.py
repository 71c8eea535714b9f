"""Robustness figures of finished runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any

from cryostat.core.files import safe_name
from cryostat.report.figures.ladders import ladder_figure, ladder_frame
from cryostat.report.figures.study import Drawing
from cryostat.results.ladder_blocks import BLOCK, ladder_blocks
from cryostat.results.ladders import LadderRow
from cryostat.results.records import BrokenRun, RunRecord

MOST = 6
"""Models in one figure."""


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
