"""Class tables, and colours for classes that come without."""

from __future__ import annotations

import colorsys
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from cryostat.cells.datasets.tables import find_column, read_text_table, require_column, whole_number
from cryostat.cells.field import CellClass
from cryostat.core.errors import InputError

PALETTE = (
    "#1f5fbf", "#f28e2b", "#2a9d4a", "#d00000", "#7209b7", "#00b8a0", "#ffd166", "#ff5d8f",
    "#4cc9f0", "#8c6d31", "#3a0ca3", "#a7c957", "#b5179e", "#8d99ae", "#9b5de5", "#5f0f40",
)  # fmt: skip
"""Colours told apart on pink and violet tissue."""

HIGHEST_ID = 1023
"""Largest class id that a dataset may have."""


def palette(count: int) -> tuple[str, ...]:
    """`count` distinct colours, `#rrggbb`."""
    extra = (colorsys.hls_to_rgb((0.07 + i * 0.618034) % 1, 0.35 + 0.07 * (i % 5), 0.75) for i in range(HIGHEST_ID))
    colors = list(PALETTE)
    for rgb in extra:
        if len(colors) >= count:
            break
        color = "#" + "".join(f"{round(255 * value):02x}" for value in rgb)
        colors += [] if color in colors else [color]
    return tuple(colors[:count])


def colored(classes: Sequence[CellClass]) -> tuple[CellClass, ...]:
    """The classes with a colour for each that has none, unlike those of the others."""
    taken = {c.color for c in classes if c.color}
    free = iter(color for color in palette(len(classes) + len(taken)) if color not in taken)
    return tuple(c if c.color else replace(c, color=next(free)) for c in classes)


def numbered(names: Sequence[str], path: Path) -> tuple[CellClass, ...]:
    """Classes numbered from 1 in the order of their names as given."""
    if not names or len(names) > HIGHEST_ID:
        raise InputError(f"names {len(names)} classes", where=path, remedy="Give a class table with --classes")
    return colored([CellClass(i, name) for i, name in enumerate(names, 1)])


def read_class_table(path: Path) -> tuple[CellClass, ...]:
    """Classes from a table `id,name[,color]`, ids ascending; a row for id 0 (background) is passed over.

    Raises:
        InputError: The table is unreadable, or an id, name or colour is not usable or occurs twice.
    """
    frame = read_text_table(path)
    id_column = require_column(frame, ("id", "class_id"), path)
    name_column = require_column(frame, ("name", "class", "class_name"), path)
    color_column = find_column(frame, ("color", "colour"))
    classes = []
    for row in frame.to_dict("records"):
        number = whole_number(row[id_column], "class id", path)
        color = hex_color(row[color_column], path) if color_column else ""
        classes.append(CellClass(number, row[name_column], color))
    return check_class_list([c for c in classes if c.id], path)


def check_class_list(classes: Sequence[CellClass], path: Path) -> tuple[CellClass, ...]:
    """The classes in order of their ids, each with a colour; an InputError when ids or names are not usable."""
    if not classes:
        raise InputError("names no class", where=path, remedy="Give each class an id from 1 and a name")
    for what, values in (("id", [str(c.id) for c in classes]), ("name", [c.name for c in classes])):
        if twice := next((value for value in values if values.count(value) > 1), None):
            raise InputError(f"has the class {what} {twice!r} twice", where=path, remedy="Give each class its own")
    if bad := next((c for c in classes if not c.name or not 1 <= c.id <= HIGHEST_ID), None):
        raise InputError(
            f"has the class id {bad.id} with the name {bad.name!r}",
            where=path,
            remedy=f"Number the classes from 1 to at most {HIGHEST_ID} and name each",
        )
    return colored(sorted(classes, key=lambda c: c.id))


def hex_color(text: str, path: Path) -> str:
    """A colour `#rrggbb` in lower case, or "" where there is none."""
    if text and not re.fullmatch(r"#[0-9a-fA-F]{6}", text):
        raise InputError(f"has the colour {text!r}", where=path, remedy="Write colours as #rrggbb, or leave them out")
    return text.lower()


def class_lookup(classes: Sequence[CellClass]) -> dict[str, int]:
    """What a table may call each class, its name or its id, to the id; "" and "0" are no class. Names win over ids."""
    by_id = {str(c.id): c.id for c in classes}
    return {"": 0, "0": 0} | by_id | {c.name: c.id for c in classes}
