"""Small charts as inline SVG: coloured by the page's own variables, so that they follow light, dark and print."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from markupsafe import Markup

from cryostat.report.site.data import CaseRow, CellBoard, CellRow, Curve
from cryostat.results.uncertainty import Estimate

WIDTH, HEIGHT = 480, 320
"""Of a chart, in units of its view box."""

LEFT, RIGHT, TOP, BOTTOM = 52, 26, 12, 46
"""Room around the axes for their labels."""

SERIES = 6
"""Colours of lines that the style sheet has; further ones begin again, dashed."""

STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5, 1.0)
"""Distances of ticks."""


@dataclass
class Chart:
    """Axes onto which marks are put.

    Attributes:
        x: Domain across.
        y: Domain upwards.
        about: What the chart shows, for those who cannot see it.
        logarithmic: The axis across is logarithmic.
        parts: The marks so far.
    """

    x: tuple[float, float]
    y: tuple[float, float]
    about: str
    logarithmic: bool = False
    parts: list[Markup] = field(default_factory=list)

    def across(self, value: float) -> float:
        """Place of a value along x."""
        low, high, at = self.x[0], self.x[1], value
        if self.logarithmic:
            low, high, at = math.log(low), math.log(high), math.log(at)
        return LEFT + (at - low) / ((high - low) or 1) * (WIDTH - LEFT - RIGHT)

    def up(self, value: float) -> float:
        """Place of a value along y."""
        low, high = self.y
        clipped = min(max(value, low), high)
        return HEIGHT - BOTTOM - (clipped - low) / ((high - low) or 1) * (HEIGHT - TOP - BOTTOM)

    def axes(self, x_label: str, y_label: str, x_ticks: Sequence[tuple[float, str]]) -> None:
        """Draw grid, ticks and labels."""
        for value in ticks(*self.y):
            self._add(
                '<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>', LEFT, WIDTH - RIGHT, *(self.up(value),) * 2
            )
            self._add(
                '<text class="tick" text-anchor="end" x="{}" y="{}">{}</text>',
                LEFT - 8,
                self.up(value) + 4,
                f"{value:.2g}",
            )
        for value, text in x_ticks:
            at, bottom = self.across(value), HEIGHT - BOTTOM
            self._add('<line class="grid" x1="{}" x2="{}" y1="{}" y2="{}"/>', at, at, bottom, bottom + 5)
            self._add('<text class="tick" text-anchor="middle" x="{}" y="{}">{}</text>', at, bottom + 19, text)
        middle = (LEFT + WIDTH - RIGHT) / 2
        self._add('<text class="label" text-anchor="middle" x="{}" y="{}">{}</text>', middle, HEIGHT - 6, x_label)
        self._add(
            '<text class="label" text-anchor="middle" transform="translate(13 {}) rotate(-90)">{}</text>',
            (TOP + HEIGHT - BOTTOM) / 2,
            y_label,
        )

    def line(self, points: Sequence[tuple[float, float]], kind: str) -> None:
        """Join points."""
        known = [(x, y) for x, y in points if not math.isnan(y)]
        path = "M" + "L".join(f"{self.across(x):.1f} {self.up(y):.1f}" for x, y in known) if known else ""
        self._add('<path class="{}" d="{}"/>', kind, path)

    def band(self, points: Sequence[tuple[float, Estimate]], kind: str) -> None:
        """Fill between the ends of intervals."""
        known = [(x, e) for x, e in points if not math.isnan(e.low)]
        if len(known) > 1:
            there = [f"{self.across(x):.1f} {self.up(e.high):.1f}" for x, e in known]
            back = [f"{self.across(x):.1f} {self.up(e.low):.1f}" for x, e in reversed(known)]
            self._add('<path class="{}" d="M{}Z"/>', kind, "L".join(there + back))

    def dot(self, x: float, value: Estimate, kind: str, radius: float = 4, tip: str = "") -> None:
        """A point with its interval; the tip is shown under the pointer."""
        if math.isnan(value.value):
            return
        at = round(self.across(x), 1)
        self._add('<g class="{}">', kind)
        if not math.isnan(value.low):
            self._add(
                '<line class="whisker" x1="{0}" x2="{0}" y1="{1:.1f}" y2="{2:.1f}"/>',
                at,
                self.up(value.low),
                self.up(value.high),
            )
        self._add(
            '<circle cx="{}" cy="{:.1f}" r="{:.1f}"><title>{}</title></circle></g>',
            at,
            self.up(value.value),
            radius,
            tip,
        )

    def svg(self) -> Markup:
        """The whole chart."""
        head = Markup('<svg class="chart" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(
            WIDTH, HEIGHT, self.about
        )
        return head + Markup("").join(self.parts) + Markup("</svg>")

    def _add(self, form: str, *values: object) -> None:
        self.parts.append(Markup(form).format(*(round(v, 1) if isinstance(v, float) else v for v in values)))


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Round values within a domain."""
    step = next((s for s in STEPS if (high - low) / s <= most), STEPS[-1])
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def domain(values: Sequence[Estimate], step: float = 0.1) -> tuple[float, float]:
    """The round domain, between 0 and 1, that holds all values and intervals."""
    ends = [end for e in values for end in (e.value, e.low, e.high) if not math.isnan(end)]
    if not ends:
        return 0.0, 1.0
    low = max(0.0, math.floor(min(ends) / step) * step)
    high = min(1.0, math.ceil(max(ends) / step) * step)
    return round(low, 6), round(high if high > low else low + step, 6)


