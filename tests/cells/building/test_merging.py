from __future__ import annotations

from pathlib import Path

import pytest

from cryostat.cells.building.merging import each_its_own, read_merge
from cryostat.cells.datasets.pathocell import FACTS, TYPES
from cryostat.core.errors import InputError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "merge.csv"
    path.write_text(text)
    return path


def test_classes_are_numbered_as_they_occur(tmp_path: Path) -> None:
    merge = read_merge(write(tmp_path, "phenotype,class\nCD8,T cells\nB,B cells\nCD4,T cells\ndirt,\nfold,Remove\n"))
    assert [(c.id, c.name) for c in merge.classes] == [(1, "T cells"), (2, "B cells")]
    assert merge.class_of == {"": 0, "CD8": 1, "B": 2, "CD4": 1, "dirt": None, "fold": None}


def test_shipped_table_makes_the_classes_of_pathocell() -> None:
    merge = read_merge(Path("pathocell"))
    assert merge == read_merge(TYPES)
    assert merge.classes == FACTS.classes
    assert merge.class_of["dirt"] is None
    assert merge.class_of["Tregs"] == 5


def test_without_a_table_each_phenotype_is_a_class(tmp_path: Path) -> None:
    merge = each_its_own(["b", "a", "b", ""], tmp_path)
    assert [(c.id, c.name) for c in merge.classes] == [(1, "a"), (2, "b")]
    assert merge.class_of == {"": 0, "a": 1, "b": 2}


def test_unknown_phenotypes_are_named(tmp_path: Path) -> None:
    merge = read_merge(write(tmp_path, "phenotype,class\na,A\n"))
    merge.require(["a", ""])
    with pytest.raises(InputError, match=r"merge.csv: does not say what becomes of 'b', 'c'. Add a row"):
        merge.require(["c", "a", "b"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("phenotype,class\na,A\na,B\n", "phenotype 'a' twice"),
        ("phenotype,class,class_id\na,A,1\nb,A,2\n", "gives the class 'A' the ids 1 and 2"),
        ("phenotype,class,class_id\na,A,1\nb,B,1\n", "class id '1' twice"),
        ("phenotype,class,class_id\na,A,0\n", "class id 0"),
        ("phenotype,class\na,\n", "names no class"),
        ("phenotype,group\na,A\n", "no column 'class'"),
    ],
)
def test_unusable_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_merge(write(tmp_path, text))
