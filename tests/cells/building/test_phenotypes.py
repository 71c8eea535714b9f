from __future__ import annotations

from pathlib import Path

import pytest

from cryostat.cells.building.phenotypes import read_phenotypes
from cryostat.core.errors import InputError


def test_one_table_by_id(tmp_path: Path) -> None:
    path = tmp_path / "cells.csv"
    path.write_text("FOV,Cell ID,Phenotype\na,1,T\nb,7,B\na,2.0,\n")
    found = read_phenotypes(path)
    assert list(found) == ["a", "b"]
    assert found["a"].names == ["T", ""]
    assert found["a"].cell_ids is not None
    assert found["a"].cell_ids.tolist() == [1, 2]
    assert found["a"].positions is None


def test_a_folder_of_tables_by_position(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("x,y,phenotype\n1.5,2,T\n")
    (tmp_path / "b.tsv").write_text("x\ty\tphenotype\n3\t4\tB\n")
    found = read_phenotypes(tmp_path)
    assert found["a"].positions is not None
    assert found["a"].positions.tolist() == [[1.5, 2]]
    assert found["b"].names == ["B"]


def write_codex(folder: Path, stem: str, labels: str = "T\nB\n", positions: str = "1.0\t2.0\n3.0\t4.0\n") -> None:
    (folder / f"{stem}_CellTypeLabel.txt").write_text(labels)
    (folder / f"{stem}_Coordinates.txt").write_text(positions)


def test_codex_form_tells_patient_and_groups_by_its_name(tmp_path: Path) -> None:
    write_codex(tmp_path, "reg003_B_P2_D1")
    write_codex(tmp_path, "other")
    found = read_phenotypes(tmp_path)
    assert list(found) == ["other", "reg003_B"]
    spot = found["reg003_B"]
    assert spot.patient_id == "P02"
    assert spot.groups == {"region": "003", "tma": "B", "infiltrate": "DII"}
    assert spot.names == ["T", "B"]
    assert spot.positions is not None
    assert spot.positions.tolist() == [[1, 2], [3, 4]]
    assert found["other"].patient_id is None


@pytest.mark.parametrize(
    ("labels", "positions", "message"),
    [
        ("T\n", "1\t2\n3\t4\n", "has 1 lines but reg001_A_P1_D0_Coordinates.txt has 2"),
        ("T\n", "1\t2\t3\n", "not x and y"),
        ("T\n", "1\tb\n", "positions that are not numbers"),
        ("T\n", "1\tnan\n", "not finite"),
        ("", "1\t2\n", "is empty"),
    ],
)
def test_damaged_codex_files_are_refused(tmp_path: Path, labels: str, positions: str, message: str) -> None:
    write_codex(tmp_path, "reg001_A_P1_D0", labels, positions)
    with pytest.raises(InputError, match=message):
        read_phenotypes(tmp_path)


def test_missing_positions_and_two_files_of_a_spot(tmp_path: Path) -> None:
    write_codex(tmp_path, "reg001_A_P1_D0")
    write_codex(tmp_path, "reg001_A_P1_D1")
    with pytest.raises(InputError, match="belongs to 'reg001_A'"):
        read_phenotypes(tmp_path)
    (tmp_path / "reg001_A_P1_D0_Coordinates.txt").unlink()
    with pytest.raises(InputError, match="does not exist"):
        read_phenotypes(tmp_path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cell_id,phenotype\n1,T\n", "no column 'fov_id'"),
        ("fov_id,cell_id\na,1\n", "no column 'phenotype'"),
        ("fov_id,x,phenotype\na,1,T\n", "neither a column 'cell_id' nor 'x' and 'y'"),
        ("fov_id,cell_id,phenotype\na,1,T\na,1,B\n", "two rows for nucleus 1"),
        ("fov_id,cell_id,phenotype\na,x1,T\n", "not a whole number"),
        ("fov_id,x,y,phenotype\na,1,,T\n", "not numbers"),
    ],
)
def test_unusable_tables_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "cells.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_phenotypes(tmp_path / "cells.csv")
