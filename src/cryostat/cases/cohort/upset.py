"""Who has what, as an UpSet plot (Lex et al., 2014): a column a pattern, a row a modality."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps, rc_context
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from cryostat.cases.cohort.report import CohortReport, Pattern, TaskCounts
from cryostat.core.errors import SettingError
from cryostat.core.figures import GREY, INK, PALE, STRIPE, STYLE, check_ending, save_figure

__all__ = ["Layer", "check_ending", "draw_upset", "upset_figure"]

MOST_PATTERNS = 24
"""Columns that are drawn; the rarest beyond are added up in a line below."""

CLASS_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442", "#6a51a3")
"""Okabe and Ito's palette, told apart by colour-blind readers too."""
NO_CLASS = "#c9ced4"

BELOW: Mapping[str, Any] = {"textcoords": "offset points", "ha": "center", "va": "top", "size": 6, "color": GREY}

INCH_COLUMN, INCH_ROW, INCH_TOTALS, INCH_BARS, INCH_GAP, INCH_EDGE, INCH_BOTTOM = 0.36, 0.24, 1.2, 1.75, 0.1, 0.1, 0.24
INCH_LETTER, INCH_LABEL, INCH_LINE = 0.062, 0.8, 0.145
"""A letter of a modality's name, the label of the axis, a line of the legend."""
LEGEND_LETTERS = 24


@dataclass(frozen=True)
class Layer:
    """A part of each bar: one class, or all patients.

    Attributes:
        label: Name of the class; empty for all patients.
        colour: Of the part.
        patients: (P,) patients of each pattern.
    """

    label: str
    colour: str
    patients: NDArray[np.int64]


def draw_upset(report: CohortReport, path: Path, *, by: str | None = None) -> None:
    """Draw who has what.

    Above each pattern stands how many patients have exactly these modalities, beside each modality how many have it.

    Args:
        report: A check of a cohort.
        path: The .png (300 dpi), .svg or .pdf to write.
        by: Name of a task whose classes colour the bars; patients without a certain class are grey.

    Raises:
        SettingError: The ending is another, or the cohort has no such task.
    """
    check_ending(path, "upset.pdf")
    with rc_context(dict(STYLE)):
        figure = upset_figure(report, by=by)
    save_figure(figure, path)


def upset_figure(report: CohortReport, *, by: str | None = None) -> Figure:
    """The figure, not yet saved; a SettingError when the cohort has no task `by`."""
    shown = report.patterns[:MOST_PATTERNS]
    layers = _layers(report, by)
    labels = [textwrap.fill(layer.label, LEGEND_LETTERS) for layer in layers if layer.label]
    stage = _stage(len(shown), [counts.name for counts in report.modalities], "\n".join(labels).splitlines())
    _draw_bars(stage.bars, [layer.patients[: len(shown)] for layer in layers], layers)
    _draw_totals(stage.totals, report, layers)
    _draw_matrix(stage.matrix, report, shown)
    _draw_heading(stage, report, layers, labels)
    if len(shown) < len(report.patterns):
        _draw_rest(stage, report.patterns[MOST_PATTERNS:])
    return stage.figure


@dataclass(frozen=True)
class Stage:
    """A figure and its axes: bars above the matrix, totals beside it, and the free corner above the totals."""

    figure: Figure
    bars: Axes
    totals: Axes
    matrix: Axes
    corner: Axes


def _stage(patterns: int, names: Sequence[str], legend: Sequence[str]) -> Stage:
    """Laid out in inches, so that dots stay round and bars of one width whatever the cohort."""
    names_wide = 0.2 + INCH_LETTER * max(map(len, names))
    corner_wide = max([1.1, *(0.3 + INCH_LETTER * len(line) for line in legend)])
    left = INCH_EDGE + max(INCH_TOTALS + names_wide, INCH_LABEL + corner_wide)
    wide, rows = INCH_COLUMN * max(patterns, 3), INCH_ROW * len(names)
    over, high = INCH_BOTTOM + rows + INCH_GAP, max(INCH_BARS, INCH_LINE * (len(legend) + 3))
    size = (left + wide + INCH_EDGE, over + high + INCH_EDGE)
    figure = Figure(figsize=size, facecolor="white")

    def axes(x: float, y: float, width: float, height: float) -> Axes:
        return figure.add_axes((x / size[0], y / size[1], width / size[0], height / size[1]))

    return Stage(
        figure,
        bars=axes(left, over, wide, high),
        totals=axes(left - names_wide - INCH_TOTALS, INCH_BOTTOM, INCH_TOTALS, rows),
        matrix=axes(left, INCH_BOTTOM, wide, rows),
        corner=axes(INCH_EDGE, over, left - INCH_LABEL - INCH_EDGE, high),
    )


def _layers(report: CohortReport, by: str | None) -> list[Layer]:
    if by is None:
        return [Layer("", INK, np.array([pattern.patients for pattern in report.patterns]))]
    task = _task(report, by)
    counts = np.array(task.counts, np.int64).reshape(len(report.patterns), len(task.classes))
    of_classes = [
        Layer(name, colour, counts[:, number])
        for number, (name, colour) in enumerate(zip(task.classes, _colours(task), strict=True))
    ]
    rest = np.array([pattern.patients for pattern in report.patterns]) - counts.sum(1)
    return [*of_classes, Layer("no certain class", NO_CLASS, rest)] if rest.any() else of_classes


