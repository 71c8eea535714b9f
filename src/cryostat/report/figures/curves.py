"""Curves over patients: how missing rates, waiting and abstaining change a score."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from cryostat.core.figures import GREY
from cryostat.report.figures.marks import few_ticks, limits
from cryostat.report.figures.style import (
    BETTER,
    COLUMN,
    SMALL,
    Look,
    canvas,
    checked,
    grid,
    looks,
    number,
    ranged,
    share_axis,
    signed,
    styled,
)
from cryostat.results.cases.waiting import Waiting

PANEL = 48.0
"""Height of a panel, mm."""

BANDS = 3
"""With more series than these, bands would hide each other: intervals are drawn as thin edges."""


@styled
def missing_rate_figure(
    frame: pd.DataFrame, *, metric: str = "balanced accuracy", title: str = "", note: str = "", width: float = COLUMN
) -> Figure:
    """Expected scores against the probability that a modality is missing.

    Args:
        frame: A row a series and rate, such as `missing_rate_curve` gives with `series` added: `series`, `rate`,
            `value`, `low`, `high`.
        metric: What the values are.
        title: Above the figure.
        note: Below it: which modalities, on whom.
        width: mm.

    Raises:
        InputError: The table lacks a column, or has no row.
    """
    table = checked(frame, "missing rates", ("series", "rate", "value"), ("low", "high"))
    return _banded(table, "rate", "probability that a modality is missing", metric, (title, note), width)


@styled
def abstention_figure(
    frame: pd.DataFrame, *, metric: str = "balanced accuracy", title: str = "", note: str = "", width: float = COLUMN
) -> Figure:
    """Scores when only the most certain share of the patients is answered.

    Args:
        frame: A row a series and share, such as `abstention` gives with `series` added: `series`, `answered`, `value`,
            `low`, `high`.
        metric: What the values are.
        title: Above the figure.
        note: Below it: on whom.
        width: mm.

    Raises:
        InputError: The table lacks a column, or has no row.
    """
    table = checked(frame, "abstention", ("series", "answered", "value"), ("low", "high"))
    return _banded(
        table, "answered", "share of the patients answered, most certain first", metric, (title, note), width
    )


def _banded(table: pd.DataFrame, along: str, axis: str, metric: str, texts: tuple[str, str], width: float) -> Figure:
    series = looks(table["series"])
    alt = _alt(table, along, axis, metric)
    figure = canvas(width, PANEL, title=texts[0], note=texts[1], alt=alt, series=series, lines=True)
    axes = figure.subplots()
    for name, look in series.items():
        _band(axes, table[table["series"] == name].sort_values(along), along, look, filled=len(series) <= BANDS)
    _finish(axes, table, axis, metric)
    return figure


def _band(axes: Axes, own: pd.DataFrame, along: str, look: Look, *, filled: bool) -> Line2D:
    known = own.dropna(subset=["low", "high"])
    if filled:
        axes.fill_between(known[along], known["low"], known["high"], color=look.colour, alpha=0.16, linewidth=0)
    else:
        for end in ("low", "high"):
            axes.plot(known[along], known[end], color=look.colour, linewidth=0.5, alpha=0.6)
    every = max(1, len(own) // 10)
    (line,) = axes.plot(
        own[along],
        own["value"],
        color=look.colour,
        linewidth=1.2,
        marker=look.marker,
        markersize=3.2,
        markevery=every,
        markerfacecolor=look.face,
    )
    return line


def _finish(axes: Axes, table: pd.DataFrame, axis: str, metric: str) -> None:
    axes.set_ylim(*limits([table[name] for name in ("value", "low", "high")]))
    axes.margins(x=0.02)
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    few_ticks(axes, PANEL, "y", each=8)
    share_axis(axes, "y")
    grid(axes, "both")
    axes.set_xlabel(axis)
    axes.set_ylabel(metric)


def _alt(table: pd.DataFrame, along: str, axis: str, metric: str) -> str:
    parts = []
    for name, own in table.groupby("series", sort=False):
        ends = own.sort_values(along).iloc[[0, -1]]
        (start, first), (end, last) = zip(ends[along], ends["value"], strict=True)
        parts.append(f"{name}: {number(first, 3)} at {100 * start:.0f} %, {number(last, 3)} at {100 * end:.0f} %")
    return f"{metric} against {axis}. " + "; ".join(parts) + "."


AGAINST_CHANCE: dict[str, Any] = {"color": GREY, "linewidth": 0.9, "linestyle": (0, (3, 2))}


@styled
def waiting_figure(
    found: Waiting,
    *,
    column: str = "balanced_accuracy",
    metric: str = "",
    title: str = "",
    note: str = "",
    width: float = COLUMN,
) -> Figure:
    """What is gained when the least certain share of the patients waits for a further modality.

    Args:
        found: What `wait_for` found.
        column: The metric of its curve.
        metric: What the axis is called; by default the metric's name.
        title: Above the figure.
        note: Below it.
        width: mm.

    Raises:
        InputError: The curve does not have the metric.
    """
    curve = found.curve[found.curve["metric"] == column].sort_values("waiting")
    table = checked(curve, f"waiting, {column}", ("waiting", "value", "by_chance"), ("low", "high"))
    name = metric or column.replace("_", " ")
    gain = found.gain[column]
    alt = (
        f"{name} of {found.n} patients: {table['value'].iloc[0]:.3f} with {_plus(found.now)} alone, "
        f"{table['value'].iloc[-1]:.3f} when all wait for {_plus(found.later)}, a gain of {signed(gain.value, 3)} "
        f"({ranged(gain.low, gain.high)}). {100 * found.to_right.value:.0f} % change from wrong to right, "
        f"{100 * found.to_wrong.value:.0f} % from right to wrong."
    )
    figure = canvas(width, PANEL, title=title, note=note, alt=alt)
    axes = figure.subplots()
    drawn = _band(axes, table, "waiting", Look(BETTER, "o"), filled=True)
    (chance,) = axes.plot(table["waiting"], table["by_chance"], zorder=2, **AGAINST_CHANCE)
    axes.set_ylim(*limits([table[c] for c in ("value", "low", "high")]))
    _finish(axes, table, f"share of the patients who wait for {_added(found)}, least certain first", name)
    named = {"the least certain wait": drawn, "as many wait, whoever they are": chance}
    axes.legend(list(named.values()), list(named), loc="best", fontsize=SMALL, frameon=False, handlelength=2)
    return figure


def _plus(subset: str) -> str:
    return subset.replace("+", " + ")


def _added(found: Waiting) -> str:
    before = found.now.split("+")
    return " + ".join(part for part in found.later.split("+") if part not in before)
