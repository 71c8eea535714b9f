"""Models in order: scores with intervals and rank groups, and differences of pairs."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from cryostat.core.figures import GREY
from cryostat.report.figures.marks import columns_beside, few_ticks, interval, limits, rows, width_beside
from cryostat.report.figures.style import (
    BETTER,
    DOUBTFUL,
    NORMAL,
    SMALL,
    WORSE,
    Look,
    canvas,
    checked,
    fitting,
    grid,
    heads_in_order,
    looks,
    number,
    ranged,
    share_axis,
    signed,
    styled,
    widest,
)

ROW = 4.2
"""Height of a row, mm."""


@styled
def ranking_figure(
    frame: pd.DataFrame, *, metric: str = "macro F1", title: str = "", note: str = "", width: float | None = None
) -> Figure:
    """Models from best to worst.

    Args:
        frame: A row a model: `label`, `value`, and where known `low`, `high`, `rank` (models that cannot be told apart
            share one), `kind` (models of one kind are of one colour) and `doubtful` (the interval carries a mark, which
            the note explains).
        metric: What the values are.
        title: Above the figure.
        note: Below it: what the intervals and n are.
        width: mm; by default a column, or a page for long names.

    Raises:
        InputError: The table lacks a column, or has no row.
    """
    table = checked(frame, "ranking", ("label", "value"), ("low", "high", "rank", "kind", "doubtful"))
    table = table.sort_values("value", ascending=False, kind="stable", ignore_index=True)
    kinds = looks(heads_in_order(map(str, table["kind"].dropna())))
    labels, told = [str(label) for label in table["label"]], _ranked(table, metric)
    wide = width or fitting(labels, width_beside(told), least=24)
    alt = _ranking_alt(table, metric)
    figure = canvas(wide, 9 + ROW * len(table), title=title, note=note, alt=alt, series=kinds)
    axes = figure.subplots()
    rows(axes, labels)
    plain = Look(BETTER, "o")
    for at, row in enumerate(table.itertuples()):
        interval(axes, at, row.value, row.low, row.high, kinds.get(str(row.kind), plain))
    columns_beside(axes, told)
    grid(axes, "x")
    axes.spines["left"].set_visible(False)
    axes.set_xlim(*limits([table["value"], table["low"], table["high"]], margin=0.06))
    few_ticks(axes, wide - widest(labels) - width_beside(told) - 8)
    share_axis(axes)
    axes.set_xlabel(metric)
    return figure


def _ranked(table: pd.DataFrame, metric: str) -> dict[str, list[str]]:
    """Columns beside the rows: values with their intervals, and ranks."""
    reach = [ranged(low, high) for low, high in zip(table["low"], table["high"], strict=True)]
    marks = [DOUBTFUL if doubtful is True else "" for doubtful in table["doubtful"]]
    told = [f"{number(v)} [{r}]{m}" if r else number(v) for v, r, m in zip(table["value"], reach, marks, strict=True)]
    ranks = ["" if pd.isna(rank) else str(int(rank)) for rank in table["rank"]]
    return {f"{metric} [95 %]" if any(reach) else metric: told, "rank": ranks}


def _ranking_alt(table: pd.DataFrame, metric: str) -> str:
    best, worst = table.iloc[0], table.iloc[-1]
    told = f"{len(table)} models by {metric}. Best: {best['label']} with {_figure(best)}"
    return f"{told}; last: {worst['label']} with {_figure(worst)}." if len(table) > 1 else f"{told}."


def _figure(row: pd.Series) -> str:
    reach = ranged(row["low"], row["high"])
    return number(row["value"], 3) + (f" (95 % interval {reach})" if reach else "")


@styled
def differences_figure(
    frame: pd.DataFrame, *, metric: str = "macro F1", title: str = "", note: str = "", width: float | None = None
) -> Figure:
    """Differences of pairs of models on the same cases, as a forest: on the right of 0 the first is better.

    Args:
        frame: A row a pair: `first`, `second`, `difference`, `low`, `high`, and where known `p` (adjusted for the
            number of pairs).
        metric: What is compared.
        title: Above the figure.
        note: Below it: the test, the adjustment, n.
        width: mm; by default a column, or a page for long names.

    Raises:
        InputError: The table lacks a column, or has no row.
    """
    table = checked(frame, "differences", ("first", "second", "difference", "low", "high"), ("p",))
    table = table.sort_values("difference", ascending=False, kind="stable", ignore_index=True)
    single = table["first"].nunique() == 1
    labels = list(table["second"]) if single else [f"{row.first}\n− {row.second}" for row in table.itertuples()]
    high = ROW if single else 1.5 * ROW
    told = _compared(table)
    wide = width or fitting(labels, width_beside(told), least=18)
    figure = canvas(wide, 9 + high * len(table), title=title, note=note, alt=_differences_alt(table, metric))
    axes = figure.subplots()
    rows(axes, labels, size=NORMAL if single else SMALL)
    axes.axvline(0, color=GREY, linewidth=0.8, zorder=1)
    for at, row in enumerate(table.itertuples()):
        sure = row.low > 0 or row.high < 0
        colour = GREY if not sure else BETTER if row.difference > 0 else WORSE
        interval(axes, at, row.difference, row.low, row.high, Look(colour, "o", filled=sure))
    columns_beside(axes, told)
    grid(axes, "x")
    axes.spines["left"].set_visible(False)
    axes.set_xlim(*limits([table["low"], table["high"], table["difference"], [0.0]], margin=0.06))
    axes.set_xlabel(f"{metric}: {table['first'].iloc[0]} − row" if single else f"difference in {metric}")
    few_ticks(axes, wide - widest(labels, NORMAL if single else SMALL) - width_beside(told) - 8)
    axes.xaxis.set_major_formatter(lambda value, _: signed(value))
    return figure


def _compared(table: pd.DataFrame) -> dict[str, list[str]]:
    """Columns beside the rows: differences with their intervals, and p."""
    told = [f"{signed(row.difference)} [{number(row.low)}, {number(row.high)}]" for row in table.itertuples()]
    return {"difference [95 %]": told, "p": ["" if pd.isna(p) else _p(p) for p in table["p"]]}


def _p(p: float) -> str:
    return "<0.001" if p < 0.001 else f"{p:.3f}" if p < 0.0995 else f"{p:.2f}"


def _differences_alt(table: pd.DataFrame, metric: str) -> str:
    told = ((table["low"] > 0) | (table["high"] < 0)).sum()
    top = table.iloc[0]
    return (
        f"Differences in {metric} of {len(table)} pairs of models, {told} of them with a 95 % interval that excludes "
        f"0. Largest: {top['first']} above {top['second']} by {signed(top['difference'], 3)} "
        f"({signed(top['low'])} to {signed(top['high'])})."
    )
