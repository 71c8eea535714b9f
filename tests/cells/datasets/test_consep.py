from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from PIL import Image

from cryostat.core.errors import InputError, SettingError

# Ids 2, 5 and 9, with a gap, of types 1, 2, 4 in that order.
MAP = np.array([[5, 5, 0, 2], [0, 0, 0, 2], [9, 9, 9, 0]], np.int32)
TYPES = np.array([[1], [2], [4]])
TYPE_MAP = np.array([[2, 2, 0, 1], [0, 0, 0, 1], [4, 4, 4, 0]], np.int32)


def put(folder: Path, name: str, images: str = "Images", labels: str = "Labels", **changes: Any) -> None:
    (folder / images).mkdir(parents=True, exist_ok=True)
    (folder / labels).mkdir(exist_ok=True)
    Image.fromarray(np.zeros((3, 4, 4), np.uint8)).save(folder / images / f"{name}.png")  # RGBA, as released
    variables = {"inst_map": MAP, "inst_type": TYPES, "type_map": TYPE_MAP, "inst_centroid": np.zeros((3, 2))}
    scipy.io.savemat(folder / labels / f"{name}.mat", variables | changes)


def raw(types: list[int]) -> dict[str, Any]:
    """Variables of a label file with the given types of nuclei 2, 5 and 9."""
    lookup = np.zeros(10, np.int32)
    lookup[[2, 5, 9]] = types
    return {"inst_type": np.reshape(np.array(types, float), (-1, 1)), "type_map": lookup[MAP].astype(float)}


def test_types_follow_ids_in_ascending_order(tmp_path: Path, import_into_home: Callable) -> None:
    put(tmp_path / "Train", "train_1")
    cells = import_into_home("consep", tmp_path / "Train").cells
    assert dict(zip(cells.cell_id, cells.class_id, strict=True)) == {2: 1, 5: 2, 9: 4}


def test_the_seven_raw_types_merge_to_four(tmp_path: Path, import_into_home: Callable) -> None:
    put(tmp_path / "r/Train", "train_1", **raw([1, 2, 3]))
    put(tmp_path / "r/Train", "train_2", **raw([4, 5, 6]))
    put(tmp_path / "r/Train", "train_3", **raw([7, 7, 1]))
    dataset = import_into_home("consep", tmp_path / "r")
    found = {fov: dataset.cells_of(fov).class_id.tolist() for fov in dataset.fovs.fov_id}
    assert found == {"train_1": [1, 2, 3], "train_2": [3, 4, 4], "train_3": [4, 4, 1]}
    assert any("seven of the release (a type above 4 occurs)" in note for note in dataset.facts["notes"])


@pytest.mark.parametrize(("types", "found"), [("raw", [3, 3, 1]), ("merged", [3, 4, 1]), ("auto", [3, 4, 1])])
def test_types_can_be_told(tmp_path: Path, types: str, found: list[int], import_into_home: Callable) -> None:
    put(tmp_path / "Train", "train_1", **raw([3, 4, 1]))
    dataset = import_into_home("consep", tmp_path / "Train", settings={"types": types})
    assert dataset.cells.class_id.tolist() == found


def test_merged_types_above_four_are_refused(tmp_path: Path, refused: Callable) -> None:
    put(tmp_path / "Train", "train_1", **raw([5, 1, 1]))
    assert "class id 5" in str(refused("consep", tmp_path / "Train", settings={"types": "merged"}))
    assert isinstance(refused("consep", tmp_path / "Train", settings={"types": "seven"}), SettingError)


def test_train_and_test_give_the_official_split(tmp_path: Path, import_into_home: Callable) -> None:
    for i in range(1, 6):
        put(tmp_path / "CoNSeP/Train", f"train_{i}")
    put(tmp_path / "CoNSeP/Test", "test_1")
    dataset = import_into_home("consep", tmp_path / "CoNSeP")
    assert dataset.fovs.fov_id.tolist() == ["train_1", "train_2", "train_3", "train_4", "train_5", "test_1"]
    assert dataset.fovs.group_release_part.tolist() == ["train"] * 5 + ["test"]
    official = dataset.split("official")
    assert official.fovs("test") == ["test_1"]
    assert len(official.fovs("valid")) == 1


