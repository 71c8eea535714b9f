"""What `cryostat results` shows of runs: the scores of given nuclei, or those of segmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from cryostat.results.records import BrokenRun, RunRecord


@dataclass(frozen=True)
class View:
    """A way to lay runs side by side.

    Attributes:
        summarise: Makes the table of runs, and names those that cannot be read.
        writers: Form of file to its writer.
        blocks: Columns in which the runs of one printed table agree.
        figures: Heading to what a row shows under it.
        by_class: Prefix of the per-class columns.
        hint: How to come by such runs.
        class_figure: What a row shows of a per-class column.
        caption: Lines below the table of rows that compare; told whether their classes are shown.
        published: Published rows of a table of runs, of some encoders and heads; None where nothing is published.
    """

    summarise: Callable[[Iterable[RunRecord]], tuple[pd.DataFrame, tuple[BrokenRun, ...]]]
    writers: Mapping[str, Callable[[Path, pd.DataFrame], None]]
    blocks: tuple[str, ...]
    figures: Mapping[str, Callable[[Any], str]]
    by_class: str
    hint: str
    class_figure: Callable[[Mapping[str, Any], str], str] = lambda row, column: _plain_figure(row, column)
    caption: Callable[[pd.DataFrame, bool], Sequence[str]] = lambda rows, classes: ()
    published: Callable[..., pd.DataFrame] | None = None


BLOCKS = ("dataset", "split", "protocol", "fraction")
"""What runs must share to compare at all."""


def given_nuclei() -> View:
    """Macro F1 and accuracy with intervals, and ranks."""
    from cryostat.cli.interval_texts import caption, class_with_interval, figures
    from cryostat.cli.published_texts import beside
    from cryostat.results.export import WRITERS
    from cryostat.results.leaderboard import leaderboard
    from cryostat.results.published.listing import published_cells
    from cryostat.results.tables import CLASS_F1

    hint = "Make one with: cryostat run cells --dataset … --encoder … --head … --split …"
    shown = beside(figures())
    return View(leaderboard, WRITERS, BLOCKS, shown, CLASS_F1, hint, class_with_interval, caption, published_cells)


def segmentation() -> View:
    """The metrics of segmentation, of the runs that have them."""
    from cryostat.results.segmentation import METRICS
    from cryostat.results.segmentation.runs import CLASS_PQ, SEGMENTATION_WRITERS, summarise_segmentation

    figures: dict[str, Callable[[Any], str]] = {"seeds": lambda row: str(row["seeds"])}
    for metric in METRICS:
        figures[metric.label] = partial(_mean_and_sd, metric.name)
    figures["fields"] = lambda row: f"{row['fields']:,}"
    hint = "Only runs that outline nuclei by themselves have segmentation scores."
    blocks = (*BLOCKS, "match")
    return View(summarise_segmentation, SEGMENTATION_WRITERS, blocks, figures, CLASS_PQ, hint)


def _mean_and_sd(name: str, row: Mapping[str, Any]) -> str:
    from cryostat.results.export import spread

    return spread(row[name], row[f"{name}_sd"])


def _plain_figure(row: Mapping[str, Any], column: str) -> str:
    from cryostat.results.export import spread

    return spread(row[column])
