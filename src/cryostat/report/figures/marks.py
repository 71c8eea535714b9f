"""Marks that figures are made of: a value with its interval, rows, labels that keep apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import ArrayLike, NDArray

from cryostat.core.figures import GREY, STRIPE
from cryostat.report.figures.style import MARK, NORMAL, SMALL, Look, point, widest


def interval(
    axes: Axes,
    at: float,
    value: float,
    low: float,
    high: float,
    look: Look,
    *,
    upright: bool = False,
    size: float = MARK,
) -> None:
    """A value and its interval: along x at height `at`, or `upright` at place `at`."""
    ends = [low, high] if np.isfinite([low, high]).all() else []
    place = [at] * len(ends)
    line: dict[str, Any] = {"color": look.colour, "linewidth": 1.1, "solid_capstyle": "butt", "zorder": 3}
    axes.plot(*((place, ends) if upright else (ends, place)), **line)
    x, y = ([at], [value]) if upright else ([value], [at])
    axes.plot(x, y, **point(look, size))


def dodged(count: int, room: float = 0.62) -> NDArray[np.float64]:
    """Offsets of `count` marks side by side within a row of height 1; closer together when they are few."""
    reach = min(0.24 * (count - 1), room) / 2
    return np.linspace(-reach, reach, count)


def rows(axes: Axes, labels: Sequence[str], *, size: float = NORMAL) -> None:
    """Rows from top to bottom, every other one on a pale ground."""
    for row in range(0, len(labels), 2):
        axes.axhspan(row - 0.5, row + 0.5, color=STRIPE, linewidth=0, zorder=0)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.set_yticks(range(len(labels)), labels, size=size)
    axes.tick_params(axis="y", length=0)
    axes.spines[["top", "right", "left"]].set_visible(False)


def beside(
    axes: Axes, texts: Sequence[str], heading: str = "", *, colours: Sequence[str] | None = None, gap: float = 2.0
) -> None:
    """A column of small text to the right of rows, `gap` pt from them, under a heading."""
    twin = axes.secondary_yaxis("right")
    twin.set_yticks(range(len(texts)), texts, size=SMALL)
    twin.tick_params(axis="y", length=0, labelcolor=GREY, pad=gap)
    twin.spines["right"].set_visible(False)
    for label, colour in zip(twin.get_yticklabels(), colours or (), strict=False):
        label.set_color(colour)
    if heading:
        axes.annotate(
            heading,
            (1, 1),
            (gap, 2),
            xycoords="axes fraction",
            textcoords="offset points",
            size=SMALL,
            color=GREY,
            va="bottom",
            annotation_clip=False,
        )


def columns_beside(axes: Axes, columns: Mapping[str, Sequence[str]]) -> None:
    """Several columns of small text to the right of rows, each under its heading; those without any text stay out."""
    gap = 2.0
    for heading, texts in columns.items():
        if any(texts):
            beside(axes, texts, heading, gap=gap)
            gap += 72 / 25.4 * (widest([heading, *texts], SMALL) + 1.6)


def width_beside(columns: Mapping[str, Sequence[str]]) -> float:
    """Width that `columns_beside` takes, mm."""
    return sum(widest([heading, *texts], SMALL) + 1.6 for heading, texts in columns.items() if any(texts))


def apart(places: ArrayLike, gap: float) -> NDArray[np.float64]:
    """Move places apart until neighbours are `gap` from each other, each as little as need be, order kept."""
    wanted = np.asarray(places, float)
    order = np.argsort(wanted, kind="stable")
    blocks: list[list[float]] = []  # each: [sum of wanted less offset, members]
    for place in wanted[order]:
        blocks.append([place, 1])
        while len(blocks) > 1:
            (first, n), (second, m) = blocks[-2:]
            if second / m - first / n >= gap * (n + m) / 2:
                break
            blocks[-2:] = [[first + second, n + m]]
    moved = np.concatenate([s / n + (np.arange(int(n)) - (n - 1) / 2) * gap for s, n in blocks])
    found = np.empty_like(wanted)
    found[order] = moved
    return found


def limits(values: Sequence[ArrayLike], *, floor: float | None = None, margin: float = 0.05) -> tuple[float, float]:
    """Ends of an axis that hold all known values, with a margin."""
    known = np.concatenate([np.ravel(np.asarray(part, float)) for part in values])
    known = known[np.isfinite(known)]
    low, high = (known.min(), known.max()) if len(known) else (0.0, 1.0)
    space = max(high - low, 0.02) * margin
    return (low - space if floor is None else max(floor, low - space)), high + space


def few_ticks(axes: Axes, room: float, which: str = "x", *, each: float = 11.0) -> None:
    """As many labels along an axis as `room` mm hold, `each` mm a label."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(MaxNLocator(max(1, min(6, int(room / each))), steps=[1, 2, 2.5, 5, 10]))
