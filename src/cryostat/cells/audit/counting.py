"""How many nuclei of which class there are, in all, by site, and by part of each split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pandas as pd

from cryostat.cells.audit.report import CountRow, Finding, places
from cryostat.cells.dataset import PARTS, CellDataset, Split
from cryostat.cells.splits.grouping import values

NO_CLASS = "without a class"


def count_rows(dataset: CellDataset, splits: Iterable[Split]) -> Iterator[CountRow]:
    """Counts of the whole dataset, of each site, and of each part of each split."""
    table = class_table(dataset)
    yield _row(table, dataset.fovs.index, CountRow("all", "", "", 0, 0, {}))
    site_of = values(dataset.fovs, "site")
    for site in sorted({site for site in site_of.values() if site is not None}):
        yield _row(table, [fov for fov, s in site_of.items() if s == site], CountRow("site", site, "", 0, 0, {}))
    for split in splits:
        for part in PARTS:
            yield _row(table, split.fovs(part), CountRow("split", split.name, part, 0, 0, {}))


def class_table(dataset: CellDataset) -> pd.DataFrame:
    """Nuclei by field of view (rows) and class name (columns, in class order, without a class last)."""
    names = {c.id: c.name for c in dataset.classes}
    found = pd.crosstab(dataset.cells["fov_id"], dataset.cells["class_id"])
    unnamed = sorted(set(found.columns) - set(names) - {0})
    order = [*names, *unnamed, *([0] if 0 in found.columns else [])]
    table = found.reindex(index=dataset.fovs.index, columns=order, fill_value=0)
    return table.rename(columns={**names, **{i: f"class {i}" for i in unnamed}, 0: NO_CLASS})


def _row(table: pd.DataFrame, fovs: Iterable[str], about: CountRow) -> CountRow:
    rows = table.loc[table.index.isin(set(fovs))]
    per_class = {str(name): int(n) for name, n in rows.sum().items()}
    return CountRow(about.scope, about.name, about.part, len(rows), sum(per_class.values()), per_class)


def class_findings(dataset: CellDataset, rows: Iterable[CountRow]) -> Iterator[Finding]:
    """Ids without names, names without nuclei, nuclei without a class, classes that a part lacks."""
    names = {c.name for c in dataset.classes}
    by_scope: dict[str, list[CountRow]] = {"all": [], "site": [], "split": []}
    for row in rows:
        by_scope[row.scope].append(row)
    for row in by_scope["all"]:
        yield from _of_all(row, names)
        present = [name for name in row.per_class if name in names and row.per_class[name]]
        yield from _of_parts(by_scope["split"], present)


def _of_parts(rows: Iterable[CountRow], present: Iterable[str]) -> Iterator[Finding]:
    lacking = [
        f"{row.name}/{row.part} ({', '.join(missing)})"
        for row in rows
        if row.fields and (missing := [name for name in present if not row.per_class[name]])
    ]
    if lacking:
        yield Finding(
            "warning",
            "class missing from part",
            f"parts of splits without some class that the dataset has: {len(lacking)}",
            places(lacking),
            "Read the scores of such a class as undefined, or choose another split",
        )


def _of_all(row: CountRow, names: set[str]) -> Iterator[Finding]:
    lacking = [name for name in row.per_class if name in names and not row.per_class[name]]
    strangers = [name for name in row.per_class if name not in names and name != NO_CLASS]
    if strangers:
        n = sum(row.per_class[name] for name in strangers)
        yield Finding(
            "error",
            "class id without a name",
            f"nuclei of a class that the dataset does not name: {n:,}",
            ", ".join(strangers),
            "Add the class to the class table and import again",
        )
    if lacking:
        yield Finding(
            "warning",
            "class without nuclei",
            f"named classes without a nucleus: {len(lacking)}",
            ", ".join(lacking),
            "Check that the import was complete and the class ids are those of this release",
        )
    if n := row.per_class.get(NO_CLASS, 0):
        yield Finding(
            "warning",
            "nucleus without a class",
            f"nuclei without a class, neither trained on nor scored: {n:,} of {row.cells:,}",
            "cells.parquet, class_id 0",
            "Check that this is what the source says",
        )
