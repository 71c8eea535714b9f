"""Robustness: how scores fall as the pixels of the test part get worse, a panel a perturbation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from cryostat.report.figures.marks import dodged, few_ticks, interval, limits, rows
from cryostat.report.figures.style import (
    COLUMN,
    DOUBLE,
    DOUBTFUL,
    MARK,
    NORMAL,
    SMALL,
    Look,
    canvas,
    checked,
    grid,
    looks,
    number,
    point,
    ranged,
    share_axis,
    styled,
    widest,
    wrapped,
)
from cryostat.results.intervals import doubt
from cryostat.results.ladders import LadderRow

PANEL = 40.0
"""Height of a panel, mm."""

ACROSS = 4
"""Panels side by side on a page; two in a column."""

ORDER = ("stain", "overstain", "brightness", "blur", "noise", "jpeg", "scale")
"""Kinds that are alike stand beside each other; others come after them."""

BANDS = 3
"""With more series than these, bands would hide each other: intervals are drawn as upright lines."""


@styled
def ladder_figure(
    frame: pd.DataFrame, *, metric: str = "macro F1", title: str = "", note: str = "", width: float | None = None
) -> Figure:
    """Scores at growing strength of each perturbation, and in a last panel what is left of them on average.

    Args:
        frame: A row a model, perturbation and step, such as `ladder_frame` gives: `series`, `perturbation`, `about`,
            `unit`, `step` (0 is untouched), `amount`, `value`, `area`, and where known `low`, `high`, `area_low`,
            `area_high`.
        metric: What the values are.
        title: Above the figure.
        note: Below it: what the intervals and n are.
        width: mm; a column for one or two panels, a page for more.

    Raises:
        InputError: The table lacks a column, or has no row.
    """
    needed = ("series", "perturbation", "about", "unit", "step", "amount", "value", "area")
    table = checked(frame, "ladders", needed, ("low", "high", "area_low", "area_high"))
    series = looks(table["series"])
    names = in_order(table["perturbation"])
    wide = width or (COLUMN if len(names) == 1 else DOUBLE)
    across = min(len(names) + 1, ACROSS if wide > COLUMN + 1 else 2)
    down = -(-(len(names) + 1) // across)
    figure = canvas(
        wide, PANEL * down, title=title, note=note, alt=_alt(table, names, metric), series=series, lines=True
    )
    panels = figure.subplots(down, across, squeeze=False).ravel()
    ends = limits([table["value"], table["low"], table["high"]], margin=0.06)
    for at, (axes, name) in enumerate(zip(panels, names, strict=False)):
        _curves(axes, table[table["perturbation"] == name], series, wide / across - 8)
        axes.set_ylim(*ends)
        few_ticks(axes, PANEL - 14, "y", each=5)
        share_axis(axes, "y")
        if at % across == 0:
            axes.set_ylabel(metric)
        else:
            axes.tick_params(axis="y", labelleft=False)
    _areas(panels[len(names)], table, names, series, metric, wide / across - 6)
    for axes in panels[len(names) + 1 :]:
        axes.set_visible(False)
    return figure


def _curves(axes: Axes, table: pd.DataFrame, series: Mapping[str, Look], room: float) -> None:
    """A line a model; steps stand at equal distances, with their amounts below."""
    moves = np.zeros(len(series)) if len(series) <= BANDS else dodged(len(series), 0.3)
    for (name, look), move in zip(series.items(), moves, strict=True):
        own = table[table["series"] == name].sort_values("step")
        at = own["step"] + move
        line = {**point(look, 3.2), "linestyle": "-", "linewidth": 1.0, "color": look.colour}
        axes.plot(at, own["value"], **line)
        if len(series) <= BANDS:
            axes.fill_between(at, own["low"], own["high"], color=look.colour, alpha=0.14, linewidth=0)
        else:
            axes.vlines(at, own["low"], own["high"], color=look.colour, linewidth=0.7, alpha=0.75)
    first = table.drop_duplicates("step").sort_values("step")
    axes.set_xticks(first["step"], [f"{amount:g}" for amount in first["amount"]], size=SMALL)
    axes.margins(x=0.06)
    grid(axes, "y")
    axes.set_title(str(first["perturbation"].iloc[0]), size=NORMAL, loc="left", pad=3)
    measure, unit = str(first["about"].iloc[0]).rpartition(": ")[2], str(first["unit"].iloc[0]).strip()
    axes.set_xlabel(wrapped(f"{measure}, {unit}" if unit else measure, room, SMALL), size=SMALL)


def _areas(
    axes: Axes, table: pd.DataFrame, names: Sequence[str], series: Mapping[str, Look], metric: str, room: float
) -> None:
    """What is left of each model's score on average over the steps, a row a perturbation; names stand in the panel."""
    rows(axes, names, size=SMALL)
    axes.tick_params(axis="y", pad=-2)
    for label in axes.get_yticklabels():
        label.set_horizontalalignment("left")
    areas = table.drop_duplicates(["series", "perturbation"]).set_index(["series", "perturbation"])
    for (name, look), move in zip(series.items(), dodged(len(series)), strict=True):
        for at, perturbation in enumerate(names):
            if (name, perturbation) in areas.index:
                found = areas.loc[(name, perturbation)]
                value, low, high = (float(found[column]) for column in ("area", "area_low", "area_high"))
                interval(axes, at + move, value, low, high, look, size=MARK - 1.2)
    axes.axvline(1, color="#9aa3ad", linewidth=0.6, linestyle=(0, (3, 2)), zorder=1)
    low, high = limits([areas["area"], areas["area_low"], areas["area_high"], [1.0]], margin=0.04)
    low, named = max(0.0, low), widest(names, SMALL) + 2
    axes.set_xlim(low - (high - low) * named / (room - named), high)
    steps = MaxNLocator(max(1, int((room - named) / 6)), steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
    axes.set_xticks([step for step in steps if low <= step <= high])  # none below the names
    share_axis(axes)
    axes.tick_params(axis="x", labelsize=SMALL)
    grid(axes, "x")
    axes.spines["left"].set_visible(False)
    axes.set_title("area", size=NORMAL, loc="left", pad=3)
    axes.set_xlabel(f"mean {metric} ÷ untouched", size=SMALL)


def ladder_frame(ladders: Sequence[LadderRow]) -> tuple[pd.DataFrame, str]:
    """The table of the figure, of rows of one dataset and split, and a note on n.

    Args:
        ladders: With a curve at least, such as `results.ladders.ladder_rows` finds.
    """
    table = pd.DataFrame(
        {
            "series": series_name(row, ladders),
            "perturbation": name,
            "about": curve.about,
            "unit": curve.unit,
            "step": step.step,
            "amount": step.amount,
            "value": step.macro_f1.value,
            "low": step.macro_f1.low,
            "high": step.macro_f1.high,
            "area": curve.area.value,
            "area_low": curve.area.low,
            "area_high": curve.area.high,
        }
        for row in ladders
        for name, curve in row.curves.items()
        for step in curve.steps
    )
    return table, _note(ladders)


def in_order(perturbations: Iterable[str]) -> list[str]:
    """Distinct perturbations, each in its place."""
    found = dict.fromkeys(perturbations)
    return [name for name in ORDER if name in found] + [name for name in found if name not in ORDER]


def series_name(row: LadderRow, among: Sequence[LadderRow]) -> str:
    """Encoder and head of a row, and what else sets it apart from others of the same names."""
    alike = [o for o in among if all(str(o.facts[name]) == str(row.facts[name]) for name in ("encoder", "head"))]
    more = [name for name in ("mode", "variant") if len({str(other.facts.get(name)) for other in alike}) > 1]
    return " · ".join(str(row.facts[name]) for name in ("encoder", "head", *more) if row.facts.get(name))


def _note(ladders: Sequence[LadderRow]) -> str:
    first = next(curve for row in ladders for curve in row.curves.values())
    seeds = "one seed" if first.seeds == 1 else f"means over {first.seeds} seeds"
    several = " or ".join(f"{part}s" for part in first.kind.split(" or "))
    few = doubt(first.clusters, first.kind)
    mark, warned = (DOUBTFUL, f" {DOUBTFUL} {few.capitalize()}: likely too narrow.") if few else ("", "")
    return (
        f"Heads as trained on untouched fields; only the test part is changed, at the scale of the protocol. The first "
        f"step of each panel is untouched. Bands or bars: 95 % intervals{mark} from {first.clusters:,} {several} "
        f"resampled, the same at all steps; {first.cells:,} nuclei; {seeds}.{warned}"
    )


def _alt(table: pd.DataFrame, names: Sequence[str], metric: str) -> str:
    parts = []
    for name in names:
        own = table[table["perturbation"] == name]
        told = []
        for model, curve in own.groupby("series", sort=False):
            ordered = curve.sort_values("step")
            ends = ordered["value"].iloc[[0, -1]]
            area = ordered.iloc[0]
            reach = ranged(area["area_low"], area["area_high"])
            within = f" ({reach})" if reach else ""
            told.append(
                f"{model} {number(ends.iloc[0])} to {number(ends.iloc[1])}, area {number(area['area'])}{within}"
            )
        parts.append(f"{name}: {'; '.join(told)}")
    return f"{metric} from untouched to the last step of each perturbation. " + ". ".join(parts) + "."
