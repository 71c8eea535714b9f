from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryostat.cases.embeddings.feature_tables import read_features
from cryostat.core.errors import InputError

DIRTY = """id,Date,volume,ratio,texture,flag,x,remark
001,1997.07.26,1.5,#DIV/0!,inf,True,10,calm
002,,2.5,0.5,,False,20,
003,1998.01.02,3.5,0.25,-inf,True,30,12
"""


def test_infinite_empty_and_error_cells_are_unknown_and_no_text_is_a_number(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(DIRTY)
    found = read_features(tmp_path / "t.csv", key="id")
    assert found.keys == ("001", "002", "003")
    assert found.columns == ("volume", "ratio", "texture")
    nan = np.nan
    np.testing.assert_array_equal(found.values, np.array([[1.5, nan, nan], [2.5, 0.5, nan], [3.5, 0.25, nan]]))
    assert found.infinite == 2
    assert set(found.left_out) == {"Date", "flag", "x", "remark"}
    assert "dates or other text" in found.left_out["Date"]
    assert not any(word in reason for reason in found.left_out.values() for word in ("1997", "calm"))


def test_a_column_of_lists_is_as_many_columns(tmp_path: Path) -> None:
    frame = pd.DataFrame(
        {"id": ["a", "b"], "emb": [np.array([1.0, 2.0]), np.array([3.0, 4.0])], "day": pd.Timestamp(0)}
    )
    frame.to_parquet(tmp_path / "t.parquet")
    found = read_features(tmp_path / "t.parquet", key="id")
    assert found.columns == ("emb[0]", "emb[1]")
    assert found.values.tolist() == [[1, 2], [3, 4]]
    assert found.left_out == {"day": "holds dates"}


def test_a_missing_key_column_is_told_with_those_that_are_there(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(DIRTY)
    with pytest.raises(InputError, match=r"has no column 'patient_id' \(it has id, Date, volume"):
        read_features(tmp_path / "t.csv", key="patient_id")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_semicolons_decimal_commas_and_other_encodings(tmp_path: Path, encoding: str) -> None:
    text = "id;größe;ratio;who\n007;1,5;2;Müller\n008;-2,25;#N/A;1,5 cm\n009;;3.5;\n"
    (tmp_path / "t.csv").write_bytes(text.encode(encoding))
    found = read_features(tmp_path / "t.csv", key="id")
    assert found.keys == ("007", "008", "009")
    assert found.columns == ("größe", "ratio")
    np.testing.assert_array_equal(found.values, [[1.5, 2], [-2.25, np.nan], [np.nan, 3.5]])
    assert set(found.left_out) == {"who"}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("id,u,v\n1,2,3,9\n2,3,4,9\n", "cannot be read as a table .*Length of header"),
        ("id,u,v\n1,2,3\n2,3", "ends in the middle of a row"),
        ("id,u,v\n1,2,3\n2,3,4,5\n", "cannot be read as a table"),
    ],
)
def test_rows_that_would_shift_or_be_cut_are_refused(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=told):
        read_features(tmp_path / "t.csv", key="id")


def test_a_sign_at_the_end_of_each_row_shifts_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("id,u,v\n1,2,3,\n2,3,4,\n")
    found = read_features(tmp_path / "t.csv", key="id")
    assert found.keys == ("1", "2")
    assert found.values.tolist() == [[2, 3], [3, 4]]


def test_keys_of_parquet_are_those_of_the_cohort(tmp_path: Path) -> None:
    pd.DataFrame({"id": [7.0, 8.0, np.nan], "u": [1.0, 2.0, 3.0]}).to_parquet(tmp_path / "t.parquet")
    assert read_features(tmp_path / "t.parquet", key="id").keys == ("7", "8", "")
