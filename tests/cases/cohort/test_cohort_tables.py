from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.cases.cohort.tables import known, read_text_table
from cryostat.core.errors import InputError

ROWS = (("007", "Müller"), ("1.0", ""))
TEXT = "id,name\n007,Müller\n1.0,\n"


def written(folder: Path, data: bytes, name: str = "t.csv") -> Path:
    path = folder / name
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_unicode_with_and_without_a_mark(tmp_path: Path, encoding: str) -> None:
    table = read_text_table(written(tmp_path, TEXT.encode(encoding)))
    assert table.columns == ("id", "name")
    assert table.rows == ROWS
    assert table.places == ("line 2", "line 3")
    assert table.notes == ()


def test_windows_1252_is_read_and_noted(tmp_path: Path) -> None:
    table = read_text_table(written(tmp_path, TEXT.encode("latin-1")))
    assert table.rows == ROWS
    assert table.notes == (
        "t.csv is not UTF-8 (line 2) and was read as Windows-1252; check accents in names and labels",
    )


@pytest.mark.parametrize(("separator", "name"), [(";", "t.csv"), ("\t", "t.csv"), ("\t", "t.tsv"), (",", "t.CSV")])
def test_separators(tmp_path: Path, separator: str, name: str) -> None:
    path = written(tmp_path, TEXT.replace(",", separator).replace("\n", "\r\n").encode(), name)
    assert read_text_table(path).rows == ROWS


def test_lines_are_those_of_the_file(tmp_path: Path) -> None:
    table = read_text_table(written(tmp_path, b'id,note\na,"two\nlines"\n\n,\nb, x \n'))
    assert table.rows == (("a", "two\nlines"), ("b", "x"))
    assert table.places == ("line 2", "line 6")


def test_parquet_keeps_ids_lists_and_an_index(tmp_path: Path) -> None:
    frame = pd.DataFrame({"wsi": [["a.h5", "b.h5"], None], "age": [61.0, np.nan], "n": [1, 2]})
    frame.index = pd.Index(["007", "008"], name="patient_id")
    frame.to_parquet(tmp_path / "t.parquet")
    table = read_text_table(tmp_path / "t.parquet")
    assert table.columns == ("patient_id", "wsi", "age", "n")
    assert table.rows == (("007", "a.h5;b.h5", "61", "1"), ("008", "", "", "2"))
    assert table.places == ("row 1", "row 2")


@pytest.mark.parametrize(
    ("data", "name", "told"),
    [
        (b"", "t.csv", "is empty"),
        (b"\n\n", "t.csv", "has no header"),
        (b"id,name\n", "t.csv", "no rows below its header"),
        (b"id,name\n,\n", "t.csv", "no rows below its header"),
        (b"id,name\na\n", "t.csv", "1 cells in line 2, its header 2"),
        (b"id,name\na,b,c\n", "t.csv", "3 cells in line 2"),
        (b'id,name\na,"b\n', "t.csv", "cannot be read from line 2"),
        (b"id,id\na,b\n", "t.csv", "two columns 'id'"),
        (b"PK\x03\x04rest", "t.csv", "not a table of text"),
        (b"a\0b\n", "t.csv", "not a table of text"),
        (b"id\n1\n", "t.ods", "is not a .csv, .tsv or .parquet"),
        (b"PAR1 no", "t.parquet", "cannot be read as a table"),
    ],
)
def test_bad_tables_are_told(tmp_path: Path, data: bytes, name: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read_text_table(written(tmp_path, data, name))


def test_an_index_without_a_name_is_left_out_and_noted(tmp_path: Path) -> None:
    table = read_text_table(written(tmp_path, b",id\n0,a\n1,b\n"))
    assert table.rows == (("a",), ("b",))
    assert table.notes == ("t.csv: columns without a name are left out",)


@pytest.mark.parametrize("value", ["", "NA", "n/a", "NaN", "<NA>"])
def test_what_stands_for_unknown(value: str) -> None:
    assert known(value) is None


CELL = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=8).map(str.strip)


@given(st.lists(st.tuples(CELL.filter(bool), CELL, CELL), min_size=1, max_size=6))
def test_any_text_comes_back_as_it_was(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, ...]]) -> None:
    path = tmp_path_factory.mktemp("any") / "t.csv"
    pd.DataFrame(rows, columns=["a", "b", "c"]).to_csv(path, index=False, quoting=1)
    assert list(read_text_table(path).rows) == rows


@given(st.binary(max_size=200))
def test_any_bytes_are_a_table_or_an_error_of_ours(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = written(tmp_path_factory.mktemp("bytes"), data)
    try:
        table = read_text_table(path)
    except InputError:
        return
    assert all(len(row) == len(table.columns) for row in table.rows)


def test_the_sign_between_columns_is_the_one_that_the_header_has_most_of(tmp_path: Path) -> None:
    path = written(tmp_path, b'id;"age, years";size, cm;name\n1;2,5;3;x\n')
    assert read_text_table(path).columns == ("id", "age, years", "size, cm", "name")
    assert read_text_table(path).rows == (("1", "2,5", "3", "x"),)


def test_ids_that_parquet_keeps_as_bytes(tmp_path: Path) -> None:
    pd.DataFrame({"id": [b"p1", b"p2"]}).to_parquet(tmp_path / "t.parquet")
    assert read_text_table(tmp_path / "t.parquet").rows == (("p1",), ("p2",))
