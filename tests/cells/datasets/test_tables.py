from __future__ import annotations

import datetime
import sys
from pathlib import Path

import pandas as pd
import pytest

from cryostat.cells.datasets.row_table import read_row_table
from cryostat.cells.datasets.tables import find_column, positive_number, read_text_table, whole_number
from cryostat.core.errors import InputError, MissingExtraError


def test_every_value_is_text_as_written(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("\ufeffid, name ,note\n007,NA,\n1e3, x ,'q'\n", encoding="utf-8")
    frame = read_text_table(path)
    assert list(frame.columns) == ["id", "name", "note"]
    assert frame.to_numpy().tolist() == [["007", "NA", ""], ["1e3", "x", "'q'"]]


def test_numbers_and_dates_of_typed_tables(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    day = datetime.datetime(2020, 5, 4)
    pd.DataFrame({"n": [1.0, 2.5], "k": [3, None], "d": [day, None], "b": [True, False]}).to_parquet(path)
    assert read_text_table(path).to_numpy().tolist() == [["1", "3", "2020-05-04", "True"], ["2.5", "", "", "False"]]


def test_excel_header_is_found_below_titles(tmp_path: Path) -> None:
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    for row in (["Table S1"], [], ["Patient", "Stage", "Age"], [1, "III", 61.0], [None, None, None], [2, "IV", 70.5]):
        book.active.append(row)
    book.save(tmp_path / "a.xlsx")
    frame = read_text_table(tmp_path / "a.xlsx")
    assert list(frame.columns) == ["Patient", "Stage", "Age"]
    assert frame.to_numpy().tolist() == [["1", "III", "61"], ["2", "IV", "70.5"]]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.csv", b"", "is empty"),
        ("a.csv", b"a,b\n", "no rows"),
        ("a.csv", b"a,a\n1,2\n", "two columns 'a'"),
        ("a.csv", b"a,b\n1,2,3\n", "cannot be read as a table"),
        ("a.csv", b"a,,c\n1,2,3\n", "column without a name"),
        ("a.csv", b"\xff\xfe\x00\x01", "a.csv"),
        ("a.xlsx", b"PK no zip", "not a readable Excel table"),
        ("a.parquet", b"PAR1", "cannot be read as a table"),
        ("a.ods", b"x", "not a .csv"),
    ],
)
def test_unreadable_tables_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    if name.endswith("xlsx"):
        pytest.importorskip("openpyxl")
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_text_table(tmp_path / name)


def test_without_openpyxl_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openpyxl", None)
    (tmp_path / "a.xlsx").write_bytes(b"PK")
    with pytest.raises(MissingExtraError, match="formats"):
        read_text_table(tmp_path / "a.xlsx")


def test_columns_are_found_whatever_their_punctuation() -> None:
    assert find_column(["Patient ID", "x"], ["patient_id"]) == "Patient ID"
    assert find_column(["X", "x"], ["x"]) == "X"
    assert find_column(["y"], ["x"]) is None


def test_numbers_in_cells(tmp_path: Path) -> None:
    assert [whole_number(text, "id", tmp_path) for text in ("12", "12.0", "0")] == [12, 12, 0]
    for text in ("", "1.5", "-1", "nan", "9" * 12, "１"):
        with pytest.raises(InputError, match="not a whole number"):
            whole_number(text, "id", tmp_path)
    assert positive_number("0.25", "mpp", tmp_path) == 0.25
    for text in ("", "0", "-1", "nan", "inf", "a"):
        with pytest.raises(InputError, match="mpp"):
            positive_number(text, "mpp", tmp_path)


def test_rows_by_field_win_over_rows_by_patient(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("Patient,Image,Site\np1,a,Ulm\np1,b,\n")
    table = read_row_table(path, str.upper)
    assert table.key == "fov_id"
    assert table.of("a", None) == {"patient_id": "P1", "site": "Ulm"}
    assert table.of("b", "p9") == {"patient_id": "P1"}
    assert table.of("c", None) == {}
    assert table.notes([("a", None), ("z", None)]) == ["a.csv does not know the fov_id z."]


def test_columns_that_differ_within_a_patient_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("patient_id,stage,spot\n1,III,4\n1,III,5\n2,IV,6\n")
    table = read_row_table(path)
    assert table.of("any", "1") == {"stage": "III"}
    assert table.varying == ("spot",)
