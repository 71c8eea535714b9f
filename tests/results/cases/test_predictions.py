from __future__ import annotations

import pandas as pd
import pytest

from cryostat.core.errors import InputError
from cryostat.results.cases.predictions import classes_of, read_case_predictions, validate, write_case_predictions

CLASSES, MODALITIES = ("2", "3 or 4"), ("mri", "wsi")


def table(**changes) -> pd.DataFrame:
    """Two patients, offered everything and nothing; the second has no slides."""
    made = pd.DataFrame(
        {
            "run_id": "r",
            "repeat": 0,
            "fold": [0, 1, 0, 1],
            "seed": 0,
            "patient_id": ["007", "b", "007", "b"],
            "group_sex": ["f", None, "f", None],
            "ablation": "full",
            "offered": ["mri+wsi", "mri+wsi", "nothing", "nothing"],
            "seen": ["mri+wsi", "mri", "nothing", "nothing"],
            "y_true": ["2", None, "2", None],
            "y_pred": ["2", "2", "3 or 4", "3 or 4"],
            "p_2": [0.9, 0.6, 0.4, 0.4],
            "p_3 or 4": [0.1, 0.4, 0.6, 0.6],
            "notes": "left out",
        }
    )
    return made.assign(**changes)


def test_a_table_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "predictions.parquet"
    write_case_predictions(path, table(), CLASSES, MODALITIES)
    found = read_case_predictions(path, CLASSES, MODALITIES)
    assert list(found) == [
        *("run_id", "repeat", "fold", "seed", "patient_id", "site", "group_sex", "ablation", "offered", "seen"),
        *("y_true", "y_pred", "p_2", "p_3 or 4"),
    ]
    assert found["y_true"].tolist() == ["2", None, "2", None]
    assert found["site"].tolist() == [None] * 4
    assert found["group_sex"].tolist() == ["f", None, "f", None]
    assert found["p_2"].dtype == "float32"
    assert classes_of(found) == CLASSES


def test_ids_of_a_csv_stay_text(tmp_path):
    table().to_csv(tmp_path / "p.csv", index=False)
    found = read_case_predictions(tmp_path / "p.csv", CLASSES, MODALITIES)
    assert found["patient_id"].tolist()[0] == "007"
    assert found["y_true"].tolist() == ["2", None, "2", None]


def test_probabilities_stand_in_the_order_of_the_classes(tmp_path):
    write_case_predictions(tmp_path / "p.parquet", table(), CLASSES[::-1])
    assert classes_of(read_case_predictions(tmp_path / "p.parquet")) == CLASSES[::-1]


def test_a_method_may_only_name_classes():
    validate(table().drop(columns=["p_2", "p_3 or 4"]), CLASSES)
    validate(table(p_2=[None, 0.6, 0.4, 0.4], **{"p_3 or 4": [None, 0.4, 0.6, 0.6]}), CLASSES)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 0.5}, "has seed of type float64"),
        ({"y_pred": ["2", "2", None, "2"]}, "has 1 rows without y_pred"),
        ({"ablation": ""}, "has 4 rows without ablation"),
        ({"offered": "mri+wsi"}, "has 2 rows twice .first: patient '007', repeat 0"),
        ({"y_true": ["2", None, "3 or 4", None]}, "several true classes .'2', '3 or 4'"),
        ({"y_pred": "4"}, "y_pred '4', which is no class"),
        ({"seen": "mri+wsi"}, "sees 'mri' where only 'nothing' is offered"),
        ({"offered": ["wsi+mri"] * 2 + ["nothing"] * 2}, "Write it as 'mri\\+wsi'"),
        ({"offered": ["mri+wsi+ct"] * 2 + ["nothing"] * 2}, "names the modality 'ct'"),
        ({"p_2": [0.9, 0.6, 0.4, 0.7]}, "has 1 rows whose probabilities .* .first: 0.7, 0.6"),
        ({"p_2": [0.9, 0.6, 0.4, None]}, "incomplete"),
        ({"p_2": [-0.9, 0.6, 0.4, 0.4]}, "not between 0 and 1"),
        ({"p_2": "x"}, "is no number"),
        ({"p_5": 0.0}, "has probabilities of 2, 3 or 4, 5, not of"),
    ],
)
def test_what_contradicts_the_contract_is_our_error(changes, message):
    with pytest.raises(InputError, match=message):
        validate(table(**changes), CLASSES, MODALITIES)


def test_a_missing_column_is_named():
    with pytest.raises(InputError, match="lacks the column 'seen'"):
        validate(table().drop(columns="seen"))
