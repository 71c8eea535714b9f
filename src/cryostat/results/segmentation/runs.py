"""Finished runs that segment nuclei by themselves, side by side."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryostat.core.errors import InputError, SettingError
from cryostat.core.identity import digest
from cryostat.results.export import WRITERS, cell_text, spread, write_text
from cryostat.results.records import BrokenRun, RunRecord
from cryostat.results.segmentation.report import METRICS, SegmentationScores, together
from cryostat.results.tables import LABELS, summarise

CLASS_PQ = "pq "
"""Prefix of the per-class columns."""

Found = tuple[RunRecord, SegmentationScores]

_NAMED = (*LABELS, "variant", "folds", "complete", "seeds")
_METRICS = tuple(column for metric in METRICS for column in (metric.name, f"{metric.name}_sd"))
_COLUMNS = (*_NAMED, "match", "fields", *_METRICS, "runs", "superseded")


def summarise_segmentation(records: Iterable[RunRecord]) -> tuple[pd.DataFrame, tuple[BrokenRun, ...]]:
    """Lay the segmentation scores of runs side by side, under the rows that `tables.summarise` makes of them.

    Folds of one seed are pooled field by field and scored once; means and standard deviations (n − 1) are over seeds.
    Runs that were scored by different match radii or thresholds stand in different rows.

    Args:
        records: Runs, with their folders; those without segmentation scores are passed over.

    Returns:
        A frame with the columns of `tables.LABELS`, then `variant`, `folds`, `complete`, `seeds`, `match`, `fields`,
        each metric and its `…_sd`, `runs` (ids), `superseded` and `pq <class>` for each class, undefined values as NaN;
        best mPQ+ first within a dataset, split, protocol, fraction and match radius. And the runs that could not be
        read.
    """
    found, broken = _read(records)
    by_settings: dict[str, list[Found]] = {}
    for record, scores in found:
        by_settings.setdefault(digest(asdict(scores.settings)), []).append((record, scores))
    rows: list[dict[str, Any]] = []
    for group in by_settings.values():
        frame, unreadable = summarise(record for record, _ in group)
        broken += unreadable
        for row in frame.to_dict("records"):
            chosen = [(record, scores) for record, scores in group if record.run_id in row["runs"]]
            try:
                rows.append(_row(row, chosen))
            except SettingError as error:
                broken += [_broken(record, error) for record, _ in chosen]
    return _frame(rows), tuple(broken)


def _read(records: Iterable[RunRecord]) -> tuple[list[Found], list[BrokenRun]]:
    found, broken = [], []
    for record in records:
        try:
            scores = record.segmentation()
        except InputError as error:
            broken.append(_broken(record, error))
            continue
        if scores is not None:
            found.append((record, scores))
    return found, broken


def _broken(record: RunRecord, error: InputError | SettingError) -> BrokenRun:
    name = Path(error.where).name if error.where else ""
    return BrokenRun(record.folder or Path(record.run_id), f"{name} {error.problem}".strip())


def _row(labels: dict[Any, Any], found: Sequence[Found]) -> dict[str, Any]:
    by_seed: dict[str, list[SegmentationScores]] = {}
    for record, scores in found:
        by_seed.setdefault(digest(record.settings.get("seed")), []).append(scores)
    trials = [together(folds) for folds in by_seed.values()]
    values = [trial.metrics() for trial in trials]
    row = {name: labels[name] for name in (*_NAMED, "runs", "superseded")}
    row |= {"match": trials[0].settings.about, "fields": trials[0].fields}
    for metric in METRICS:
        row[metric.name], row[f"{metric.name}_sd"] = _mean_sd([value[metric.name] for value in values])
    for i, first in enumerate(trials[0].per_class):
        row[CLASS_PQ + first.name], _ = _mean_sd([trial.per_class[i].pq for trial in trials])
    return row


def _mean_sd(values: Sequence[float | None]) -> tuple[float, float]:
    """NaN where any seed has none, as in the main table."""
    numbers = np.array([np.nan if value is None else value for value in values])
    return float(numbers.mean()), float(numbers.std(ddof=1)) if len(numbers) > 1 else float("nan")


def _frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame(columns=_COLUMNS)
    frame = pd.DataFrame(rows)
    frame = frame[[*_COLUMNS, *(name for name in frame.columns if name.startswith(CLASS_PQ))]]
    ordered = frame.assign(**{name: frame[name].map(str) for name in ("dataset", "split", "protocol")}).sort_values(
        ["dataset", "split", "protocol", "fraction", "match", "complete", "mpq_plus"],
        ascending=[True, True, True, False, True, False, False],
        kind="stable",
    )
    return ordered.reset_index(drop=True)


def write_segmentation_markdown(path: Path, frame: pd.DataFrame) -> None:
    """The table as Markdown: each metric as mean ± sd over seeds."""
    named = [*LABELS, "variant", "folds", "seeds", "match", "fields"]
    lines = [[*named, *(metric.label for metric in METRICS)], ["---"] * len(named) + ["---:"] * len(METRICS)]
    for row in frame.to_dict("records"):
        figures = [spread(row[metric.name], row[f"{metric.name}_sd"]) for metric in METRICS]
        lines.append([*(cell_text(row[name]) for name in named), *figures])
    write_text(path, "".join(f"| {' | '.join(line)} |\n" for line in lines))


SEGMENTATION_WRITERS = {**WRITERS, "markdown": write_segmentation_markdown}
"""Form to its writer."""
