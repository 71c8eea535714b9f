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
