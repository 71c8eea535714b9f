"""Merge tables: from the phenotypes that an assay tells apart to the classes of a dataset."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryostat.cells.datasets.class_table import check_class_list, hex_color, numbered
from cryostat.cells.datasets.pathocell import TYPES
from cryostat.cells.datasets.tables import find_column, read_text_table, require_column, whole_number
from cryostat.cells.field import CellClass
from cryostat.core.errors import InputError

REMOVE = frozenset({"", "remove", "removed"})
"""What stands in a merge table, in lower case, for phenotypes whose nuclei leave the instance map."""


SHIPPED: Mapping[str, Path] = {"pathocell": TYPES}
"""Merge tables that come with Cryostat, by the name that stands for their path."""


@dataclass(frozen=True)
class Merge:
    """Phenotype to class.

    Attributes:
        classes: The dataset's classes, ids ascending.
        class_of: Phenotype to class id, or None where its nuclei are removed. The phenotype "" (not known) has class 0.
        path: The table; the phenotypes' own when there is none.
    """

    classes: tuple[CellClass, ...]
    class_of: Mapping[str, int | None]
    path: Path

    def require(self, phenotypes: Iterable[str]) -> None:
        """Raise an InputError when a phenotype is not in the table."""
        if unknown := sorted(set(phenotypes) - set(self.class_of)):
            more = f" and {len(unknown) - 8} more" if len(unknown) > 8 else ""
            raise InputError(
                f"does not say what becomes of {', '.join(map(repr, unknown[:8]))}{more}",
                where=self.path,
                remedy="Add a row for each; leave its class empty to remove the nuclei",
            )


def read_merge(path: Path) -> Merge:
    """A table `phenotype,class[,class_id][,color]`; an empty class, or `remove`, removes the phenotype's nuclei.

    Classes without ids are numbered in the order in which they first occur. A name of `SHIPPED` stands for that table,
    unless there is a file of that name.

    Raises:
        InputError: The table is unreadable, has a phenotype twice, or gives a class two ids.
    """
    path = path if path.exists() else SHIPPED.get(str(path), path)
    frame = read_text_table(path)
    phenotype = require_column(frame, ("phenotype", "fine", "cell_type"), path)
    target = require_column(frame, ("class", "coarse", "class_name"), path)
    number, color = find_column(frame, ("class_id", "id")), find_column(frame, ("color", "colour"))
    classes: dict[str, CellClass] = {}
    class_of: dict[str, int | None] = {"": 0}
    for row in frame.to_dict("records"):
        if row[phenotype] in class_of:
            raise InputError(f"has the phenotype {row[phenotype]!r} twice or empty", where=path, remedy="Keep one row")
        class_of[row[phenotype]] = None
        if row[target].lower() not in REMOVE:
            named = _class(row[target], row[number] if number else "", row[color] if color else "", classes, path)
            class_of[row[phenotype]] = named.id
    return Merge(check_class_list(list(classes.values()), path), class_of, path)


def _class(name: str, number: str, color: str, classes: dict[str, CellClass], path: Path) -> CellClass:
    known = classes.get(name)
    new_id = whole_number(number, "class id", path) if number else known.id if known else len(classes) + 1
    if known and known.id != new_id:
        raise InputError(f"gives the class {name!r} the ids {known.id} and {new_id}", where=path, remedy="Keep one id")
    return classes.setdefault(name, CellClass(new_id, name, hex_color(color, path)))


def each_its_own(phenotypes: Iterable[str], path: Path) -> Merge:
    """A merge that keeps every phenotype as a class, numbered in alphabetical order."""
    classes = numbered(sorted(set(phenotypes) - {""}), path)
    return Merge(classes, {"": 0, **{c.name: c.id for c in classes}}, path)
