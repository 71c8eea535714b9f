"""The table of results as files for other programs and for people."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from cryostat.core.files import atomic_write, write_json
from cryostat.results.published.listing import PUBLISHED, footnotes
from cryostat.results.tables import CLASS_F1, LABELS


def write_csv(path: Path, frame: pd.DataFrame) -> None:
    """A summary as CSV; run ids are separated by spaces, what is undefined is empty."""
    write_text(path, frame.assign(runs=frame["runs"].map(" ".join)).to_csv(index=False))


def write_records(path: Path, frame: pd.DataFrame) -> None:
    """A summary as a JSON list of objects; what is undefined is null."""
    write_json(path, [{key: _plain(value) for key, value in row.items()} for row in frame.to_dict("records")])


def write_markdown(path: Path, frame: pd.DataFrame) -> None:
    """A summary as a Markdown table: macro F1 and accuracy as mean ± sd over seeds, F1 of each class.

    A frame with intervals and ranks (`leaderboard`) has them shown beside the means; one with published rows
    (`with_published`) has what must be known of them below.
    """
    classes = [name for name in frame.columns if name.startswith(CLASS_F1)]
    header = [*LABELS, "variant", "folds", "seeds", "macro F1", "accuracy", "cells", *classes]
    ranked = "rank" in frame.columns
    if ranked:
        header = ["rank", *(f"{name} [95 %]" if name in ("macro F1", "accuracy") else name for name in header)]
    lines = [
        header,
        ["---:"] * ranked
        + [*("---:" if name == "fraction" else "---" for name in (*LABELS, "variant", "folds"))]
        + ["---:"] * (4 + len(classes)),
    ]
    for row in frame.to_dict("records"):
        marked = {**row, "mode": f"{row['mode']} {row.get('marks', '')}".rstrip()}
        shown = [cell_text(marked[name]) for name in (*LABELS, "variant", "folds", "seeds")]
        figures = [" ".join(filter(None, _with_interval(row, name))) for name in ("macro_f1", "accuracy")]
        place = [cell_text(row["rank"])] if ranked else []
        by_class = (spread(row[name]) for name in classes)
        lines.append([*place, *shown, *figures, cell_text(row["cells"]), *by_class])
    notes = footnotes(frame[frame["kind"] == PUBLISHED]) if "kind" in frame.columns else []
    write_text(path, "".join([*(f"| {' | '.join(line)} |\n" for line in lines), *(f"\n{note}\n" for note in notes)]))


def _with_interval(row: Mapping[str, Any], name: str) -> tuple[str, str]:
    return spread(row[name], row[f"{name}_sd"]), bounds(row.get(f"{name}_low"), row.get(f"{name}_high"))


WRITERS: Mapping[str, Callable[[Path, pd.DataFrame], None]] = {
    "csv": write_csv,
    "json": write_records,
    "markdown": write_markdown,
}
"""Form to its writer."""


def spread(mean: float, sd: float = math.nan, digits: int = 3) -> str:
    """`0.641 ± 0.005`, without the second part where it is not known; a dash for what is undefined."""
    if math.isnan(mean):
        return "–"
    return f"{mean:.{digits}f}" if math.isnan(sd) else f"{mean:.{digits}f} ± {sd:.{digits}f}"


def bounds(low: float | None, high: float | None, digits: int = 3) -> str:
    """`[0.612, 0.668]`; nothing for what is undefined."""
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    return f"[{low:.{digits}f}, {high:.{digits}f}]"


def write_text(path: Path, text: str) -> None:
    """Write text atomically."""
    with atomic_write(path) as stream:
        stream.write(text.encode())


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value


def cell_text(value: Any) -> str:
    """A value as it stands in a Markdown table; a dash for what is undefined."""
    plain = _plain(value)
    text = "–" if plain is None else f"{plain:g}" if isinstance(plain, float) else str(plain)
    return text.replace("|", "\\|")
