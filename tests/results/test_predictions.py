from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cryostat.core.errors import InputError
from cryostat.results.predictions import (
    group_columns,
    probability_columns,
    read_predictions,
    validate,
    write_predictions,
)


def table(**changes: object) -> pd.DataFrame:
    columns = {
        "run_id": "r",
        "fov_id": ["a", "a", "b"],
        "patient_id": [None, None, "7"],
        "site": ["north", "north", None],
        "group_stage": ["3", None, "4"],
        "tile": -1,
        "cell_id": [1, 2, 1],
        "y_true": [1, 2, 2],
        "y_pred": [1, 1, 2],
        "p_0": [0.0, 0.1, np.nan],
        "p_1": [0.7, 0.5, 0.25],
        "p_2": [0.3, 0.4, 0.75],
    }
    return pd.DataFrame(columns | changes)


def test_columns_are_told_apart_by_name():
    columns = ["p_10", "p_2", "p_x", "pp_1", "group_b", "group_a"]
    assert probability_columns(columns) == ["p_2", "p_10"]
    assert group_columns(columns) == ["group_b", "group_a"]


def test_what_is_written_is_read_in_order_and_of_fixed_types(tmp_path):
    shuffled = table()[list(reversed(table().columns))].assign(further=1)
    write_predictions(tmp_path / "p.parquet", shuffled)
    back = read_predictions(tmp_path / "p.parquet")
    assert list(back.columns) == list(table().columns)
    assert back["fov_id"].tolist() == ["a", "a", "b"]
    assert back["patient_id"].tolist() == [None, None, "7"]
    assert back["group_stage"].tolist() == ["3", None, "4"]
    assert [str(back[c].dtype) for c in ("tile", "cell_id", "y_true", "y_pred", "p_1")] == [
        "int32",
        "int64",
        "int16",
        "int16",
        "float32",
    ]
    assert back["p_2"].tolist() == pytest.approx([0.3, 0.4, 0.75])


def test_absent_patients_sites_and_probabilities_are_allowed(tmp_path):
    bare = table()[["run_id", "fov_id", "tile", "cell_id", "y_true", "y_pred"]]
    write_predictions(tmp_path / "p.parquet", bare)
    back = read_predictions(tmp_path / "p.parquet")
    assert back["patient_id"].isna().all()
    assert probability_columns(back.columns) == []


def test_a_row_may_have_no_probabilities_but_not_some():
    validate(table(p_0=np.nan, p_1=[np.nan, 0.5, 0.5], p_2=[np.nan, 0.5, 0.5]))
    with pytest.raises(InputError, match="1 rows with some probabilities missing"):
        validate(table(p_1=[np.nan, 0.5, 0.25]))


def test_a_nucleus_cut_by_a_tile_border_is_two_rows():
    validate(table(fov_id="a", tile=[0, 1, 1], cell_id=[1, 1, 2]))


def test_an_empty_table_passes():
    validate(table().iloc[:0])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fov_id": "a"}, r"names 1 nuclei twice \(first: field 'a', tile -1, cell 1\)"),
        ({"fov_id": ["a", None, "b"]}, "1 rows without fov_id"),
        ({"y_pred": [1, 3, 2]}, "y_pred 3, which is no class"),
        ({"y_true": [1, -1, 2]}, "y_true -1, which is no class"),
        ({"y_true": [1.0, 1.0, 2.0]}, "y_true of type float64"),
        ({"cell_id": ["1", "2", "1"]}, "cell_id of type"),
        ({"y_pred": [1, 1, 70_000]}, "which is not int16"),
        ({"p_1": [0.9, 0.5, 0.25]}, "do not sum to 1"),
        ({"p_1": [-0.1, 0.5, 0.25], "p_2": [1.1, 0.4, 0.75]}, "not between 0 and 1"),
        ({"p_1": [np.inf, 0.5, 0.25]}, "not between 0 and 1"),
    ],
)
def test_contradictions_are_refused(changes, message, tmp_path):
    with pytest.raises(InputError, match=message):
        write_predictions(tmp_path / "p.parquet", table(**changes))
    assert not list(tmp_path.iterdir())


def test_missing_columns_are_named():
    with pytest.raises(InputError, match="lacks the column 'tile', 'y_pred'"):
        validate(table().drop(columns=["tile", "y_pred"]))


def test_classes_of_the_dataset_take_precedence_over_columns():
    validate(table(y_pred=[1, 1, 5]), classes=[1, 2, 5])


def test_a_truncated_file_is_our_error(tmp_path):
    path = tmp_path / "p.parquet"
    write_predictions(path, table())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="cannot be read as a table"):
        read_predictions(path)
