from __future__ import annotations

from pathlib import Path

import pytest

from cryostat.cells.datasets.class_table import class_lookup, numbered, palette, read_class_table
from cryostat.cells.field import CellClass
from cryostat.core.errors import InputError


@pytest.mark.parametrize("count", [0, 3, 16, 60, 300])
def test_colours_are_distinct(count: int) -> None:
    colors = palette(count)
    assert len(colors) == len(set(colors)) == count


def test_classes_come_in_order_with_free_colours(tmp_path: Path) -> None:
    path = tmp_path / "classes.csv"
    path.write_text(f"id,name,color\n9,b,\n0,background,\n2,a,{palette(1)[0]}\n")
    classes = read_class_table(path)
    assert [(c.id, c.name) for c in classes] == [(2, "a"), (9, "b")]
    assert classes[0].color == palette(1)[0] != classes[1].color


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("1,a,\n1,b,", "class id '1' twice"),
        ("1,a,\n2,a,", "class name 'a' twice"),
        ("0,background,", "names no class"),
        ("1,,", "class id 1 with the name ''"),
        ("1024,a,", "class id 1024"),
        ("one,a,", "not a whole number"),
        ("1,a,red", "colour 'red'"),
    ],
)
def test_unusable_tables_are_refused(tmp_path: Path, rows: str, message: str) -> None:
    path = tmp_path / "classes.csv"
    path.write_text(f"id,name,color\n{rows}\n")
    with pytest.raises(InputError, match=message):
        read_class_table(path)


def test_names_win_over_ids(tmp_path: Path) -> None:
    lookup = class_lookup((CellClass(1, "2"), CellClass(2, "b")))
    assert lookup == {"": 0, "0": 0, "1": 1, "2": 1, "b": 2}
    assert [c.id for c in numbered(["x", "y"], tmp_path)] == [1, 2]
