"""What a head gains on each encoder: the decoder gain of the paper's figure 2a, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cryostat.core.figures import GREY, PALE
from cryostat.report.figures.marks import beside, few_ticks, interval, limits, rows
from cryostat.report.figures.style import (
    DOUBLE,
    NORMAL,
    SMALL,
    Look,
    canvas,
    checked,
    fitting,
    grid,
    heads_in_order,
    looks,
    share_axis,
    signed,
    styled,
    widest,
)

ROW, BETWEEN = 5.0, 1.7
"""Least height of an encoder's row; from one head to the next within it, mm."""

SUPERVISED = "none"
"""The encoder of a model that has none: drawn as a line, not a row."""


@styled
def heads_figure(
    frame: pd.DataFrame, *, metric: str = "macro F1", title: str = "", note: str = "", width: float | None = None
) -> Figure:
    """Heads of each encoder on one line, a panel a dataset; encoders from best to worst over all panels.

    Args:
        frame: A row a model: `dataset`, `encoder`, `head`, `value`, and where known `low`, `high`. Rows whose encoder
            is `none` are supervised baselines.
        metric: What the values are.
        title: Above the figure.
        note: Below it: what the intervals and n are.
        width: mm; a column for one panel, a page for more.

    Raises:
        InputError: The table lacks a column, or has no row.
    """
    table = checked(frame, "heads", ("dataset", "encoder", "head", "value"), ("low", "high"))
    frozen, supervised = table[table["encoder"] != SUPERVISED], table[table["encoder"] == SUPERVISED]
    checked(frozen, "heads", ("encoder",))
    best = frozen.groupby(["encoder", "dataset"])["value"].max().groupby("encoder").mean()
    encoders = list(best.sort_values(ascending=False, kind="stable").index)
    heads = looks(heads_in_order(frozen["head"]))
    datasets = list(dict.fromkeys(table["dataset"]))
    wide = width or (fitting(encoders, ["+0.00"]) if len(datasets) == 1 else DOUBLE)
    tall = _tall(frozen)
    figure = canvas(
        wide, 13 + tall * len(encoders), title=title, note=note, alt=_alt(table, datasets, metric), series=heads
    )
    panels = figure.subplots(1, len(datasets), sharey=True, squeeze=False)[0]
    for axes, dataset in zip(panels, datasets, strict=True):
        rows(axes, encoders)
        _panel(axes, frozen[frozen["dataset"] == dataset], encoders, heads, tall)
        here = table[table["dataset"] == dataset]
        axes.set_xlim(*limits([here["value"], here["low"], here["high"]], margin=0.07))
        _baselines(axes, supervised[supervised["dataset"] == dataset])
        if len(datasets) > 1 or not title:
            axes.set_title(str(dataset), size=NORMAL, pad=9 if len(supervised) else 4, loc="left")
        few_ticks(axes, (wide - widest(encoders)) / len(datasets) - 8)
        share_axis(axes)
        axes.set_xlabel(metric)
    return figure


def _tall(frozen: pd.DataFrame) -> float:
    """Height of a row, mm: room for the encoder with the most heads."""
    return max(ROW, 1.6 + BETWEEN * int(frozen.groupby(["dataset", "encoder"]).size().max()))


def _panel(axes: Axes, table: pd.DataFrame, encoders: Sequence[str], heads: dict[str, Look], tall: float) -> None:
    gains = [""] * len(encoders)
    for at, encoder in enumerate(encoders):
        own = table[table["encoder"] == encoder]
        own = own.iloc[own["head"].map(list(heads).index).argsort(kind="stable")]
        if len(own) > 1:
            axes.plot([own["value"].min(), own["value"].max()], [at, at], color=PALE, linewidth=2.2, zorder=1)
        moves = (np.arange(len(own)) - (len(own) - 1) / 2) * (BETWEEN / tall if own["low"].notna().any() else 0.0)
        for row, move in zip(own.itertuples(), moves, strict=True):
            interval(axes, at + move, row.value, row.low, row.high, heads[row.head])
        gains[at] = _gain(own, heads)
    if any(gains):
        beside(axes, gains, "gain")
    grid(axes, "x")
    axes.spines["left"].set_visible(False)


def _gain(own: pd.DataFrame, heads: dict[str, Look]) -> str:
    """What the largest head scores above the smallest, where there is one row of each."""
    by_head = own.set_index("head")["value"]
    present = [head for head in heads if head in by_head.index]
    if len(present) < 2 or by_head.index.has_duplicates:
        return ""
    return signed(by_head[present[-1]] - by_head[present[0]])


def _baselines(axes: Axes, supervised: pd.DataFrame) -> None:
    for row in supervised.itertuples():
        if pd.notna(row.low) and pd.notna(row.high):
            axes.axvspan(row.low, row.high, color=GREY, alpha=0.13, linewidth=0, zorder=0.5)
        axes.axvline(row.value, color=GREY, linewidth=0.9, linestyle=(0, (3, 2)), zorder=2)
        low, high = axes.get_xlim()
        # The name must not run into the heading of the gains, on the right.
        side = "right" if (row.value - low) / (high - low) > 0.6 else "center"
        axes.annotate(
            str(row.head),
            (row.value, 1),
            (1 if side == "right" else 0, 1.5),
            xycoords=("data", "axes fraction"),
            textcoords="offset points",
            size=SMALL,
            color=GREY,
            ha=side,
            va="bottom",
            annotation_clip=False,
        )


def _alt(table: pd.DataFrame, datasets: Sequence[str], metric: str) -> str:
    parts = []
    for dataset in datasets:
        here = table[table["dataset"] == dataset]
        top = here.loc[here["value"].idxmax()]
        parts.append(f"{dataset}: best is {top['encoder']} with {top['head']}, {top['value']:.3f}")
    return f"{metric} of each encoder with each head. " + "; ".join(parts) + "."
