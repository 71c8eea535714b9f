"""Published rows among ours, as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

Figure = Callable[[Mapping[str, Any]], str]
"""What a row shows under a heading."""

PUBLISHED: Mapping[str, Figure] = {
    "macro F1 [95 %]": lambda row: _digits(row["macro_f1"]),
    "accuracy [95 %]": lambda row: _digits(row["accuracy"]),
    "cells": lambda row: "" if math.isnan(row["cells"]) else f"{row['cells']:,.0f}",
}
"""Headings of the leaderboard to what a published row shows under them: nothing under the others."""


def is_published(row: Mapping[str, Any]) -> bool:
    """Whether a row was published, not run."""
    from cryostat.results.published.listing import PUBLISHED as KIND

    return bool(row.get("kind") == KIND)


def beside(figures: Mapping[str, Figure]) -> dict[str, Figure]:
    """The figures of our runs, which show of published rows what these have."""
    return {name: _either(figure, PUBLISHED.get(name, lambda row: "")) for name, figure in figures.items()}


def name_of(row: Mapping[str, Any], column: str) -> str:
    """A name of a row; beside `published` the marks of a published one."""
    marks = row["marks"] if column == "mode" and is_published(row) else ""
    return f"{row[column]} {marks}".rstrip()


def _either(ours: Figure, theirs: Figure) -> Figure:
    return lambda row: theirs(row) if is_published(row) else ours(row)


def _digits(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
