"""In-distribution against shifted: every model, and every class."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cryostat.core.figures import INK
from cryostat.report.figures.marks import apart, beside, few_ticks, limits, rows
from cryostat.report.figures.style import (
    BETTER,
    DOUBLE,
    MARK,
    NORMAL,
    SMALL,
    WORSE,
    Look,
    canvas,
    checked,
    grid,
    looks,
    point,
    ranged,
    share_axis,
    signed,
    styled,
    widest,
)

NARROW = 120.0
"""Figures narrower than this, mm, stack their two parts."""

ROW = 4.4
"""Height of a class's row, mm."""


@styled
def shift_figure(
    models: pd.DataFrame,
    classes: pd.DataFrame | None = None,
    *,
    names: tuple[str, str] = ("base", "shifted"),
    metric: str = "F1",
    title: str = "",
    note: str = "",
    width: float = DOUBLE,
) -> Figure:
    """What a shift costs: a line a model from the base to the shifted part, and a row a class.

    Args:
        models: A row a model: `series`, `base`, `shifted`, and where known `low` and `high` of shifted less base.
        classes: A row a class: `class`, `base`, `shifted` (means over the models, or of one), and where known `low` and
            `high` of shifted less base.
        names: What the two parts are called.
        metric: What the values are; macro in the part of the models.
        title: Above the figure.
        note: Below it: what the intervals and n are.
        width: mm.

    Raises:
        InputError: A table lacks a column, or has no row.
    """
    slopes = checked(models, "models of a shift", ("series", "base", "shifted"), ("low", "high"))
    by_class = None if classes is None else checked(classes, "classes", ("class", "base", "shifted"), ("low", "high"))
    series = looks(slopes["series"])
    beside_each_other = by_class is not None and width >= NARROW
    tall = 10 + max(30.0, 3.6 * len(slopes))
    below = 0.0 if by_class is None else 12 + ROW * len(by_class)
    high = max(tall, below) if beside_each_other else tall + below
    figure = canvas(width, high, title=title, note=note, alt=_alt(slopes, by_class, names, metric))
    if by_class is None:
        _slopes(figure.subplots(), slopes, series, names, metric, tall)
        return figure
    if beside_each_other:
        left, right = figure.subplots(1, 2, width_ratios=(1, 1.25))
        room = width * 0.5
    else:
        left, right = figure.subplots(2, 1, height_ratios=(tall, below))
        room = width
    _slopes(left, slopes, series, names, f"macro {metric}", high if beside_each_other else tall)
    _by_class(right, by_class, names, metric, room)
    return figure


def _slopes(
    axes: Axes, table: pd.DataFrame, series: dict[str, Look], names: tuple[str, str], metric: str, tall: float
) -> None:
    """A line a model; labels with the change stand at their ends, moved apart."""
    low, high = limits([table["base"], table["shifted"]], margin=0.08)
    label = 2.9 / max(tall - 12, 5) * (high - low)
    room = label * (len(table) - 1) - (high - low)
    low, high = (low - room / 2, high + room / 2) if room > 0 else (low, high)
    places = apart(table["shifted"], label)
    for row, place in zip(table.itertuples(), places, strict=True):
        look = series[row.series]
        axes.plot([0, 1], [row.base, row.shifted], color=look.colour, linewidth=1.1, **_without_line(look))
        axes.plot([1.03, 1.11], [row.shifted, place], color=look.colour, linewidth=0.5, clip_on=False)
        axes.text(1.13, place, _changed(row), size=SMALL, va="center", color=INK)
    axes.set_xlim(-0.12, 1.12)
    axes.set_ylim(min(low, places.min() - label / 2), max(high, places.max() + label / 2))
    axes.set_xticks([0, 1], names)
    axes.tick_params(axis="x", length=0)
    few_ticks(axes, tall - 10, "y", each=9)
    share_axis(axes, "y")
    grid(axes, "y")
    axes.spines["bottom"].set_visible(False)
    axes.set_ylabel(metric)


def _without_line(look: Look) -> dict[str, Any]:
    return {key: value for key, value in point(look, MARK - 0.4).items() if key != "linestyle"}


def _changed(row: Any) -> str:
    return f"{row.series}  {_told(row)}"


def _told(row: Any) -> str:
    reach = ranged(row.low, row.high)
    return signed(row.shifted - row.base) + (f" [{reach}]" if reach else "")


def _by_class(axes: Axes, table: pd.DataFrame, names: tuple[str, str], metric: str, room: float) -> None:
    """Hollow where the model was trained, filled where it is tested, the largest loss first."""
    ordered = table.assign(change=table["shifted"] - table["base"]).sort_values("change", kind="stable")
    labels = [str(name) for name in ordered["class"]]
    rows(axes, labels)
    for at, row in enumerate(ordered.itertuples()):
        colour = WORSE if row.change < 0 else BETTER
        axes.plot([row.base, row.shifted], [at, at], color=colour, linewidth=1.1, zorder=3)
        axes.plot([row.base], [at], **point(Look(colour, "o", filled=False), MARK - 0.4))
        axes.plot([row.shifted], [at], **point(Look(colour, "o"), MARK - 0.4))
    told = [_told(row) for row in ordered.itertuples()]
    beside(axes, told, "change" + (" [95 %]" if ordered["low"].notna().any() else ""))
    grid(axes, "x")
    axes.spines["left"].set_visible(False)
    axes.set_xlim(-0.03, 1.03)
    few_ticks(axes, room - widest(labels) - widest(told, SMALL) - 8)
    share_axis(axes)
    axes.set_xlabel(f"{metric}: ○ {names[0]}, ● {names[1]}", size=NORMAL, color=INK)


def _alt(slopes: pd.DataFrame, classes: pd.DataFrame | None, names: tuple[str, str], metric: str) -> str:
    change = slopes["shifted"] - slopes["base"]
    least, most = slopes["series"][change.idxmax()], slopes["series"][change.idxmin()]
    text = (
        f"Macro {metric} of {len(slopes)} models on {names[0]} and on {names[1]}: mean change "
        f"{signed(change.mean(), 3)}; smallest loss {least} ({signed(change.max(), 3)}), "
        f"largest {most} ({signed(change.min(), 3)})."
    )
    if classes is None:
        return text
    by_class = (classes["shifted"] - classes["base"]).set_axis(classes["class"]).dropna()
    return (
        f"{text} The class that loses most is {by_class.idxmin()} ({signed(by_class.min(), 3)})."
        if len(by_class)
        else text
    )
