"""Does more help? Scores against the size of the encoder, what it was trained on, and how much a head is trained on."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator
from numpy.typing import NDArray
from scipy.stats import spearmanr

from cryostat.core.figures import GREY
from cryostat.report.figures.marks import apart, few_ticks, interval, limits
from cryostat.report.figures.style import (
    COLUMN,
    DOUBLE,
    NORMAL,
    SMALL,
    Look,
    canvas,
    checked,
    grid,
    looks,
    point,
    share_axis,
    styled,
)

PANEL = 44.0
"""Height of a panel, mm."""

MEASURES: Mapping[str, str] = {"parameters": "parameters of the encoder", "slides": "slides it was trained on"}
"""Columns of sizes, and what they are called on the axis."""

FEWEST_FOR_RANKS = 4
"""A rank correlation of fewer encoders says nothing."""


@styled
def scaling_figure(
    frame: pd.DataFrame, *, metric: str = "macro F1", title: str = "", note: str = "", width: float | None = None
) -> Figure:
    """Scores against the size of encoders and of what they were trained on, a row of panels a dataset.

    Args:
        frame: A row an encoder and dataset: `dataset`, `encoder`, `value`, and where known `low`, `high`, `parameters`,
            `slides`. A size that no encoder has is no panel; an encoder without it is left out of that panel.
        metric: What the values are.
        title: Above the figure.
        note: Below it: what the intervals and n are.
        width: mm; a column for one panel, a page for more.

    Raises:
        InputError: The table lacks a column, has no row, or no encoder has a size.
    """
    table = checked(frame, "scaling", ("dataset", "encoder", "value"), ("low", "high", *MEASURES))
    measures = [name for name in MEASURES if table[name].notna().any()]
    checked(table.dropna(subset=measures, how="all") if measures else table.iloc[:0], "scaling", ("value",))
    table[list(MEASURES)] = table[list(MEASURES)].astype(float)
    series = looks(table["encoder"])
    datasets = list(dict.fromkeys(table["dataset"]))
    wide = width or (COLUMN if len(measures) == 1 else DOUBLE)
    figure = canvas(
        wide, PANEL * len(datasets), title=title, note=note, alt=_scaling_alt(table, measures, metric), series=series
    )
    grid_of = figure.subplots(len(datasets), len(measures), sharey="row", squeeze=False)
    for line, dataset in zip(grid_of, datasets, strict=True):
        here = table[table["dataset"] == dataset]
        line[0].set_ylabel(metric if len(datasets) == 1 and title else f"{dataset}\n{metric}")
        line[0].set_ylim(*limits([here["value"], here["low"], here["high"]], margin=0.14))
        few_ticks(line[0], PANEL - 10, "y", each=8)
        share_axis(line[0], "y")
        for axes, measure in zip(line, measures, strict=True):
            _sized(axes, here.dropna(subset=[measure]), measure, series)
    return figure


def _sized(axes: Axes, table: pd.DataFrame, measure: str, series: Mapping[str, Look]) -> None:
    axes.set_xscale("log")
    for row, size in zip(table.itertuples(), _side_by_side(table[measure]), strict=True):
        interval(axes, size, row.value, row.low, row.high, series[row.encoder], upright=True)
    if len(table):
        axes.set_xlim(table[measure].min() / 1.6, table[measure].max() * 1.6)
    _log_ticks(axes)
    grid(axes, "both")
    axes.set_xlabel(MEASURES[measure])
    axes.set_title(_correlation(table, measure), size=SMALL, color=GREY, loc="right", pad=2)


def _side_by_side(sizes: pd.Series) -> NDArray[np.float64]:
    """Sizes of one architecture are nearly the same: drawn side by side, so that each is seen."""
    logs = np.log(sizes.to_numpy(float))
    return np.exp(apart(logs, max(0.04, float(np.ptp(logs)) / 30)))


def _correlation(table: pd.DataFrame, measure: str) -> str:
    if len(table) < FEWEST_FOR_RANKS or table[measure].nunique() < 2 or table["value"].nunique() < 2:
        return f"{len(table)} encoders" if len(table) != 1 else "1 encoder"
    rho = float(spearmanr(table[measure], table["value"])[0])
    return f"rank correlation {rho:+.2f}, {len(table)} encoders".replace("-", "−")


def _log_ticks(axes: Axes) -> None:
    """A few round numbers, written as people write them."""
    low, high = axes.get_xlim()
    steps: tuple[int, ...] = (1, 3) if high / low < 300 else (1,)
    steps = (1, 2, 5) if high / low < 12 else steps
    ticks = [m * 10.0**e for e in range(-3, 13) for m in steps if low <= m * 10.0**e <= high]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: amount(value)))


def amount(value: float) -> str:
    """`22 M`, `1.1 G`, `300 k`."""
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g} {letter}"
    return f"{value:.3g}"


def _scaling_alt(table: pd.DataFrame, measures: list[str], metric: str) -> str:
    parts = [
        f"{dataset}, {MEASURES[measure]}: {_correlation(here.dropna(subset=[measure]), measure)}"
        for dataset, here in table.groupby("dataset", sort=False)
        for measure in measures
    ]
    return f"{metric} against the size of encoders. " + "; ".join(parts) + "."


@styled
def efficiency_figure(
    frame: pd.DataFrame, *, metric: str = "macro F1", title: str = "", note: str = "", width: float | None = None
) -> Figure:
    """Scores against the share of the training fields that were used, a panel a dataset.

    Args:
        frame: A row a model and share: `dataset`, `series`, `fraction` (above 0, up to 1), `value`, and where known
            `low`, `high`.
        metric: What the values are.
        title: Above the figure.
        note: Below it: what the intervals and n are.
        width: mm; a column for one panel, a page for more.

    Raises:
        InputError: The table lacks a column, or has no row.
    """
    table = checked(frame, "data efficiency", ("dataset", "series", "fraction", "value"), ("low", "high"))
    series = looks(table["series"])
    datasets = list(dict.fromkeys(table["dataset"]))
    wide = width or (COLUMN if len(datasets) == 1 else DOUBLE)
    figure = canvas(
        wide, PANEL + 6, title=title, note=note, alt=_efficiency_alt(table, metric), series=series, lines=True
    )
    for axes, dataset in zip(figure.subplots(1, len(datasets), squeeze=False)[0], datasets, strict=True):
        here = table[table["dataset"] == dataset]
        _curves(axes, here, series)
        axes.set_ylim(*limits([here["value"], here["low"], here["high"]], margin=0.08))
        few_ticks(axes, PANEL - 10, "y", each=8)
        share_axis(axes, "y")
        axes.set_xlabel("share of the training fields")
        axes.set_ylabel(metric)
        if len(datasets) > 1 or not title:
            axes.set_title(str(dataset), size=NORMAL, loc="left")
    return figure


def _curves(axes: Axes, table: pd.DataFrame, series: Mapping[str, Look]) -> None:
    """Lines on a logarithmic scale; intervals stand a little apart so that each is seen."""
    axes.set_xscale("log")
    moves = np.exp((np.arange(len(series)) - (len(series) - 1) / 2) * 0.03)
    for (name, look), move in zip(series.items(), moves, strict=True):
        own = table[table["series"] == name].sort_values("fraction")
        axes.plot(own["fraction"] * move, own["value"], color=look.colour, **(point(look, 3.6) | {"linestyle": "-"}))
        axes.vlines(own["fraction"] * move, own["low"], own["high"], color=look.colour, linewidth=0.9)
    shares = sorted(set(table["fraction"]))
    axes.xaxis.set_major_locator(FixedLocator(shares))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:g} %"))
    grid(axes, "both")


def _efficiency_alt(table: pd.DataFrame, metric: str) -> str:
    parts = []
    for (dataset, name), own in table.groupby(["dataset", "series"], sort=False):
        ends = own.sort_values("fraction").iloc[[0, -1]]
        (few, first), (most, last) = zip(ends["fraction"], ends["value"], strict=True)
        parts.append(f"{dataset}, {name}: {first:.3f} with {100 * few:g} %, {last:.3f} with {100 * most:g} %")
    return f"{metric} against the share of the training fields. " + "; ".join(parts) + "."
