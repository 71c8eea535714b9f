"""Sizes, colours and marks that all figures share."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, wraps
from typing import Any, Literal, ParamSpec

import pandas as pd
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ft2font import LoadFlags
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import Formatter

from cryostat.core.errors import InputError
from cryostat.core.figures import GREY, STYLE

COLUMN, DOUBLE = 89.0, 183.0
"""Widths of a journal's column and page, mm."""

MM = 1 / 25.4
"""Inches in a millimetre."""

SMALL, NORMAL, LARGE = 6, 7, 8
"""Sizes of text, pt: notes and numbers; labels; titles."""

MARK = 4.2
"""Size of a marker, pt."""

GRID = "#e3e7eb"
BETTER, WORSE = "#0072b2", "#d55e00"
"""What rises and what falls: blue and vermilion are told apart by everybody."""

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#6a51a3", "#22262b")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "h")
"""Okabe and Ito's colours that are seen on white; a marker with each, so that none rests on colour alone."""

DOUBTFUL = "†"
"""Behind intervals that are likely too narrow, for they rest on few clusters."""

HEADS = ("linear", "cell-probe", "unetr", "dpt", "dpt-lean")
"""Order of the heads that we know, from small to large; others come after them."""

P = ParamSpec("P")


@dataclass(frozen=True)
class Look:
    """How one series is drawn."""

    colour: str
    marker: str
    filled: bool = True

    @property
    def face(self) -> str:
        """Inside of the marker: hollow the second time that the colours come round."""
        return self.colour if self.filled else "white"


