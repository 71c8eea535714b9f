"""Leaderboards of cells from run records, published rows beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cryostat.core.errors import CryostatError, InputError
from cryostat.core.home import Home
from cryostat.report.site.data import CellBoard, CellRow, ClassResult, ShiftResult
from cryostat.report.site.facts import DatasetFacts
from cryostat.report.site.published_rows import published_cells, remarks_on_cells
from cryostat.results.leaderboard import BLOCK, Row, measured_rows, rank_rows
from cryostat.results.records import CELLS, BrokenRun, RunRecord
from cryostat.results.shift import shift
from cryostat.results.tables import summarise
from cryostat.results.uncertainty import Estimate


def measured(records: Iterable[RunRecord]) -> tuple[tuple[Row, ...], tuple[BrokenRun, ...]]:
    """Rows of all runs of cells with intervals and ranks, best first within a block; and what cannot be read."""
    by_id = {record.run_id: record for record in records if record.benchmark == CELLS}
    frame, broken = summarise(by_id.values())
    rows, unreadable = measured_rows(frame, by_id)
    blocks: dict[tuple[str, ...], list[Row]] = {}
    for row in rows.values():
        blocks.setdefault(tuple(str(row.facts[name]) for name in BLOCK), []).append(row)
    for block in blocks.values():
        rank_rows(block)
    return tuple(rows.values()), (*broken, *unreadable)


def cell_boards(rows: Sequence[Row]) -> tuple[CellBoard, ...]:
    """Leaderboards by dataset, split and protocol, with the published rows of the same test part."""
    groups: dict[tuple[str, str, str], list[CellRow]] = {}
    for row in rows:
        key = (str(row.facts["dataset"]), str(row.facts["split"]), str(row.facts["protocol"]))
        groups.setdefault(key, []).append(cell_row(row))
    return tuple(_board(key, sorted(group, key=_place)) for key, group in groups.items())


def _board(key: tuple[str, str, str], ours: Sequence[CellRow]) -> CellBoard:
    theirs = published_cells(key[0], key[1], {row.fraction for row in ours if not math.isnan(row.fraction)})
    return CellBoard(*key, (*ours, *theirs), remarks_on_cells(theirs))


def _place(row: CellRow) -> tuple[float, bool, float, float]:
    value = row.macro_f1.value
    share = math.inf if math.isnan(row.fraction) else -row.fraction
    return share, not row.complete, row.rank or math.inf, math.inf if math.isnan(value) else -value


def cell_row(row: Row) -> CellRow:
    """One row as plain values."""
    facts, found = row.facts, row.intervals
    return CellRow(
        encoder=str(facts["encoder"] or "none"),
        head=str(facts["head"]),
        mode=str(facts["mode"] or ""),
        variant=str(facts["variant"] or ""),
        fraction=float(facts["fraction"] or 1.0),
        macro_f1=found.macro_f1,
        common_f1=found.macro_f1_common if found.rare else Estimate(math.nan, math.nan, math.nan),
        accuracy=found.accuracy,
        classes=tuple(
            ClassResult(c.name, c.support, c.clusters, c.rare, c.f1, c.effective, c.doubtful) for c in found.classes
        ),
        seeds=found.seeds,
        sd=found.macro_f1_sd,
        folds=str(facts["folds"]),
        complete=bool(facts["complete"]),
        rank=row.rank,
        p_best=row.p_best,
        detectable=row.to_best.macro_f1.detectable if row.to_best else math.nan,
        cells=found.cells,
        clusters=found.clusters,
        cluster=found.kind,
        effective=found.effective_clusters,
        doubt=found.doubt if not math.isnan(found.macro_f1.low) else "",
        confusion_names=("background", *row.evidence.names.values()),
        confusion=tuple(map(tuple, row.evidence.confusions.sum((0, 1)).tolist())),
        runs=tuple(facts["runs"]),
    )


BASES = ("base", "holdout")
"""Splits that others are compared with, the first that a model was tested on."""


def shift_results(rows: Sequence[Row]) -> dict[str, tuple[ShiftResult, ...]]:
    """Dataset to its models that were tested on a base split and on another one, with all training fields."""
    models: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        facts = row.facts
        if facts["complete"] and not facts["folds"]:
            key = tuple(str(facts[name]) for name in ("dataset", "protocol", "fraction", "encoder", "head", "mode"))
            models.setdefault(key, {}).setdefault(str(facts["split"]), row)
    found: dict[str, list[ShiftResult]] = {}
    for (dataset, *_), by_split in models.items():
        base = next((name for name in BASES if name in by_split), None)
        for split in by_split if base else ():
            result = _shift(by_split, base, split) if base and split != base else None
            if result is not None:
                found.setdefault(dataset, []).append(result)
    return {name: tuple(sorted(results, key=lambda r: -r.found.macro_f1.base)) for name, results in found.items()}


def _shift(by_split: Mapping[str, Row], base: str, split: str) -> ShiftResult | None:
    first, second = by_split[base], by_split[split]
    try:
        return ShiftResult(cell_row(first).name, base, split, shift(first.evidence, second.evidence))
    except InputError:
        return None  # no class in common: nothing to compare


def dataset_facts(name: str, home: Home) -> DatasetFacts:
    """What the imported dataset says of itself; its name alone where it is not here or damaged."""
    from cryostat.cells.dataset import load_dataset
    from cryostat.cells.drawing import class_colors

    try:
        dataset = load_dataset(name, home)
        counts = dataset.cells["class_id"].value_counts()
        colors = class_colors(dataset)
        facts = dataset.facts
        classes = tuple((c.name, colors[c.id], int(counts.get(c.id, 0))) for c in dataset.classes)
        return DatasetFacts(
            name,
            title=_text(facts, "title"),
            licence=_text(facts, "licence"),
            citation=_text(facts, "citation"),
            url=_text(facts, "url"),
            fields=len(dataset.fovs),
            cells=len(dataset.cells),
            patients=int(dataset.fovs["patient_id"].nunique()),
            mpp=", ".join(f"{value:.3g}" for value in sorted(dataset.fovs["mpp"].unique())[:3]),
            classes=classes,
            notes=tuple(map(str, facts.get("notes", ()))),
        )
    except (CryostatError, KeyError):
        return DatasetFacts(name)


def _text(facts: Mapping[str, Any], key: str) -> str:
    return str(facts.get(key, ""))


def without_places(broken: Iterable[BrokenRun]) -> dict[str, str]:
    """Folder name to reason; where the folder lies is nobody's business."""
    return {Path(run.folder).name: run.reason for run in broken}
