"""Whether a probability means what it says."""

from __future__ import annotations

import math

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from cryostat.core.figures import GREY
from cryostat.report.figures.marks import interval
from cryostat.report.figures.style import BETTER, COLUMN, SMALL, Look, canvas, checked, grid, styled

SQUARE, SHARES = 52.0, 13.0
"""Heights of the diagram and of the shares below it, mm."""


@styled
def calibration_figure(frame: pd.DataFrame, *, title: str = "", note: str = "", width: float = COLUMN) -> Figure:
    """Confidence against the share that is right; below, how many have which confidence.

    Args:
        frame: What `reliability` gives: a row a bin with `from`, `to`, `share`, `confidence`, `accuracy`, and where
            known `low`, `high` of the accuracy.
        title: Above the figure.
        note: Below it.
        width: mm.

    Raises:
        InputError: The table lacks a column, or has no row.
    """
    table = checked(frame, "calibration", ("from", "to", "share", "confidence", "accuracy"), ("low", "high"))
    error = float((table["share"] * (table["confidence"] - table["accuracy"]).abs()).sum())
    start = _start(table)
    figure = canvas(width, SQUARE + SHARES, title=title, note=note, alt=_alt(table, error))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(SQUARE, SHARES))
    above.plot([0, 1], [0, 1], color=GREY, linewidth=0.8, linestyle=(0, (3, 2)), zorder=1)
    for row in table.itertuples():
        interval(above, row.confidence, row.accuracy, row.low, row.high, Look(BETTER, "o"), upright=True)
    above.plot(table["confidence"], table["accuracy"], color=BETTER, linewidth=0.8, zorder=2)
    for text, place, ha, va in (
        ("too timid", (0.03, 0.95), "left", "top"),
        ("too sure", (0.97, 0.05), "right", "bottom"),
    ):
        above.text(*place, text, size=SMALL, color=GREY, ha=ha, va=va, transform=above.transAxes)
    ends = (start - 0.02 * (1 - start), 1 + 0.02 * (1 - start))
    above.set(xlim=ends, ylim=ends, ylabel="share that is right")
    below.bar(table["from"], table["share"], table["to"] - table["from"], align="edge", color=BETTER, edgecolor="white")
    below.set(xlabel="confidence (highest probability)", ylabel="patients")
    below.set_ylim(0, float(table["share"].max()) * 1.15)
    for axes in (above, below):
        grid(axes, "both" if axes is above else "y")
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    below.xaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    below.locator_params(axis="y", nbins=2)
    return figure


def _start(table: pd.DataFrame) -> float:
    """The tenth at which the axes begin: nobody is less sure, and no interval ends below."""
    return math.floor(10 * float(np.nanmin(table[["from", "accuracy", "low"]].to_numpy())) + 1e-6) / 10


def _alt(table: pd.DataFrame, error: float) -> str:
    over = (table["share"] * (table["confidence"] - table["accuracy"])).sum()
    lean = (
        "more sure than it is right"
        if over > 0.01
        else "less sure than it is right"
        if over < -0.01
        else "as sure as right"
    )
    return (
        f"Reliability diagram of {len(table)} bins: expected calibration error {error:.3f}; on average the model is "
        f"{lean} (mean gap {abs(over):.3f})."
    )
