from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from cryostat.cells.scoring.external import (
    External,
    record_external,
    save_external,
    score_external,
    score_predictions,
)
from cryostat.core.errors import InputError, SettingError, StoreError
from cryostat.results.predictions import read_predictions
from cryostat.results.records import RunRecord


def table_of(path, rows, columns=("fov_id", "cell_id", "y_pred")):
    frame = pd.DataFrame(rows, columns=list(columns))
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_csv(path, index=False, sep="\t" if path.suffix == ".tsv" else ",")
    return path


RIGHT = [("crag_1", 1, 1), ("crag_1", 2, 2), ("crag_1", 3, 4), ("crag_1", 9, 1)]
"""The four nuclei of the test part that have a class, all predicted right."""


@pytest.mark.parametrize("ending", [".csv", ".tsv", ".parquet"])
def test_a_perfect_table_scores_one(tiny, tmp_path, ending):
    frame, scores = score_predictions(tiny, "base", "test", table_of(tmp_path / f"p{ending}", RIGHT), name="mine")
    assert scores.macro_f1 == scores.accuracy == 1.0
    assert [c.support for c in scores.classes] == [2, 1, 1]
    assert frame["cell_id"].tolist() == [1, 2, 3, 9]
    assert set(frame["run_id"]) == {"mine"}
    assert set(frame["tile"]) == {-1}
    assert set(frame["patient_id"]) == {"patient 0"}
    assert set(frame["group_stage"]) == {"3"}


def test_classes_may_be_named_in_any_case_and_numbers_may_have_a_point(tiny, tmp_path):
    rows = [("crag_1", 1, "tumour"), ("crag_1", 2, "Plasma cells"), ("crag_1", 3, "4.0"), ("crag_1", 9, "background")]
    frame, scores = score_predictions(tiny, "base", "test", table_of(tmp_path / "p.csv", rows))
    assert frame["y_pred"].tolist() == [1, 2, 4, 0]
    assert scores.of(1).recall == 0.5


def test_fields_match_with_and_without_their_ending(tiny, tmp_path):
    rows = [("reg_A", n, 1) for n in (1, 2, 3, 9)]
    assert score_predictions(tiny, "base", "train", table_of(tmp_path / "a.csv", rows))[1].cells == 4
    rows = [("007.png", n, 1) for n in (1, 2, 3, 9)] + [("crag_1", 1, 1)]
    frame, _ = score_predictions(tiny, "base", "valid", table_of(tmp_path / "b.csv", rows))
    assert set(frame["fov_id"]) == {"007"}  # other parts are passed over


def test_probabilities_name_classes_by_id_or_name(tiny, tmp_path):
    rows = [("crag_1", n, 0.5, 0.2, 0.3, 0.0) for n in (1, 2, 3, 9)]
    for i, names in enumerate(
        (("p_0", "p_1", "p_2", "p_4"), ("background", "prob_Tumour", "plasma cells", "p_Stroma"))
    ):
        path = table_of(tmp_path / f"{i}.csv", rows, ("fov_id", "cell_id", *names))
        frame, scores = score_predictions(tiny, "base", "test", path)
        assert frame["y_pred"].tolist() == [2, 2, 2, 2]  # 0.3, as background may not win
        assert frame["p_2"].tolist() == pytest.approx([0.3] * 4)
        frame, _ = score_predictions(tiny, "base", "test", path, protocol="paper-classes")
        assert frame["y_pred"].tolist() == [0, 0, 0, 0]
    assert scores.class_set == "fixed"


def test_missing_cells_are_refused_or_wrong(tiny, tmp_path):
    path = table_of(tmp_path / "p.csv", [*RIGHT[:2], ("crag_1", 3, None)])
    with pytest.raises(InputError, match="no prediction for 2 of 4 cells; first: cell 3 of 'crag_1'") as caught:
        score_predictions(tiny, "base", "test", path)
    assert "--missing wrong" in caught.value.remedy
    frame, scores = score_predictions(tiny, "base", "test", path, missing="wrong")
    assert frame["y_pred"].tolist() == [1, 2, 0, 0]
    assert scores.accuracy == 0.5


def test_missing_fields_are_counted(tiny, tmp_path):
    with pytest.raises(InputError, match=r"4 of 8 cells, 1 of 2 fields wholly \(first: '007'\)"):
        score_predictions(tiny, "two", "test", table_of(tmp_path / "p.csv", RIGHT))


