from __future__ import annotations

import pandas as pd
import pytest

from cryostat.cells.pictures.nuclei import GHOST, Pen, class_styles, error_styles, field_nuclei
from cryostat.core.errors import IdentityError, SettingError

COLORS = {0: "#ffffff", 1: "#ff0000", 2: "#0000ff"}
PEN = Pen(1, 2, 3)


def test_each_nucleus_is_right_wrong_missed_or_unscored(squares, table):
    nuclei = field_nuclei(squares, table, "a")
    assert nuclei.to_dict("list") == {
        "cell_id": [1, 2, 3, 4],
        "truth": [1, 1, 2, 2],
        "predicted": [1, 2, 0, 0],
        "state": ["right", "wrong", "missed", "unscored"],
    }


def test_nuclei_without_a_true_class_are_not_scored(squares, table):
    table.loc[0, "y_true"] = 0
    assert field_nuclei(squares, table, "a")["state"].tolist() == ["unscored", "wrong", "missed", "unscored"]


def test_nuclei_cut_by_tiles_get_the_commonest_class(squares):
    rows = [("a", 0, 1, 1, 2), ("a", 1, 1, 1, 1), ("a", 2, 1, 1, 2), ("a", 0, 2, 1, 2), ("a", 1, 2, 1, 1)]
    cut = pd.DataFrame(rows, columns=["fov_id", "tile", "cell_id", "y_true", "y_pred"])
    assert field_nuclei(squares, cut, "a")["predicted"].tolist() == [2, 1, 0, 0]


def test_a_field_without_predictions_is_wholly_unscored(squares, table):
    nuclei = field_nuclei(squares, table[table["fov_id"] != "b"], "b")
    assert set(nuclei["state"]) == {"unscored"}
    assert nuclei["truth"].tolist() == [1, 1, 2, 2]


def test_what_does_not_fit_the_dataset_is_refused(squares, table):
    with pytest.raises(SettingError, match="no field of view 'z'"):
        field_nuclei(squares, table, "z")
    table.loc[0, "cell_id"] = 99
    with pytest.raises(IdentityError, match="nucleus 99"):
        field_nuclei(squares, table, "a")


def test_styles_say_class_and_error(squares, table):
    nuclei = field_nuclei(squares, table, "a")
    predicted = class_styles(nuclei["cell_id"], nuclei["predicted"], COLORS, PEN)
    assert [predicted[i].line for i in (1, 2, 3)] == ["#ff0000", "#0000ff", GHOST]
    assert [predicted[i].hatched for i in (1, 2, 3)] == [False, False, True]
    errors = error_styles(nuclei, COLORS, PEN)
    assert (errors[2].line, errors[2].fill, errors[2].width) == ("#0000ff", "#ff0000", 3)
    assert (errors[1].fill, errors[1].width) == (None, 1)
    assert (errors[3].fill, errors[3].hatched) == ("#0000ff", True)
    assert (errors[4].fill, errors[4].hatched) == (GHOST, True)


def test_lines_are_thinner_where_nuclei_are_small():
    assert Pen.at(0.01) == Pen(1.3, 2.2, 3.8)
    assert Pen.at(10) == Pen(1, 1.2, 1.8)
    assert Pen.at(0.2) == Pen(1.0, pytest.approx(1.75), pytest.approx(3.0))