def looks(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name, in the order of the names."""
    ordered = dict.fromkeys(names)
    return {
        name: Look(COLOURS[i % len(COLOURS)], MARKERS[i % len(MARKERS)], i < len(COLOURS))
        for i, name in enumerate(ordered)
    }


def heads_in_order(heads: Iterable[str]) -> list[str]:
    """Distinct heads, each in its place, so that a head has one colour in all figures."""
    found = dict.fromkeys(heads)
    return [head for head in HEADS if head in found] + sorted(head for head in found if head not in HEADS)


def styled(draw: Callable[P, Figure]) -> Callable[P, Figure]:
    """A function that draws in the style of the house."""

    @wraps(draw)
    def drawing(*args: P.args, **kwargs: P.kwargs) -> Figure:
        with rc_context({**STYLE, "font.size": NORMAL, "axes.titlesize": NORMAL, "axes.labelsize": NORMAL, **TICKS}):
            return draw(*args, **kwargs)

    return drawing


TICKS: dict[Any, Any] = {"xtick.labelsize": NORMAL, "ytick.labelsize": NORMAL, "axes.titleweight": "regular"}


def canvas(
    width: float,
    height: float,
    *,
    title: str,
    note: str,
    alt: str,
    series: Mapping[str, Look] | None = None,
    lines: bool = False,
) -> Figure:
    """An empty figure that lays its parts out without overlap.

    Args:
        width: mm.
        height: mm of the drawing itself; title, legend and note come on top of it.
        title: What is shown; stands above, on the left.
        note: What the marks, intervals and n mean; stands below.
        alt: The same for those who cannot see it, with the main numbers.
        series: What each look stands for; a legend where there are at least two.
        lines: The series are lines.
    """
    above, below = wrapped(title, width - 3, LARGE, bold=True), wrapped(note.replace(" %", "\u00a0%"), width - 3, SMALL)
    entries = series if series is not None and len(series) > 1 else {}
    top = 1.2 + 3.7 * _lines(above) if title else 0.0
    key = legend_height(list(entries), width)
    foot = 1.2 + 2.75 * _lines(below) if note else 0.0
    full = top + height + key + foot
    figure = Figure(figsize=(width * MM, full * MM), facecolor="white")
    figure.set_layout_engine(
        ConstrainedLayoutEngine(
            w_pad=1.0 * MM,
            h_pad=0.7 * MM,
            wspace=0.02,
            hspace=0.02,
            rect=(0, (foot + key) / full, 1, height / full),
        )
    )
    figure.set_label(alt)
    left = 1.5 / width
    figure.text(left, 1 - 1.2 / full, above, va="top", size=LARGE, weight="bold", linespacing=1.15, in_layout=False)
    figure.text(left, 1.0 / full, below, va="bottom", size=SMALL, color=GREY, linespacing=1.2, in_layout=False)
    _legend(figure, entries, (left, foot / full), lines=lines)
    return figure


def _lines(text: str) -> int:
    return text.count("\n") + 1 if text else 0


def point(look: Look, size: float = MARK) -> dict[str, Any]:
    """How the marker of a series is drawn."""
    return {
        "marker": look.marker,
        "markersize": size,
        "markerfacecolor": look.face,
        "markeredgecolor": look.colour,
        "markeredgewidth": 0.9,
        "linestyle": "none",
        "zorder": 4,
    }


def _legend(figure: Figure, entries: Mapping[str, Look], place: tuple[float, float], *, lines: bool) -> None:
    if not entries:
        return
    style = {"linestyle": "-", "linewidth": 1.1} if lines else {}
    legend = figure.legend(
        [Line2D([], [], **({"color": look.colour} | point(look) | style)) for look in entries.values()],
        list(entries),
        loc="lower left",
        bbox_to_anchor=place,
        ncols=_legend_columns(list(entries), figure.get_figwidth() / MM),
        frameon=False,
        fontsize=NORMAL,
        handlelength=1.8 if lines else 0.8,
        handletextpad=0.45,
        columnspacing=1.2,
        borderpad=0,
        borderaxespad=0,
        labelspacing=0.25,
    )
    legend.set_in_layout(False)


def _legend_columns(names: Sequence[str], width: float) -> int:
    """The most columns that fit side by side in `width` mm; entries fill one column after another."""
    for columns in range(len(names), 1, -1):
        each = -(-len(names) // columns)
        wide = [widest(names[start : start + each]) + 9 for start in range(0, len(names), each)]
        if sum(wide) <= width - 1:
            return len(wide)
    return 1


def legend_height(names: Sequence[str], width: float) -> float:
    """Height that a legend of these names takes, mm."""
    return 0.0 if len(names) < 2 else 1.0 + 3.3 * -(-len(names) // _legend_columns(names, width))


def alt_text(figure: Figure) -> str:
    """What a figure shows, in words and its main numbers."""
    return str(figure.get_label() or "")


@lru_cache(maxsize=4096)
def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Width of a line of text in the font of the figures, mm."""
    with rc_context(dict(STYLE)):
        font = get_font(findfont(FontProperties(size=size, weight="bold" if bold else "normal")))
    font.set_size(size, 72)
    font.set_text(text, 0.0, flags=LoadFlags.NO_HINTING)
    return font.get_width_height()[0] / 64 * 25.4 / 72


def wrapped(text: str, width: float, size: float, *, bold: bool = False) -> str:
    """Text broken into lines no wider than `width` mm, where its words allow it."""
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split(" "):
            longer = f"{line} {word}" if line else word
            if line and text_width(longer, size, bold=bold) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return "\n".join(lines)


def widest(texts: Iterable[str], size: float = NORMAL) -> float:
    """Width of the widest line of some texts, mm."""
    return max((text_width(line, size) for text in texts for line in text.split("\n")), default=0.0)


def fitting(labels: Iterable[str], beside: float | Iterable[str] = (), *, least: float = 30.0) -> float:
    """A column's width where labels on the left and texts (or mm) on the right leave `least` mm; else a page's."""
    right = beside if isinstance(beside, int | float) else widest(beside, SMALL)
    return COLUMN if COLUMN - widest(labels) - right - 8 >= least else DOUBLE


def checked(frame: pd.DataFrame, figure: str, columns: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """The columns that a figure needs; optional ones that are absent are added, empty.

    Raises:
        InputError: A column is lacking, or the table has no row.
    """
    if lacking := [name for name in columns if name not in frame.columns]:
        raise InputError(
            f"lacks the column {', '.join(map(repr, lacking))}",
            where=f"table of {figure}",
            remedy=f"Give it the columns {', '.join(columns)}",
        )
    if not len(frame):
        raise InputError("has no row", where=f"table of {figure}", remedy="Give it at least one result")
    kept = frame.reindex(columns=[*columns, *optional])
    numbers = [name for name in kept.columns if name in ("value", "low", "high")]
    kept[numbers] = kept[numbers].astype(float)
    return kept.reset_index(drop=True)


class Digits(Formatter):
    """Labels of one axis with as many digits as the one that needs most, up to three."""

    def __call__(self, value: float, place: int | None = None) -> str:
        """The label of a value by itself."""
        return self.format_ticks([value])[0]

    def format_ticks(self, values: Sequence[float]) -> list[str]:
        """The labels of all ticks."""
        needed = (d for d in range(3) if all(abs(round(v, d) - v) < 1e-6 for v in values))
        digits = next(needed, 3)
        return [number(value, digits) for value in values]


def share_axis(axes: Axes, which: str = "x") -> None:
    """Mark an axis of scores from 0 to 1 in steps that its labels have room for."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_formatter(Digits())


def grid(axes: Axes, which: Literal["x", "y", "both"]) -> None:
    """Pale lines behind the marks, and no box around them."""
    axes.set_axisbelow(True)
    axes.grid(True, axis=which, color=GRID, linewidth=0.5)
    axes.spines[["top", "right"]].set_visible(False)


def signed(value: float, digits: int = 2) -> str:
    """A difference with its sign: `+0.05`, `−0.12`; zero has none."""
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text.replace("-", "−")


def number(value: float, digits: int = 2) -> str:
    """A value with a true minus sign; a dash where it is not known."""
    if pd.isna(value):
        return "–"
    text = f"{value:.{digits}f}"
    return text.replace("-", "" if float(text) == 0 else "−")


def ranged(low: float, high: float, digits: int = 2) -> str:
    """`0.61–0.72`, `−0.02 to 0.03`; nothing where it is not known."""
    if pd.isna(low) or pd.isna(high):
        return ""
    joint = " to " if low < 0 else "–"
    return f"{number(low, digits)}{joint}{number(high, digits)}"