def test_another_dataset_in_hovernets_layout(tmp_path: Path, import_into_home: Callable) -> None:
    put(tmp_path / "r", "patch", "imgs", "masks", **raw([6, 3, 1]))
    (tmp_path / "classes.csv").write_text("id,name\n1,tumour\n3,stroma\n6,dead\n")
    dataset = import_into_home("consep", tmp_path / "r", classes=tmp_path / "classes.csv", mpp=0.3)
    assert dataset.cells.class_id.tolist() == [6, 3, 1]
    assert [c.name for c in dataset.classes] == ["tumour", "stroma", "dead"]
    assert dataset.mpp("patch") == 0.3
    assert "CoNSeP" not in dataset.facts["title"]


def test_floats_as_matlab_has_them(tmp_path: Path, import_into_home: Callable) -> None:
    put(tmp_path / "Train", "train_1", inst_map=MAP.astype(float), inst_type=TYPES.astype(float))
    assert import_into_home("consep", tmp_path / "Train").cells.cell_id.tolist() == [2, 5, 9]


def test_without_type_map_the_order_is_taken_on_trust(tmp_path: Path, import_into_home: Callable) -> None:
    put(tmp_path / "Train", "train_1")
    path = tmp_path / "Train/Labels/train_1.mat"
    scipy.io.savemat(path, {"inst_map": MAP, "inst_type": TYPES})
    assert import_into_home("consep", tmp_path / "Train").cells.class_id.tolist() == [1, 2, 4]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"inst_type": TYPES[::-1]}, "2 of 3 nuclei have another type"),
        ({"inst_type": TYPES[:2]}, "maps 3 nuclei but gives 2 types"),
        ({"type_map": TYPE_MAP[:2]}, "type map of shape (2, 4)"),
        ({"inst_type": TYPES + 0.5}, "something else than whole numbers"),
        ({"inst_map": MAP + 0.5}, "something else than whole numbers"),
        ({"inst_map": MAP[:2], "type_map": TYPE_MAP[:2], "inst_type": TYPES[:2]}, "2×4 but the image is 3×4"),
        ({"inst_map": -MAP}, "ids outside"),
        ({"inst_type": np.array([[1], [2], [9]]), "type_map": np.where(MAP == 9, 9, TYPE_MAP)}, "class id 9"),
    ],
)
def test_contradictions_are_refused(tmp_path: Path, changes: dict, problem: str, refused: Callable) -> None:
    put(tmp_path / "Train", "train_1")
    put(tmp_path / "Train", "train_2", **changes)
    error = refused("consep", tmp_path / "Train")
    assert isinstance(error, InputError)
    assert problem in str(error)
    assert "train_2.mat" in str(error)


def test_truncated_labels(tmp_path: Path, refused: Callable) -> None:
    put(tmp_path / "Train", "train_1")
    path = tmp_path / "Train/Labels/train_1.mat"
    path.write_bytes(path.read_bytes()[:200])
    assert "train_1.mat: is damaged or truncated" in str(refused("consep", tmp_path / "Train"))


def test_folders_that_are_not_it(tmp_path: Path, refused: Callable) -> None:
    put(tmp_path / "Train", "train_1")
    (tmp_path / "Train/Labels/train_1.mat").rename(tmp_path / "Train/Labels/train_2.mat")
    assert "'train_1' has no label file" in str(refused("consep", tmp_path / "Train"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other/x").touch()
    assert "holds no folder Images" in str(refused("consep", tmp_path / "other"))


def test_real_tissue_gives_the_known_truth(shared: Path, import_into_home: Callable, counted: Callable) -> None:
    """All 27 training images at full size are checked by hand; the first four here."""
    dataset = import_into_home("consep", shared / "data/consep/Train", limit=4)
    truth: dict[int, int] = {}
    for fov in dataset.fovs.fov_id:
        types = scipy.io.loadmat(shared / f"data/consep/Train/Labels/{fov}.mat")["inst_type"].ravel()
        for kind, n in zip(*np.unique(types, return_counts=True), strict=True):
            truth[int(kind)] = truth.get(int(kind), 0) + int(n)
    assert dataset.fovs.fov_id.tolist() == ["train_1", "train_2", "train_3", "train_4"]
    assert counted(dataset) == dict(sorted(truth.items()))
    assert dataset.fovs[["height", "width"]].to_numpy().tolist() == [[1000, 1000]] * 4


def test_real_tiles_of_another_group(shared: Path, tmp_path: Path, import_into_home: Callable) -> None:
    (tmp_path / "classes.csv").write_text("id,name\n" + "".join(f"{i},type {i}\n" for i in range(1, 6)))
    hgsc = import_into_home("consep", shared / "data/nuclei/hgsc", classes=tmp_path / "classes.csv", mpp=0.5)
    assert hgsc.cells.groupby("fov_id").size().to_dict() == {"patch1": 20, "patch2": 47, "patch3": 58}