@pytest.mark.parametrize(
    ("rows", "columns", "message"),
    [
        ([("crag_2", 1, 1)], None, "1 fields of view that dataset 'tiny' does not have"),
        ([("crag_1", 7, 1)], None, r"1 cells that the dataset does not have \(first: 7 of 'crag_1'\)"),
        ([("crag_1", 1, 1), ("crag_1.png", 1, 2)], None, "names 1 cells twice"),
        ([("crag_1", 1, 3)], None, "predicts '3', which is no class"),
        ([("crag_1", 1, "Neuron")], None, "predicts 'Neuron', which is no class"),
        ([("crag_1", "x", 1)], None, "cell_id 'x'"),
        ([("crag_1", 1.5, 1)], None, "cell_id"),
        ([("crag_1", 1)], ("fov_id", "cell"), "lacks the column 'cell_id'"),
        ([("crag_1", 1, 1)], ("fov_id", "cell_id", "label"), "neither y_pred nor a probability column"),
        ([("crag_1", 1, 1)], ("fov_id", "cell_id", "p_1"), "none for 'Plasma cells', 'Stroma'"),
        (
            [("crag_1", n, 3.0, -1.0, 0.5) for n in (1, 2, 3, 9)],
            ("fov_id", "cell_id", "p_1", "p_2", "p_4"),
            "not between 0 and 1",
        ),
    ],
)
def test_tables_that_contradict_the_dataset_are_refused(tiny, tmp_path, rows, columns, message):
    path = table_of(tmp_path / "p.csv", rows, columns or ("fov_id", "cell_id", "y_pred"))
    with pytest.raises(InputError, match=message):
        score_predictions(tiny, "base", "test", path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("p.csv", b"", "is empty"),
        ("p.parquet", b"PAR1 torn", "cannot be read as a table"),
        ("p.txt", b"x", "is not a .csv, .tsv or .parquet table"),
        ("p.csv", b'fov_id,cell_id,y_pred\n"a', "cannot be read|lacks|does not have"),
    ],
)
def test_files_that_are_no_tables_are_refused(tiny, tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        score_predictions(tiny, "base", "test", tmp_path / name)


def labels_of_columns(*classes: int) -> np.ndarray:
    """(8, 10) label map whose columns are as given."""
    return np.array(classes, np.uint8)[None].repeat(8, 0)


@pytest.mark.parametrize("ending", [".npy", ".png", ".tif"])
def test_the_majority_of_a_label_map_counts(tiny, tmp_path, ending):
    labels = labels_of_columns(1, 1, 2, 2, 0, 4, 0, 0, 0, 0)
    labels[:5, 2] = 4  # nucleus 2: 4 pixels of class 4 in rows 1 to 4, 10 of class 2
    if ending == ".npy":
        np.save(tmp_path / "crag_1.npy", labels)
    else:
        Image.fromarray(labels).save(tmp_path / f"crag_1{ending}")
    frame, scores = score_predictions(tiny, "base", "test", tmp_path)
    # Nucleus 3 is half background, which does not vote; nucleus 9 is all background.
    assert frame["y_pred"].tolist() == [1, 2, 4, 0]
    assert scores.of(1).recall == 0.5
    frame, _ = score_predictions(tiny, "base", "test", tmp_path, protocol="paper-classes")
    assert frame["y_pred"].tolist() == [1, 2, 0, 0]  # a tie goes to the lower id


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((8, 9), np.uint8), "8×9 but the image is 8×10"),
        (np.full((8, 10), 3, np.uint8), "the label 3, which is no class id"),
        (np.full((8, 10), 0.5, np.float32), "float32, not integers"),
        (np.full((8, 10), -1, np.int32), "outside 0"),
    ],
)
def test_label_maps_that_do_not_fit_are_refused(tiny, tmp_path, array, message):
    np.save(tmp_path / "crag_1.npy", array)
    with pytest.raises(InputError, match=message):
        score_predictions(tiny, "base", "test", tmp_path)


def probability_map(background: float = 0.0) -> np.ndarray:
    """(3, 8, 10) maps that are right for every nucleus but the last, where stroma has 0.6."""
    columns = np.zeros((3, 10), np.float32)
    for nucleus, channel in enumerate((0, 1, 2, 0, 2)):
        columns[:, 2 * nucleus : 2 * nucleus + 2] = 0.2
        columns[channel, 2 * nucleus : 2 * nucleus + 2] = 0.6
    return (columns * (1 - background))[:, None].repeat(8, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ">f8"])
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("background", [False, True])
def test_probability_maps_of_either_order(tiny, tmp_path, dtype, last, background):
    maps = probability_map(0.7 if background else 0.0)
    maps = np.concatenate([np.full((1, 8, 10), 0.7, np.float32), maps]) if background else maps
    np.save(tmp_path / "crag_1.npy", (np.moveaxis(maps, 0, -1) if last else maps).astype(dtype))
    frame, scores = score_predictions(tiny, "base", "test", tmp_path)
    assert frame["y_pred"].tolist() == [1, 2, 4, 4]
    assert scores.accuracy == 0.75
    assert frame["p_4"].iloc[2] == pytest.approx(0.18 if background else 0.6, abs=1e-3)
    assert ("p_0" in frame.columns) == background