def _task(report: CohortReport, by: str) -> TaskCounts:
    found = next((task for task in report.tasks if task.name == by), None)
    if found is None:
        names = ", ".join(task.name for task in report.tasks) or "none"
        raise SettingError(f"the report has no task {by!r}", remedy=f"Choose of: {names}")
    return found


def _colours(task: TaskCounts) -> Sequence[str]:
    """Ordered classes from light to dark, others in colours that are told apart."""
    number = len(task.classes)
    if not task.ordinal and number <= len(CLASS_COLOURS):
        return CLASS_COLOURS[:number]
    if task.ordinal:
        return [to_hex(colormaps["YlGnBu"](share)) for share in np.linspace(0.3, 0.95, number)]
    return [to_hex(colormaps["turbo"](share)) for share in np.linspace(0.05, 0.95, number)]


def _draw_bars(axes: Axes, heights: Sequence[NDArray[np.int64]], layers: Sequence[Layer]) -> None:
    places = np.arange(len(heights[0]))
    floor = np.zeros(len(places), np.int64)
    for height, layer in zip(heights, layers, strict=True):
        axes.bar(places, height, 0.62, floor, color=layer.colour, linewidth=0)
        floor += height
    for place, total in zip(places, floor, strict=True):
        axes.annotate(
            f"{int(total):,}", (place, total), (0, 2), textcoords="offset points", ha="center", va="bottom", size=7
        )
    axes.set_xlim(-0.5, max(len(places), 3) - 0.5)
    axes.set_ylim(0, floor.max() * 1.1)
    axes.set_ylabel("patients with exactly\nthese modalities")
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.set_xticks([])
    axes.spines[["top", "right"]].set_visible(False)


def _draw_totals(axes: Axes, report: CohortReport, layers: Sequence[Layer]) -> None:
    """Horizontal bars that grow to the left, a row a modality."""
    has = np.array([[m.name in p.modalities for p in report.patterns] for m in report.modalities])
    rows = np.arange(len(has))
    reach = np.zeros(len(rows))
    for layer in layers:
        patients = has @ layer.patients
        axes.barh(rows, patients, 0.62, reach, color=layer.colour, linewidth=0)
        reach += patients
    longest = max(float(reach.max()), 1.0)
    for row, total in zip(rows, reach, strict=True):
        axes.annotate(
            f"{int(total):,}", (total, row), (-2, 0), textcoords="offset points", ha="right", va="center", size=7
        )
    axes.set_xlim(longest * 1.4, 0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_yticks([])
    axes.set_xticks([])
    axes.set_xlabel("patients in all", loc="right", labelpad=3, size=7)
    axes.spines[["top", "left", "bottom"]].set_visible(False)


def _draw_matrix(axes: Axes, report: CohortReport, shown: Sequence[Pattern]) -> None:
    names = [counts.name for counts in report.modalities]
    width = max(len(shown), 3)
    for row in range(0, len(names), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=STRIPE, linewidth=0)
    for column, pattern in enumerate(shown):
        there = [row for row, name in enumerate(names) if name in pattern.modalities]
        absent = [row for row in range(len(names)) if row not in there]
        axes.scatter([column] * len(absent), absent, s=26, color=PALE, linewidths=0, zorder=2)
        axes.scatter([column] * len(there), there, s=26, color=INK, linewidths=0, zorder=3)
        if len(there) > 1:
            axes.plot([column, column], [there[0], there[-1]], color=INK, linewidth=1.4, zorder=3)
        if not there:
            axes.annotate("nothing", (column, 0), (0, -3), ("data", "axes fraction"), **BELOW)
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0, pad=5)
    axes.set_xticks([])
    axes.spines[:].set_visible(False)


def _draw_heading(stage: Stage, report: CohortReport, layers: Sequence[Layer], labels: Sequence[str]) -> None:
    """The cohort, its patients, and the colours of the classes, in the free corner."""
    stage.corner.set_axis_off()
    place: Mapping[str, Any] = {"xycoords": "axes fraction", "textcoords": "offset points", "va": "top"}
    stage.corner.annotate(report.cohort, (0, 1), (0, 0), weight="bold", **place)
    stage.corner.annotate(f"{report.patients:,} patients", (0, 1), (0, -11), size=7, color=GREY, **place)
    handles = [Patch(color=layer.colour, linewidth=0) for layer in layers if layer.label]
    if handles:
        stage.corner.legend(
            handles,
            labels,
            loc="upper left",
            bbox_to_anchor=(0, 1 - 0.37 / stage.corner.get_window_extent().height * stage.figure.dpi),
            frameon=False,
            fontsize=7,
            handlelength=0.9,
            handleheight=0.9,
            labelspacing=0.35,
            borderpad=0,
            borderaxespad=0,
        )


def _draw_rest(stage: Stage, rest: Sequence[Pattern]) -> None:
    patients = sum(pattern.patients for pattern in rest)
    told = f"{len(rest)} rarer patterns with {patients:,} patients are not drawn"
    stage.matrix.annotate(told, (1, 0), (0, -3), "axes fraction", **{**BELOW, "ha": "right"})