def signed_domain(values: Sequence[Estimate], step: float = 0.1) -> tuple[float, float]:
    """The round domain, with 0 in it, that holds all values and intervals."""
    ends = [0.0, *(end for e in values for end in (e.value, e.low, e.high) if not math.isnan(end))]
    return math.floor(min(ends) / step) * step, max(step, math.ceil(max(ends) / step) * step)


def series_class(number: int) -> str:
    """Class of the n-th series: a colour, and dashes once all colours were used."""
    return f"s{number % SERIES}" + (" again" if number >= SERIES else "")


def told(e: Estimate, digits: int = 3) -> str:
    """A value with its interval, in words for titles and labels."""
    if math.isnan(e.value):
        return "unknown"
    if math.isnan(e.low):
        return f"{e.value:.{digits}f}"
    return f"{e.value:.{digits}f}, 95 % interval {e.low:.{digits}f} to {e.high:.{digits}f}"


def efficiency(board: CellBoard) -> tuple[Markup, list[tuple[str, str]]]:
    """Macro F1 against the share of the training fields, for models that were run with several; and the legend."""
    curves: dict[str, list[CellRow]] = {}
    for row in board.ours:
        if row.complete:
            curves.setdefault(f"{row.name} · {row.mode}", []).append(row)
    several = {
        name: sorted(rows, key=lambda r: r.fraction)
        for name, rows in curves.items()
        if len({r.fraction for r in rows}) > 1
    }
    if not several:
        return Markup(""), []
    rows = [row for found in several.values() for row in found]
    shares = sorted({row.fraction for row in rows})
    chart = Chart(
        (shares[0] * 0.9, shares[-1] * 1.1),
        domain([row.macro_f1 for row in rows]),
        f"Macro F1 of {len(several)} models at {shares[0]:.0%} to {shares[-1]:.0%} of the training fields.",
        logarithmic=True,
    )
    chart.axes("share of the training fields", "macro F1", [(s, f"{100 * s:g} %") for s in shares])
    for i, found in enumerate(several.values()):
        chart.line([(row.fraction, row.macro_f1.value) for row in found], f"series {series_class(i)}")
    for i, (name, found) in enumerate(several.items()):
        for row in found:
            nudged = row.fraction * (1 + 0.025 * (i - (len(several) - 1) / 2))
            chart.dot(
                nudged, row.macro_f1, f"mark {series_class(i)}", tip=f"{name}, {row.fraction:.0%}: {told(row.macro_f1)}"
            )
    return chart.svg(), [(name.removesuffix(" · cached"), series_class(i)) for i, name in enumerate(several)]


def waiting(curve: Curve, metric: str) -> Markup:
    """The score against the share of patients who wait, and the same if as many waited by chance."""
    chart = Chart(
        (0, 1),
        domain([e for _, e in curve.points]),
        f"{metric} against the share of patients who wait, {curve.label}: nobody waits {told(curve.points[0][1])}; "
        f"everybody waits {told(curve.points[-1][1])}.",
    )
    chart.axes(
        "share of patients who wait, least certain first",
        metric,
        [(x, f"{100 * x:.0f} %") for x in (0, 0.25, 0.5, 0.75, 1)],
    )
    chart.band(curve.points, "band s0")
    chart.line([(x, v) for (x, _), v in zip(curve.points, curve.chance, strict=True)], "chance")
    chart.line([(x, e.value) for x, e in curve.points], "series s0")
    return chart.svg()


def calibration(row: CaseRow) -> Markup:
    """Share that is right against confidence; the size of a point is its share of the patients."""
    low = min(
        [0.5, *(e.low for _, e, _ in row.calibration if not math.isnan(e.low)), *(c for c, _, _ in row.calibration)]
    )
    start = math.floor(low * 10) / 10
    about = "; ".join(f"confidence {c:.2f}: right {e.value:.2f}" for c, e, _ in row.calibration)
    chart = Chart((start, 1.0), (start, 1.0), f"Share of patients that are right against confidence. {about}.")
    chart.axes("confidence", "share that is right", [(t, f"{t:.2g}") for t in ticks(start, 1.0)])
    chart.line([(start, start), (1.0, 1.0)], "chance")
    for confidence, value, share in row.calibration:
        tip = f"confidence {confidence:.2f}: right {told(value, 2)}; {share:.0%} of patients"
        chart.dot(confidence, value, "mark s0", radius=3 + 9 * math.sqrt(share), tip=tip)
    return chart.svg()


def rank_starts(ranks: Sequence[int | None]) -> list[bool]:
    """Whether each row, in this order, begins another rank group than the row above."""
    return [False, *(one != two for one, two in pairwise(ranks))] if ranks else []