def test_background_may_be_declared(tiny, tmp_path):
    np.save(tmp_path / "crag_1.npy", probability_map())
    assert score_predictions(tiny, "base", "test", tmp_path, background="none")[1].accuracy == 0.75
    with pytest.raises(InputError, match=r"not float \(4, 8, 10\)"):
        score_predictions(tiny, "base", "test", tmp_path, background="first")


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (
            np.ones((2, 8, 10), np.float32),
            "of shape (2, 8, 10), which is not float (3, 8, 10) or (4, 8, 10)",
        ),
        (np.ones((3, 8, 10), np.uint8), "is uint8"),
        (np.ones((3, 8, 10), np.float32), "does not hold probabilities"),
        (np.full((3, 8, 10), np.nan, np.float32), "NaN"),
        (np.ones((1, 3, 8, 10), np.float32), "of shape (1, 3, 8, 10)"),
    ],
)
def test_maps_that_are_no_probabilities_are_refused(tiny, tmp_path, array, message):
    np.save(tmp_path / "crag_1.npy", array)
    with pytest.raises(InputError) as caught:
        score_predictions(tiny, "base", "test", tmp_path, kind="probabilities")
    assert message in str(caught.value)
    assert "crag_1.npy" in str(caught.value)


def test_pickled_and_torn_maps_are_refused(tiny, tmp_path):
    path = tmp_path / "crag_1.npy"
    np.save(path, np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match="pickled"):
        score_predictions(tiny, "base", "test", tmp_path)
    np.save(path, probability_map())
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(InputError, match="truncated"):
        score_predictions(tiny, "base", "test", tmp_path)


def test_folders_without_a_field_are_refused(tiny, tmp_path):
    with pytest.raises(InputError, match="empty folder"):
        score_predictions(tiny, "base", "test", tmp_path)
    np.save(tmp_path / "other.npy", probability_map())
    with pytest.raises(InputError, match="no file named after a field of 'tiny'"):
        score_predictions(tiny, "base", "test", tmp_path)
    np.save(tmp_path / "007.npy", probability_map())
    with pytest.raises(InputError, match="4 of 4 cells, 1 of 1 fields wholly"):
        score_predictions(tiny, "base", "test", tmp_path)
    Image.fromarray(labels_of_columns(*[1] * 10)).save(tmp_path / "reg_A.png")
    np.save(tmp_path / "reg_A.hdf.npy", probability_map())
    with pytest.raises(InputError, match=r"for 'reg_A\.hdf'"):
        score_predictions(tiny, "base", "test", tmp_path)


@pytest.mark.parametrize(
    ("setting", "value"),
    [("part", "exam"), ("kind", "x"), ("protocol", "x"), ("missing", "x"), ("background", "last")],
)
def test_unknown_settings_are_refused(tiny, tmp_path, setting, value):
    with pytest.raises(SettingError, match=f"no {setting} '{value}'"):
        External(tmp_path, **{setting: value})


def test_unknown_splits_are_refused(tiny, tmp_path):
    with pytest.raises(SettingError, match="there are: base, two"):
        score_predictions(tiny, "glas", "test", tmp_path)


def test_the_record_says_what_was_scored_and_is_written_once(tiny, tmp_path):
    asked = External(table_of(tmp_path / "p.csv", RIGHT), name="mine")
    split = tiny.split("base")
    frame, scores = score_external(tiny, split, asked)
    record = record_external(tiny, split, asked, seed=3)
    assert record.run_id.startswith("tiny-base-mine-external-")
    assert (record.settings["encoder"], record.settings["seed"], record.settings["part"]) == ("mine", 3, "test")
    assert record.identity["dataset"] == tiny.identity
    folder = tmp_path / "run"
    save_external(folder, frame, scores, record)
    save_external(folder, frame, scores, record)
    assert RunRecord.load(folder).scores() == scores
    assert set(read_predictions(folder / "predictions.parquet")["run_id"]) == {record.run_id}
    other = record_external(tiny, split, External(table_of(tmp_path / "q.csv", RIGHT[:3]), missing="wrong"))
    with pytest.raises(StoreError, match="never overwritten"):
        save_external(folder, frame, scores, other)
