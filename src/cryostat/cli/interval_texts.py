"""Intervals, ranks and what stands behind them, as text."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from cryostat.results.intervals import CellIntervals

PLURALS = {"patient": "patients", "field": "fields of view", "patient or field": "patients or fields of view"}
"""What is resampled, as a reader says it."""

DOUBTFUL = "†"
"""Behind intervals over few patients; the caption says what it means."""


def figures() -> dict[str, Callable[[Mapping[str, Any]], str]]:
    """Heading to what a row of the leaderboard shows under it."""
    return {
        "rank": lambda row: "" if row["rank"] is None else str(row["rank"]),
        "seeds": lambda row: str(row["seeds"]),
        "macro F1 [95 %]": lambda row: _with_interval(row, "macro_f1"),
        "± seeds": lambda row: _known(row["macro_f1_sd"]),
        "without rare": lambda row: _known(row["macro_f1_common"]),
        "accuracy [95 %]": lambda row: _with_interval(row, "accuracy"),
        "cells": lambda row: f"{row['cells']:,}",
    }


def run_line(found: CellIntervals) -> str:
    """The means of one run with their intervals; empty where there is none."""
    from cryostat.results.export import bounds

    if math.isnan(found.macro_f1.low):
        return ""
    means = {"macro F1": found.macro_f1, "accuracy": found.accuracy}
    shown = " · ".join(f"{name} {m.value:.3f} {bounds(m.low, m.high)}" for name, m in means.items())
    doubt = f", likely too narrow ({found.doubt})" if found.doubt else ""
    return f"{shown}: 95 % intervals over {found.clusters} {PLURALS[found.kind]}{doubt}"


def class_with_interval(row: Mapping[str, Any], column: str) -> str:
    """F1 of a class and its interval."""
    from cryostat.results.export import bounds, spread
    from cryostat.results.leaderboard import CLASS_HIGH, CLASS_LOW
    from cryostat.results.tables import CLASS_F1

    name = column.removeprefix(CLASS_F1)
    ends = bounds(row[CLASS_LOW + name], row[CLASS_HIGH + name], digits=2)
    doubtful = f", {name} (" in f", {row['doubtful']}"
    return f"{spread(row[column])} {ends}{DOUBTFUL if ends and doubtful else ''}".rstrip()


def caption(rows: pd.DataFrame, classes: bool) -> list[str]:
    """What the intervals and ranks of a table rest on; of its classes, where they are shown."""
    first = rows.iloc[0]
    if first["cluster"] is None:
        return []
    number = int(first["clusters"])
    lines = [_basis(number, str(first["cluster"]), float(first["effective_clusters"]), rows)]
    if number > 1 and (why := _doubt(first)):
        lines.append(f"{DOUBTFUL} {why[0].upper()}{why[1:]}: the interval is likely too narrow.")
    elif classes and isinstance(first["doubtful"], str) and first["doubtful"]:
        kind = PLURALS[str(first["cluster"])]
        told = f"Mostly held by few {kind} (as good as so many equal ones), the interval is likely too narrow"
        lines.append(f"{DOUBTFUL} {told}: {first['doubtful']}.")
    if rows["rank"].notna().any():
        lines.append(_power(number, str(first["cluster"]), rows))
    if first["rare"] and number > 1:
        lines.append(f"Rare, so that little can be said of them: {first['rare']}.")
    if rows["rank"].notna().any() and rows.loc[rows["complete"], "rank"].isna().any():
        lines.append("Rows without a rank were tested on other nuclei.")
    return lines


def _basis(number: int, kind: str, effective: float, rows: pd.DataFrame) -> str:
    if number < 2:
        return f"No intervals: all cells are of one {kind}."
    as_good = f", as good as {effective:.0f} equal ones" if effective < 0.9 * number else ""
    text = f"Intervals over {number} {PLURALS[kind]}{as_good}"
    effect = float(rows["design_effect"].median())
    if math.isnan(effect):
        return text + "."
    cells = int(rows["cells"].iloc[0])
    return (
        f"{text}; {cells:,} cells tell as much as {cells / effect:,.0f} drawn one by one (design effect {effect:.0f})."
    )


def _power(number: int, kind: str, rows: pd.DataFrame) -> str:
    shared = "Equal ranks: a paired test cannot tell them apart from the best of their group"
    reach = float(rows["detectable"].median())
    if math.isnan(reach):
        return f"{shared}; {number} {PLURALS[kind]} are too few for any such test."
    return f"{shared}; it finds a difference of {reach:.3f} from the best in four of five studies."


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    from cryostat.results.export import bounds, spread

    ends = bounds(row[name + "_low"], row[name + "_high"])
    mark = DOUBTFUL if ends and _doubt(row) else ""
    return f"{spread(row[name])} {ends}{mark}".rstrip()


def _doubt(row: Mapping[str, Any]) -> str:
    from cryostat.results.intervals import doubt

    return doubt(int(row["clusters"]), str(row["cluster"]))


def _known(value: float) -> str:
    return "" if math.isnan(value) else f"{value:.3f}"
