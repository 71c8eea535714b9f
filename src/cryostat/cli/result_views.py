"""What `cryostat results` shows of runs: the scores of given nuclei, or those of segmentation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
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
    """

    summarise: Callable[[Iterable[RunRecord]], tuple[pd.DataFrame, tuple[BrokenRun, ...]]]
    writers: Mapping[str, Callable[[Path, pd.DataFrame], None]]
    blocks: tuple[str, ...]
    figures: Mapping[str, Callable[[Any], str]]
    by_class: str
    hint: str


BLOCKS = ("dataset", "split", "protocol", "fraction")
"""What runs must share to compare at all."""


def given_nuclei() -> View:
    """Macro F1 and accuracy."""
    from cryostat.results.export import WRITERS, spread
    from cryostat.results.tables import CLASS_F1, summarise

    figures: dict[str, Callable[[Any], str]] = {
        "seeds": lambda row: str(row["seeds"]),
        "macro F1": lambda row: spread(row["macro_f1"], row["macro_f1_sd"]),
        "accuracy": lambda row: spread(row["accuracy"], row["accuracy_sd"]),
        "cells": lambda row: f"{row['cells']:,}",
    }
    hint = "Make one with: cryostat run cells --dataset … --encoder … --head … --split …"
    return View(summarise, WRITERS, BLOCKS, figures, CLASS_F1, hint)


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
