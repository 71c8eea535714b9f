"""Folders of predicted instance maps against a dataset."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.field import CellClass, DatasetFacts, field_from_semantic
from cryostat.cells.scoring.instance_maps import PredictedMaps, _read_map, score_instance_maps, true_map
from cryostat.cells.writer import DatasetWriter
from cryostat.core.errors import InputError, SettingError

FOV = "crag_1"
KINDS = "7,Tumour\n8,2\n"
"""Classes of the instances of `ids`."""


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "maps").mkdir()
    return tmp_path / "maps"


@pytest.fixture
def ids() -> np.ndarray:
    """(8, 10): instance 7 is the true nucleus 1 (class 1), instance 8 the true nucleus 2 (class 2)."""
    labels = np.zeros((8, 10), np.uint16)
    labels[1:, :2], labels[1:, 2:4] = 7, 8
    return labels


@pytest.fixture
def both(ids) -> np.ndarray:
    return np.stack([ids, np.where(ids == 7, 1, np.where(ids == 8, 2, 0))], -1)


def table(path: Path, rows: str = KINDS) -> None:
    path.write_text("cell_id,class\n" + rows)


def put_npy(folder: Path, ids: np.ndarray, both: np.ndarray) -> None:
    np.save(folder / f"{FOV}.npy", ids)
    table(folder / f"{FOV}.csv")


def put_png(folder: Path, ids: np.ndarray, both: np.ndarray) -> None:
    Image.fromarray(ids).save(folder / f"{FOV}.png")
    (folder / "classes.csv").write_text(f"fov_id,cell_id,class\n{FOV},7,tumour\n{FOV},8,2.0\n007,3,Stroma\n")


def put_tif(folder: Path, ids: np.ndarray, both: np.ndarray) -> None:
    Image.fromarray(ids).save(folder / f"{FOV}.tif")
    (folder / f"{FOV}.tsv").write_text("instance\ttype\n7\tTumour\n8\tPlasma cells\n")


def put_npz_one(folder: Path, ids: np.ndarray, both: np.ndarray) -> None:
    np.savez(folder / f"{FOV}.npz", both)


def put_npz_two(folder: Path, ids: np.ndarray, both: np.ndarray) -> None:
    np.savez_compressed(folder / f"{FOV}.npz", instances=ids, classes=both[..., 1])


def put_stacked(folder: Path, ids: np.ndarray, both: np.ndarray) -> None:
    np.save(folder / f"{FOV}.npy", both)


@pytest.mark.parametrize("put", [put_npy, put_png, put_tif, put_npz_one, put_npz_two, put_stacked])
def test_every_form_says_the_same(tiny, folder, ids, both, put):
    put(folder, ids, both)
    np.testing.assert_array_equal(PredictedMaps(folder, tiny).read(FOV), both)
    scored = score_instance_maps(tiny, "base", "test", folder)
    # Five true nuclei, two found exactly; of the classes 1 (two nuclei), 2 (one) and 4 (one).
    found = scored.scores.metrics()
    assert found["pq"] == pytest.approx(2 / (2 + 0.5 * 3))
    assert found["mpq_plus"] == pytest.approx((1 / 1.5 + 1 + 0) / 3)
    assert found["detection_f1"] == pytest.approx(4 / 7)
    assert found["dice"] == pytest.approx(2 * 28 / (70 + 28))
    assert (scored.missing, scored.unlabelled) == ((), 1)
    assert scored.scores.settings.about == "3 µm (6 px)"


def test_the_truth_itself_is_perfect(tiny, folder):
    np.save(folder / f"{FOV}.npy", true_map(tiny, FOV))
    found = score_instance_maps(tiny, "base", "test", folder).scores.metrics()
    assert {name: value for name, value in found.items() if name != "r2"} == dict.fromkeys(set(found) - {"r2"}, 1)


def test_a_field_without_a_map_is_refused_or_missed(tiny, folder, both):
    np.save(folder / f"{FOV}.npy", both)
    with pytest.raises(InputError, match=r"no instance map for 1 of 2 fields \(first: '007'\)") as error:
        score_instance_maps(tiny, "two", "test", folder)
    assert "--missing wrong" in error.value.remedy
    scored = score_instance_maps(tiny, "two", "test", folder, missing="wrong")
    assert scored.missing == ("007",)
    assert scored.scores.metrics()["pq"] == pytest.approx((2 / 3.5 + 0) / 2)


def test_an_empty_map_needs_no_table(tiny, folder):
    np.save(folder / f"{FOV}.npy", np.zeros((8, 10), np.int32))
    assert score_instance_maps(tiny, "base", "test", folder).scores.metrics()["pq"] == 0


def test_an_instance_may_have_no_class(tiny, folder, ids):
    np.save(folder / f"{FOV}.npy", ids)
    table(folder / f"{FOV}.csv", "7,\n8,background\n")
    found = score_instance_maps(tiny, "base", "test", folder).scores.metrics()
    assert (found["pq"], found["mpq_plus"]) == (pytest.approx(2 / 3.5), 0)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda ids: ids[:7], "7×10"),
        (lambda ids: ids.astype(np.float32), "float32, not integers"),
        (lambda ids: ids.astype(np.int32) - 1, "outside 0"),
        (lambda ids: ids[None, None], "neither"),
        (lambda ids: np.stack([ids] * 3, -1), "neither"),
        (lambda ids: np.stack([ids, ids], -1), "class id 7"),
        (lambda ids: np.stack([ids, np.where(ids > 0, 3, 0)], -1), "class id 3"),
        (lambda ids: np.stack([ids, ids], -1) / 2, "not integers"),
    ],
)
def test_maps_that_do_not_fit(tiny, folder, ids, make, problem):
    np.save(folder / f"{FOV}.npy", make(ids))
    table(folder / f"{FOV}.csv")
    with pytest.raises(InputError, match=problem) as error:
        score_instance_maps(tiny, "base", "test", folder)
    assert error.value.where == str(folder / f"{FOV}.npy")


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("7,Tumour\n", "no class for instance 8"),
        (KINDS + "9,Tumour\n", "class for instance 9"),
        (KINDS + "7,Stroma\n", "two classes"),
        ("7,Tumour\n8,Plasm\n", "'Plasm', which is no class"),
        ("7,Tumour\n8.5,Stroma\n", "cell_id '8.5'"),
        ("", "no class for instance 7"),
    ],
)
def test_class_tables_that_do_not_fit(tiny, folder, ids, rows, problem):
    np.save(folder / f"{FOV}.npy", ids)
    table(folder / f"{FOV}.csv", rows)
    with pytest.raises(InputError, match=problem) as error:
        score_instance_maps(tiny, "base", "test", folder)
    assert error.value.where == str(folder / f"{FOV}.csv")


def test_tables_that_lack_or_name_other_fields(tiny, folder, ids):
    np.save(folder / f"{FOV}.npy", ids)
    with pytest.raises(InputError, match="instances without classes"):
        score_instance_maps(tiny, "base", "test", folder)
    (folder / f"{FOV}.csv").write_text("fov_id,cell_id,class\n007,7,1\n")
    with pytest.raises(InputError, match="names the field '007'"):
        score_instance_maps(tiny, "base", "test", folder)
    (folder / f"{FOV}.csv").unlink()
    (folder / "classes.csv").write_text("fov_id,cell_id,class\nnowhere,7,1\n")
    with pytest.raises(InputError, match="names the field 'nowhere'"):
        score_instance_maps(tiny, "base", "test", folder)
    (folder / "classes.csv").write_text("cell_id,class\n7,1\n")
    with pytest.raises(InputError, match="no column 'fov_id'"):
        score_instance_maps(tiny, "base", "test", folder)


def test_damaged_files(tiny, folder, ids, both):
    np.savez_compressed(folder / f"{FOV}.npz", both)
    whole = (folder / f"{FOV}.npz").read_bytes()
    for content in (whole[:100], whole[: len(whole) // 2], b"PK", b"", b"text"):
        (folder / f"{FOV}.npz").write_bytes(content)
        with pytest.raises(InputError):
            score_instance_maps(tiny, "base", "test", folder)
    np.savez(folder / f"{FOV}.npz", a=ids, b=ids)
    with pytest.raises(InputError, match="holds the arrays a, b"):
        score_instance_maps(tiny, "base", "test", folder)
    np.savez(folder / f"{FOV}.npz", instances=ids, classes=both[:5, :, 1])
    with pytest.raises(InputError, match="class map is 5×10"):
        score_instance_maps(tiny, "base", "test", folder)


def test_settings_and_folders_that_do_not_exist(tiny, folder, both):
    np.save(folder / f"{FOV}.npy", both)
    for options in ({"part": "exam"}, {"missing": "maybe"}, {"match_um": -1}, {"match_um": float("nan")}):
        with pytest.raises(SettingError):
            score_instance_maps(tiny, "base", folder=folder, **({"part": "test"} | options))
    with pytest.raises(SettingError, match="no split"):
        score_instance_maps(tiny, "none", "test", folder)
    with pytest.raises(InputError):
        score_instance_maps(tiny, "base", "test", folder / "none")
    with pytest.raises(InputError, match="holds no field"):
        score_instance_maps(tiny, Split("own", {FOV: "train"}), "test", folder)


def test_the_official_numbers_of_conic(shared, tmp_path):
    arrays = np.load(shared / "parity" / "conic_metrics.npz")
    known = json.loads((shared / "parity" / "conic_metrics.json").read_text())
    names = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
    facts = DatasetFacts("c", "C", tuple(CellClass(i, n) for i, n in enumerate(names, 1)), 0.5, "CC0", "nobody")
    (tmp_path / "maps").mkdir()
    with DatasetWriter(tmp_path / "c", facts) as writer:
        for i, (true, pred) in enumerate(zip(arrays["true"], arrays["pred"], strict=True)):
            image = np.full((256, 256, 3), i, np.uint8)
            ids, kinds = true[..., 0].astype(np.int32), true[..., 1].astype(np.int32)
            writer.add(field_from_semantic(f"f{i}", image, ids, kinds, mpp=0.5, source="x"))
            np.save(tmp_path / "maps" / f"f{i}.npy", pred.astype(np.int32))
    split = Split("all", {f"f{i}": "test" for i in range(len(arrays["true"]))})
    scores = score_instance_maps(CellDataset(tmp_path / "c"), split, "test", tmp_path / "maps").scores
    wanted = {"pq": known["pq"], "mpq_plus": known["mpq_plus"], "r2": known["multi_r2"]}
    assert {name: scores.metrics()[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    np.testing.assert_allclose([row.pq for row in scores.per_class], known["per_class_pq"], rtol=0, atol=1e-6)


def test_a_runs_own_segments_are_read_as_they_are_kept(tmp_path: Path) -> None:
    instances = np.zeros((4, 6), np.int32)
    instances[:2, :2], instances[2:, 3:] = 5, 2
    np.savez_compressed(tmp_path / "a.npz", instances=instances, cell_ids=[5, 2], class_ids=[1, 3])
    ids, classes = _read_map(tmp_path / "a.npz")
    assert classes is not None
    assert classes[0, 0] == 1
    assert classes[3, 5] == 3
    assert classes[instances == 0].sum() == 0
    assert np.array_equal(ids, instances)
    np.savez_compressed(tmp_path / "b.npz", instances=instances, cell_ids=[5], class_ids=[1])
    with pytest.raises(InputError, match="not those of its instances"):
        _read_map(tmp_path / "b.npz")
