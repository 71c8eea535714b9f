"""The modality lattice: every subset of the modalities, as intervals and as a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

from cryostat.core.figures import GREY, INK, PALE, STRIPE
from cryostat.report.figures.marks import dodged, few_ticks, interval, limits
from cryostat.report.figures.style import (
    COLUMN,
    DOUBLE,
    NORMAL,
    SMALL,
    canvas,
    checked,
    grid,
    looks,
    number,
    ranged,
    share_axis,
    styled,
    widest,
)
from cryostat.results.cases.subsets import NOTHING, all_subsets, subset_members

PANEL, ROW, LEGROOM = 40.0, 3.8, 5.0
"""Heights of the panel of values, of a modality's row and of the labels between them, mm."""

WIDE = 9
"""Subsets and series beyond which a column of a journal is too narrow."""

SHADES = LinearSegmentedColormap.from_list("paler", ["#ffffff", "#c6dbef", "#6baed6", "#3182bd"])


@styled
def lattice_figure(
    frame: pd.DataFrame,
    modalities: Sequence[str],
    *,
    metric: str = "balanced accuracy",
    chance: float | None = None,
    title: str = "",
    note: str = "",
    width: float | None = None,
) -> Figure:
    """Each subset of the modalities offered: values above, dots for what is offered below.

    Args:
        frame: A row a subset and series: `offered`, `series`, `value`, and where known `low`, `high`, `n` (patients).
        modalities: Names in the order of the cohort.
        metric: What the values are.
        chance: What guessing would score; a dashed line.
        title: Above the figure.
        note: Below it: on whom, and what the intervals are.
        width: mm; by default a column, or a page where there is much to show.

    Raises:
        InputError: The table lacks a column, or has no row.
    """
    table = checked(frame, "lattice", ("offered", "series", "value"), ("low", "high", "n"))
    series = looks(table["series"])
    subsets = [name for name in all_subsets(modalities) if name in set(table["offered"])]
    wide = width or (COLUMN if len(subsets) * (1 + len(series) / 3) <= WIDE else DOUBLE)
    height = PANEL + LEGROOM + ROW * len(modalities)
    alt = _alt(table, metric)
    figure = canvas(wide, height, title=title, note=note, alt=alt, series=series)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(PANEL, LEGROOM + ROW * len(modalities)))
    for (name, look), move in zip(series.items(), dodged(len(series), 0.6), strict=True):
        for row in table[table["series"] == name].itertuples():
            interval(above, subsets.index(row.offered) + move, row.value, row.low, row.high, look, upright=True)
    if chance is not None:
        above.axhline(chance, color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
        above.annotate("chance", (1, chance), (-1, 1.5), **_at_right())
    above.set_ylim(*limits([table["value"], table["low"], table["high"], [np.nan if chance is None else chance]]))
    few_ticks(above, PANEL, "y", each=6.5)
    share_axis(above, "y")
    above.set_ylabel(metric)
    grid(above, "y")
    above.tick_params(axis="x", length=0, labelbottom=False)
    dots(below, subsets, modalities)
    counts = table.groupby("offered")["n"].max()
    below.xaxis.tick_top()
    if counts.notna().any():
        below.set_xticks(range(len(subsets)), [f"{int(counts[s])}" if pd.notna(counts[s]) else "–" for s in subsets])
        below.annotate("n", (0, 1), (-5, 3), ha="right", va="bottom", size=SMALL, color=GREY, **_in_points())
    below.tick_params(axis="x", length=0, labelsize=SMALL, labelcolor=GREY, pad=1)
    return figure


def _in_points() -> dict[str, str]:
    return {"xycoords": "axes fraction", "textcoords": "offset points"}


def _at_right() -> dict[str, object]:
    return {
        "xycoords": ("axes fraction", "data"),
        "textcoords": "offset points",
        "ha": "right",
        "va": "bottom",
        "size": SMALL,
        "color": GREY,
    }


def dots(axes: Axes, subsets: Sequence[str], modalities: Sequence[str]) -> None:
    """A column a subset, a row a modality; joined dots for what is in it."""
    for row in range(0, len(modalities), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=STRIPE, linewidth=0, zorder=0)
    for column, subset in enumerate(subsets):
        there = [modalities.index(name) for name in subset_members(subset)]
        absent = [row for row in range(len(modalities)) if row not in there]
        axes.scatter([column] * len(absent), absent, s=17, color=PALE, linewidths=0, zorder=2)
        axes.scatter([column] * len(there), there, s=17, color=INK, linewidths=0, zorder=3)
        if len(there) > 1:
            axes.plot([column, column], [there[0], there[-1]], color=INK, linewidth=1.1, zorder=3)
    axes.set_xlim(-0.6, len(subsets) - 0.4)
    axes.set_ylim(len(modalities) - 0.5, -0.5)
    axes.set_yticks(range(len(modalities)), modalities)
    axes.set_xticks(range(len(subsets)), [""] * len(subsets))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def _alt(table: pd.DataFrame, metric: str) -> str:
    parts = []
    for name, own in table.dropna(subset=["value"]).groupby("series", sort=False):
        top, last = own.loc[own["value"].idxmax()], own.loc[own["value"].idxmin()]
        parts.append(
            f"{name}: best with {_words(top['offered'])} ({top['value']:.3f}), worst with {_words(last['offered'])} "
            f"({last['value']:.3f})"
        )
    return f"{metric} of {table['offered'].nunique()} subsets of the modalities. " + "; ".join(parts) + "."


def _words(subset: str) -> str:
    members = subset_members(subset)
    return " and ".join(members) if members else NOTHING


@styled
def methods_figure(
    frame: pd.DataFrame,
    modalities: Sequence[str],
    *,
    metric: str = "balanced accuracy",
    higher_is_better: bool = True,
    title: str = "",
    note: str = "",
    small: str = "",
    width: float | None = None,
) -> Figure:
    """Methods down, subsets of the modalities across, values with their intervals in shaded fields; best in bold.

    Args:
        frame: A row a subset and series: `offered`, `series`, `value`, and where known `low`, `high`, `n`.
        modalities: Names in the order of the cohort.
        metric: What the values are.
        higher_is_better: Which value of a column is the best.
        title: Above the figure.
        note: Below it: on whom.
        small: What the intervals are, which stand small in each field; told where there is room for them.
        width: mm; by default a column, or a page where there is much to show.

    Raises:
        InputError: The table lacks a column, or has no row.
    """
    table = checked(frame, "methods", ("offered", "series", "value"), ("low", "high", "n"))
    series = list(dict.fromkeys(table["series"]))
    subsets = [name for name in all_subsets(modalities) if name in set(table["offered"])]
    names = widest([*series, *modalities])
    wide = width or (COLUMN if names + 8 + 14 * len(subsets) <= COLUMN else DOUBLE)
    cells = table.set_index(["series", "offered"])
    heights = (ROW * len(modalities) + 2, 6.6 * len(series))
    alt = _alt(table, metric)
    room = (wide - names - 8) / len(subsets)
    reaches = _fitting_reach(table, room)
    told = f"{note} {small}".strip() if any(reaches.values()) else note
    figure = canvas(wide, sum(heights) + 4, title=title, note=told, alt=alt)
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=heights)
    dots(above, subsets, modalities)
    values = cells["value"].unstack().reindex(index=series, columns=subsets)
    goodness = values if higher_is_better else -values
    below.pcolormesh(_edges(len(subsets)), _edges(len(series)), _shade(goodness), cmap=SHADES, vmin=0, vmax=1.35)
    printed = goodness.round(2)
    bold = printed.eq(printed.max()) & (printed.nunique() > 1)
    for (i, name), (j, subset) in ((a, b) for a in enumerate(series) for b in enumerate(subsets)):
        if (name, subset) in cells.index:
            _write(below, (j, i), values.loc[name, subset], reaches[name, subset], bold=bool(bold.loc[name, subset]))
    below.set_ylim(len(series) - 0.5, -0.5)
    below.set_yticks(range(len(series)), series)
    below.tick_params(length=0, labelbottom=False)
    below.spines[:].set_visible(False)
    return figure


