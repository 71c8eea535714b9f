"""Each cell type by itself: F1 with intervals, and which types are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from cryostat.core.errors import InputError
from cryostat.core.figures import GREY, INK, STRIPE
from cryostat.report.figures.marks import beside, dodged, few_ticks, interval, rows
from cryostat.report.figures.style import (
    COLUMN,
    DOUBTFUL,
    NORMAL,
    SMALL,
    canvas,
    checked,
    grid,
    looks,
    number,
    share_axis,
    styled,
    widest,
)
from cryostat.results.evidence import RARE_CELLS, RARE_CLUSTERS

RARE = "‡"
"""Beside a class of few cells or patients: its F1 is a matter of luck."""

MARKS = (
    ("doubtful", DOUBTFUL, "Mostly held by few patients or fields: the interval is likely too narrow."),
    ("rare", RARE, f"Rare: fewer than {RARE_CELLS} cells, or cells in fewer than {RARE_CLUSTERS} patients or fields."),
)
"""Column, mark, and what it means."""

SHADES = LinearSegmentedColormap.from_list("shades", ["#ffffff", "#c6dbef", "#6baed6", "#2171b5", "#08306b"])


@styled
def classes_figure(
    frame: pd.DataFrame, *, metric: str = "F1", title: str = "", note: str = "", width: float = COLUMN
) -> Figure:
    """Scores of each class, the most frequent first.

    Args:
        frame: A row a class and series: `class`, `support` (true cells), `series`, `value`, and where known `low`,
            `high`, `clusters` (patients or fields with such a cell) and `doubtful` (the interval is likely too narrow).
        metric: What the values are.
        title: Above the figure.
        note: Below it: what the intervals are.
        width: mm.

    Raises:
        InputError: The table lacks a column, or has no row.
    """
    table = checked(frame, "classes", ("class", "support", "series", "value"), ("low", "high", "clusters", "doubtful"))
    table["doubtful"] = table["doubtful"].eq(True)
    table["rare"] = (table["support"] < RARE_CELLS) | (table["clusters"] < RARE_CLUSTERS)
    per_class = table.groupby("class", sort=False)[["support", "rare", "doubtful"]].max()
    per_class = per_class.sort_values("support", ascending=False, kind="stable")
    series = looks(table["series"])
    told = " ".join([note, *(f"{mark} {text}" for column, mark, text in MARKS if per_class[column].any())])
    names = list(per_class.index)
    labels = [f"{name} {marks}".strip() for name, marks in zip(map(str, names), _marks(per_class), strict=True)]
    each = max(4.4, 1.2 + 1.9 * len(series))
    figure = canvas(
        width, 9 + each * len(names), title=title, note=told.strip(), alt=_alt(table, names, metric), series=series
    )
    axes = figure.subplots()
    rows(axes, labels)
    for (name, look), shift in zip(series.items(), dodged(len(series)), strict=True):
        for row in table[table["series"] == name].itertuples(index=False, name=None):
            value, low, high = row[3:6]
            interval(axes, names.index(row[0]) + shift, value, low, high, look, size=3.6)
    beside(axes, [f"{int(count):,}" for count in per_class["support"]], "cells")
    grid(axes, "x")
    axes.spines["left"].set_visible(False)
    axes.set_xlim(-0.02, 1.02)
    few_ticks(axes, width - widest(labels) - 12)
    share_axis(axes)
    axes.set_xlabel(metric)
    return figure


def _marks(per_class: pd.DataFrame) -> list[str]:
    """Marks behind the name of each class."""
    return ["".join(mark for column, mark, _ in MARKS if row[column]) for _, row in per_class.iterrows()]


def _alt(table: pd.DataFrame, names: Sequence[str], metric: str) -> str:
    mean = table.groupby("class")["value"].mean()
    known = mean.dropna().sort_values(ascending=False)
    if known.empty:
        return f"{metric} of {len(names)} cell types, none of them defined."
    series = ", ".join(dict.fromkeys(map(str, table["series"])))
    return (
        f"{metric} of {len(names)} cell types for {series}. Best on average: {known.index[0]} ({known.iloc[0]:.2f}); "
        f"worst: {known.index[-1]} ({known.iloc[-1]:.2f})."
    )


@styled
def confusion_figure(
    matrix: ArrayLike,
    names: Sequence[str],
    *,
    unit: str = "cells",
    title: str = "",
    note: str = "",
    width: float = COLUMN,
) -> Figure:
    """Which classes are taken for which: each row in percent of its true cells.

    Args:
        matrix: (k, k) counts, rows by true class and columns by predicted class.
        names: The k classes.
        unit: What is counted.
        title: Above the figure.
        note: Below it.
        width: mm.

    Raises:
        InputError: The matrix is not square, is negative or empty, or has not as many rows as there are names.
    """
    counts = _square(matrix, names)
    support = counts.sum(1)
    shares = np.divide(counts, support[:, None], out=np.full(counts.shape, np.nan), where=support[:, None] > 0)
    size = NORMAL if len(names) < 9 else SMALL
    side = max(20.0, width - widest(names, size) - 16)
    tilted = widest(names, size) > side / len(names) - 1
    below = 4 + (0.75 * widest(names, size) if tilted else 3)
    figure = canvas(width, side + below + 4, title=title, note=note, alt=_confusion_alt(shares, names, unit))
    axes = figure.subplots()
    axes.set_facecolor(STRIPE)
    axes.imshow(shares, cmap=SHADES, vmin=0, vmax=1, aspect="equal")
    _write_shares(axes, shares, side / len(names))
    turned: dict[str, Any] = {"rotation": 45, "ha": "right", "rotation_mode": "anchor"} if tilted else {}
    axes.set_xticks(range(len(names)), names, size=size, **turned)
    axes.set_yticks(range(len(names)), names, size=size)
    axes.tick_params(length=0, pad=2)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    beside(axes, [f"{int(count):,}" for count in support], unit)
    return figure


def _square(matrix: ArrayLike, names: Sequence[str]) -> NDArray[np.float64]:
    counts = np.asarray(matrix, float)
    if counts.shape != (len(names), len(names)) or not counts.size or not (counts >= 0).all():
        raise InputError(
            f"has the shape {counts.shape} for {len(names)} classes, or holds what is no count",
            where="confusion matrix",
            remedy="Give it a row and a column for each class, with counts of 0 or more",
        )
    return counts


def _write_shares(axes: Axes, shares: NDArray[np.float64], cell: float) -> None:
    """Percent in each field; fields that hold less than half a percent are left empty, as are rows without cells."""
    size = min(NORMAL, max(4.5, cell * 1.75))
    for (i, j), share in np.ndenumerate(shares):
        if share >= 0.005:
            colour = "white" if share > 0.5 else INK if share > 0.03 else GREY
            axes.text(j, i, f"{100 * share:.0f}", ha="center", va="center", size=size, color=colour)
    edges = np.arange(1, len(shares)) - 0.5
    axes.hlines(edges, -0.5, len(shares) - 0.5, color="white", linewidth=0.6)
    axes.vlines(edges, -0.5, len(shares) - 0.5, color="white", linewidth=0.6)


def _confusion_alt(shares: NDArray[np.float64], names: Sequence[str], unit: str) -> str:
    found = "; ".join(f"{name} {number(100 * shares[i, i], 0)} %" for i, name in enumerate(names))
    wrong = np.nan_to_num(shares * (1 - np.eye(len(names))))
    i, j = divmod(int(wrong.argmax()), len(names))
    most = (
        f" Most common error: {100 * wrong[i, j]:.0f} % of {names[i]} predicted as {names[j]}." if wrong.any() else ""
    )
    return f"Confusion matrix. Share of true {unit} that are found: {found}.{most}"
