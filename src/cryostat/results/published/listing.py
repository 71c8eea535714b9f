"""Published rows as rows of a leaderboard, below those of our runs, and flagged."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pandas as pd

from cryostat.results.published.tables import (
    BENCHMARKS,
    PublishedRow,
    PublishedTable,
    published,
    published_benchmark,
    published_on,
)
from cryostat.results.tables import CLASS_F1

RUN, PUBLISHED = "run", "published"
"""Values of the column `kind`; the second also stands for the mode of a published row."""

BLOCK = ("dataset", "split", "fraction")
"""In what published rows agree with our runs."""

FLAGS = ("kind", "printed", "source", "marks", "remarks")
"""Columns that a table with published rows has more: what a row is, the model as printed, where it stands, its marks
and what they say (after `MARKS_APART` each)."""

MARKS_APART = " | "
"""Between the explanations of several marks."""


def published_cells(
    frame: pd.DataFrame, *, encoders: Collection[str] = (), heads: Collection[str] = ()
) -> pd.DataFrame:
    """What was published of the datasets, splits and shares of the training fields of a leaderboard, best first.

    Args:
        frame: The table of our runs (`tables.summarise`, `leaderboard`).
        encoders: Only rows of these encoders; empty for all.
        heads: Only rows of these heads; empty for all.

    Returns:
        A frame with the columns `dataset`, `split`, `fraction`, `encoder`, `head`, `mode` (`published`), `macro_f1`,
        `accuracy`, `cells` (true cells of the test part, where they are known), `f1 <class>` and `FLAGS`;
        each row once, whatever the protocols of our runs. Undefined values are NaN.
    """
    blocks = frame[[*BLOCK]].drop_duplicates().itertuples(index=False)
    rows = [
        _facts(row, table)
        for dataset, split, fraction in blocks
        for row, table in rows_with_tables(str(dataset), str(split), float(fraction))
        if (not encoders or row.encoder in encoders) and (not heads or row.head in heads)
    ]
    columns = ["dataset", "split", "fraction", "encoder", "head", "mode", "macro_f1", "accuracy", "cells", *FLAGS]
    made = pd.DataFrame(rows, columns=None if rows else columns)
    order = ["dataset", "split", "fraction", "macro_f1"]
    return made.sort_values(order, ascending=[True, True, False, False], kind="stable").reset_index(drop=True)


def rows_with_tables(dataset: str, split: str, fraction: float) -> Iterator[tuple[PublishedRow, PublishedTable]]:
    """The rows of `published_on`, each with the first table that has it."""
    tables = [t for name in BENCHMARKS for t in published(name) if (t.dataset, t.split) == (dataset, split)]
    for row in published_on(dataset, split, fraction):
        yield row, next(table for table in tables if row in table.rows)


def _facts(row: PublishedRow, table: PublishedTable) -> dict[str, Any]:
    return {
        "dataset": table.dataset,
        "split": table.split,
        "fraction": row.fraction,
        "encoder": row.encoder or row.model,
        "head": row.head,
        "mode": PUBLISHED,
        "macro_f1": row.metrics.get("macro_f1", math.nan),
        "accuracy": row.metrics.get("accuracy", math.nan),
        "cells": sum(table.supports.values()) or math.nan,
        **flags(row, table),
        **{CLASS_F1 + name: value for name, value in row.per_class.items()},
    }


def flags(row: PublishedRow, table: PublishedTable) -> dict[str, str]:
    """The columns `FLAGS` of a published row."""
    benchmark = published_benchmark(table.benchmark)
    return {
        "kind": PUBLISHED,
        "printed": row.model or row.config,
        "source": f"{benchmark.title}, {table.source}",
        "marks": "".join(row.marks),
        "remarks": MARKS_APART.join(benchmark.marks[mark] for mark in row.marks),
    }


def of_block(rows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The published rows that stand below some runs, all of one dataset, split and share of the training fields."""
    block = runs.iloc[0]
    return rows[(rows[[*BLOCK]] == block[[*BLOCK]]).all(axis=1)]


def with_published(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """A table of our runs with published rows after them, all told apart by the column `kind`.

    Args:
        frame: Of our runs.
        rows: Published ones, with some of its columns and those of `FLAGS`.

    Returns:
        The columns of the first, then `FLAGS`; whole numbers stay whole, what a published row does not have is NaN.
    """
    flagged = frame.assign(kind=RUN, **dict.fromkeys(FLAGS[1:], ""))
    empty = {name: _nothing(name) for name in flagged.columns if name not in rows.columns}
    aligned = rows.assign(**{name: [value] * len(rows) for name, value in empty.items()})[list(flagged.columns)]
    return pd.concat([flagged.astype(object), aligned.astype(object)], ignore_index=True)


def _nothing(column: str) -> Any:
    return {"runs": [], "variant": "", "folds": "", "protocol": "", "rare": "", "superseded": 0}.get(column, math.nan)


def footnotes(rows: pd.DataFrame) -> list[str]:
    """What must be known of published rows: where they stand, that they have no interval, what their marks say."""
    if rows.empty:
        return []
    sources = " · ".join(dict.fromkeys(rows["source"]))
    return [
        f"Rows {PUBLISHED!r}: {sources}. One run each, by its authors and their rules; no interval, so no rank.",
        *(f"{mark}: {text}." for mark, text in sorted(_marks(rows).items())),
    ]


def _marks(rows: pd.DataFrame) -> Mapping[str, str]:
    told = (zip(m, r.split(MARKS_APART), strict=True) for m, r in zip(rows["marks"], rows["remarks"], strict=True) if m)
    return dict(pair for pairs in told for pair in pairs)