def _edges(count: int) -> list[float]:
    return [i - 0.5 for i in range(count + 1)]


def _fitting_reach(table: pd.DataFrame, room: float) -> dict[tuple[str, str], str]:
    """Intervals by series and subset, as a field `room` mm wide holds them: `0.61–0.72`, `.61–.72`, or not at all."""
    found = {(row.series, row.offered): ranged(row.low, row.high) for row in table.itertuples()}
    for shorter in (found, {key: text.replace("0.", ".") for key, text in found.items()}):
        if widest(shorter.values(), SMALL) + 0.6 < room:
            return shorter
    return dict.fromkeys(found, "")


def _shade(goodness: pd.DataFrame) -> np.ndarray:
    """From the worst of the table, pale, to its best; what guessing scores is as pale."""
    some = goodness.drop(columns=NOTHING, errors="ignore")
    ends = (some if some.notna().to_numpy().any() else goodness).to_numpy()
    low, high = np.nanmin(ends), np.nanmax(ends)
    shades: np.ndarray = np.ma.masked_invalid((goodness.to_numpy() - low) / max(high - low, 1e-9))
    return shades


def _write(axes: Axes, place: tuple[int, int], value: float, reach: str, *, bold: bool) -> None:
    (x, y), middle = place, dict[str, Any](ha="center", va="center")
    axes.text(x, y - (0.16 if reach else 0), number(value), size=NORMAL, weight="bold" if bold else "normal", **middle)
    if reach:
        axes.text(x, y + 0.24, reach, size=SMALL, color=INK, **middle)
