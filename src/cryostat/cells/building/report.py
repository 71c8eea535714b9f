"""The quality report that stands beside a built dataset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cells.building.quality import Limits, Verdict, missed_nuclei
from cryostat.cells.building.sheet import COLUMNS, ROWS, Entry, draw_page, save_page
from cryostat.cells.datasets.stain import haematoxylin
from cryostat.core.files import atomic_write

Loader = Callable[[str], tuple[NDArray[Any], NDArray[Any]]]

MOST_PAGES = 6
"""Contact sheets at most; beyond them the worst fields are shown."""


def write_report(folder: Path, name: str, verdict: Verdict, limits: Limits, load: Loader) -> tuple[Path, ...]:
    """Write `qc.csv`, `suspects.csv`, `exclude.csv` and `sheet-NN.png` into a folder.

    Sheets show every proposed field, the worst first, and as many unremarkable ones as fill the last page.

    Args:
        folder: Where to write; it is made.
        name: Name of the dataset, for titles.
        verdict: What to report.
        limits: Where suspicion began.
        load: Image and instance map of a field as they were measured.

    Returns:
        The files.
    """
    tables = {"qc.csv": verdict.fields, "suspects.csv": verdict.suspects, "exclude.csv": verdict.proposed}
    for file, table in tables.items():
        _write_csv(folder / file, table)
    shown = _shown(verdict.fields)
    sheets = []
    for number, start in enumerate(range(0, len(shown), COLUMNS * ROWS), 1):
        part = shown.iloc[start : start + COLUMNS * ROWS]
        entries = [_entry(load, verdict, row, limits) for _, row in part.iterrows()]
        title = f"{name}: masks to confirm by eye, sheet {number}"
        save_page(draw_page(entries, title), path := folder / f"sheet-{number:02d}.png")
        sheets.append(path)
    return (*(folder / file for file in tables), *sheets)


def _write_csv(path: Path, table: pd.DataFrame) -> None:
    with atomic_write(path) as stream:
        stream.write(table.to_csv(index=False).encode())


def _shown(fields: pd.DataFrame) -> pd.DataFrame:
    """Proposed fields by their worst share, then the others likewise, cut to whole pages."""
    worst = pd.concat(
        [fields["merged_share"], fields["missed_share"], fields["unmatched_share"], 1 - fields["darker_share"]], axis=1
    ).max(axis=1)
    ordered = fields.assign(proposed=fields["reason"] != "", worst=worst.fillna(0.0))
    ordered = ordered.sort_values(["proposed", "worst"], ascending=False, kind="stable")
    page = COLUMNS * ROWS
    pages = min(int(ordered["proposed"].sum()) // page + 1, MOST_PAGES)
    return ordered.head(pages * page)


def _entry(load: Loader, verdict: Verdict, row: pd.Series, limits: Limits) -> Entry:
    fov = str(row["fov_id"])
    image, instances = load(fov)
    suspects = verdict.suspects.loc[verdict.suspects["fov_id"] == fov, "cell_id"].to_numpy()
    missed = missed_nuclei(haematoxylin(image), instances, limits)
    return Entry(fov, str(row["reason"]), figures(row), image, instances, suspects, missed)


def figures(row: pd.Series) -> str:
    """`1,107 nuclei of 12.5 square microns`, then what is wrong with them; in letters that Pillow's own font has."""
    missed = "missed not told" if np.isnan(row["missed"]) else f"{row['missed']:.0f} missed"
    parts: Sequence[str] = (
        f"{row['nuclei']:,} nuclei of {row['median_um2']:.1f} square microns",
        f"{row['merged']} may be several",
        missed,
        f"{row['unmatched']} of {row['rows']:,} rows unmatched",
    )
    return " · ".join(parts)
