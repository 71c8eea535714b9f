from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cryostat.core.errors import InputError, MissingExtraError, SettingError

lmdb = pytest.importorskip("lmdb")

INSTANCES = np.array([[1, 1, 0], [0, 0, 2]], np.uint8)
CLASSES = np.array([[2, 2, 0], [0, 0, 1]], np.int64)
IMAGE = np.arange(18, dtype=np.float64).reshape(3, 2, 3)


def record(name: str, sample: Any, **changes: Any) -> dict[str, Any]:
    plain = {
        "tile_name": name,
        "sample_name": sample,
        "image": IMAGE,
        "semantic_mask": CLASSES,
        "instance_mask": INSTANCES,
    }
    return {key: value for key, value in (plain | changes).items() if value is not ...}


def put(folder: Path, records: list[Any], names: Mapping[str, str] | None = None) -> Path:
    """An archive as published: 8-digit keys, pickled dicts."""
    folder.mkdir(parents=True)
    with lmdb.open(str(folder), map_size=2**24) as environment, environment.begin(write=True) as writing:
        for i, value in enumerate(records):
            writing.put(f"{i:08d}".encode(), value if isinstance(value, bytes) else pickle.dumps(value))
    if names is None:
        names = {"0": "background", "1": "round", "2": "long"}
    (folder / "label_dict.json").write_text(json.dumps(names))
    return folder


TILES = [record(f"{sample}_TILE_{i}", sample) for sample in ("crag_1", "crag_2", "glas_1") for i in (0, 1)]


def test_tiles_become_fields_of_their_sample(tmp_path: Path, import_into_home: Callable) -> None:
    dataset = import_into_home("lmdb", put(tmp_path / "a_lmdb", TILES), mpp=0.5)
    assert dataset.fovs.fov_id.tolist()[:3] == ["crag_1_TILE_0", "crag_1_TILE_1", "crag_2_TILE_0"]
    assert dataset.fovs.group_sample.tolist()[:3] == ["crag_1", "crag_1", "crag_2"]
    assert [(c.id, c.name) for c in dataset.classes] == [(1, "round"), (2, "long")]
    image = dataset.image("glas_1_TILE_1")
    assert image.dtype == np.uint8
    assert image[0, 1].tolist() == [1, 7, 13]
    assert dataset.cells_of("glas_1_TILE_1")[["cell_id", "class_id"]].to_numpy().tolist() == [[1, 2], [2, 1]]
    assert dataset.mpp("glas_1_TILE_1") == 0.5


def test_sixteen_bits_and_numbered_samples(tmp_path: Path, import_into_home: Callable) -> None:
    tile = record("7_TILE_0", np.int64(7), image=(IMAGE * 1000).astype(np.uint16))
    dataset = import_into_home("lmdb", put(tmp_path / "a", [tile]), mpp=0.377)
    assert dataset.image("7_TILE_0").dtype == np.uint16
    assert dataset.fovs.group_sample.tolist() == ["7"]


def test_classes_from_a_table(tmp_path: Path, import_into_home: Callable) -> None:
    folder = put(tmp_path / "a", TILES)
    (folder / "label_dict.json").unlink()
    (tmp_path / "classes.csv").write_text("id,name,color\n1,one,#ff0000\n2,two,\n")
    dataset = import_into_home("lmdb", folder, mpp=0.5, classes=tmp_path / "classes.csv")
    assert [c.name for c in dataset.classes] == ["one", "two"]


@pytest.mark.parametrize(
    ("place", "rows"),
    [
        ("splits", "crag_1,train\ncrag_2,val\nglas_1,test\n"),
        (
            "a_lmdb",
            "crag_1_TILE_0,train\ncrag_1_TILE_1,train\ncrag_2_TILE_0,valid\ncrag_2_TILE_1,valid\n"
            "glas_1_TILE_0,test\nglas_1_TILE_1,test\n",
        ),
    ],
)
def test_split_tables_beside_the_archive(tmp_path: Path, place: str, rows: str, import_into_home: Callable) -> None:
    put(tmp_path / "a_lmdb", TILES)
    (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / place / "base.csv").write_text("sample_name,train_test_val_split\n" + rows)
    (tmp_path / place / "other_data.csv").write_text("sample_name,train_test_val_split\nx,train\ny,valid\nz,test\n")
    (tmp_path / place / "notes.csv").write_text("a,b\n1,2\n")
    dataset = import_into_home("lmdb", tmp_path, mpp=0.5)
    assert dataset.split_names() == ["base"]
    assert dataset.split("base").fovs("test") == ["glas_1_TILE_0", "glas_1_TILE_1"]


def test_the_scale_must_be_stated(tmp_path: Path, refused: Callable) -> None:
    error = refused("lmdb", put(tmp_path / "a", TILES))
    assert isinstance(error, SettingError)
    assert "--mpp" in error.remedy


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        (b"no pickle", "is not a readable pickle"),
        (pickle.dumps([1]), "is a list, not a dict"),
        (record("x", "y", instance_mask=...), "lacks 'instance_mask' (it has: tile_name"),
        (record("x", "y", image=IMAGE / 255), "whole numbers from 0 to 255"),
        (record("x", "y", image=IMAGE[:2]), "not (3, height, width)"),
        (record("x", "y", image=[1, 2]), "'image' is a list"),
        (record("x", "y", semantic_mask=CLASSES / 2), "float64, not integers"),
        (record("x", "y", semantic_mask=CLASSES * 3), "class id 3"),
        (record("x", "y", instance_mask=INSTANCES[:1]), "1×3 but the image is 2×3"),
        (record(None, "y"), "'tile_name' is a NoneType"),
        (record("crag_1_TILE_0", "crag_1"), "occurs twice"),
        (record("x", "y", image=Path("x")), "asks for pathlib"),
    ],
)
def test_bad_records_are_refused_with_the_way_out(tmp_path: Path, bad: Any, problem: str, refused: Callable) -> None:
    error = refused("lmdb", put(tmp_path / "a", [TILES[0], bad]), mpp=0.5)
    assert isinstance(error, InputError)
    assert problem in str(error)


def test_a_forbidden_record_names_its_class_and_the_release(tmp_path: Path, refused: Callable) -> None:
    error = refused("lmdb", put(tmp_path / "a", [record("x", "y", image=slice(1))]), mpp=0.5)
    assert "data.mdb[00000000]" in str(error)
    assert "builtins.slice" in error.problem
    assert "original release" in error.remedy


@pytest.mark.parametrize("share", [0.01, 0.5, 0.99])
def test_a_truncated_archive_is_refused_not_fatal(tmp_path: Path, share: float, refused: Callable) -> None:
    path = put(tmp_path / "a", TILES * 30) / "data.mdb"
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    assert "is not an LMDB archive, or is truncated" in str(refused("lmdb", tmp_path / "a", mpp=0.5))


def test_other_files_in_its_place(tmp_path: Path, refused: Callable) -> None:
    folder = put(tmp_path / "a", TILES)
    (folder / "data.mdb").write_bytes(b"x" * 20_000)
    assert "is not an LMDB archive" in str(refused("lmdb", folder, mpp=0.5))
    (folder / "data.mdb").write_bytes(b"")
    assert "is empty" in str(refused("lmdb", folder, mpp=0.5))


def test_parts_must_be_joined(tmp_path: Path, refused: Callable) -> None:
    folder = put(tmp_path / "a", TILES)
    (folder / "data.mdb").rename(folder / "data.mdb.part_aa")
    (folder / "data.mdb.part_ab").touch()
    error = refused("lmdb", folder, mpp=0.5)
    assert "in 2 parts" in str(error)
    assert "cat data.mdb.part_* > data.mdb" in error.remedy


def test_no_archive_and_two(tmp_path: Path, refused: Callable) -> None:
    put(tmp_path / "r/a", TILES)
    put(tmp_path / "r/b", TILES)
    assert "holds 2 files called data.mdb" in str(refused("lmdb", tmp_path / "r", mpp=0.5))
    (tmp_path / "none").mkdir()
    (tmp_path / "none/x").touch()
    assert "holds 0 files" in str(refused("lmdb", tmp_path / "none", mpp=0.5))


def test_an_empty_archive(tmp_path: Path, refused: Callable) -> None:
    assert "no field of view" in str(refused("lmdb", put(tmp_path / "a", []), mpp=0.5))


@pytest.mark.parametrize(
    ("names", "problem"),
    [({"0": "background"}, "names no class"), ({"a": "b"}, "not a map"), (["x"], "not a map"), ({"1": 2}, "not a map")],
)
def test_label_tables_that_name_nothing(tmp_path: Path, names: Any, problem: str, refused: Callable) -> None:
    assert problem in str(refused("lmdb", put(tmp_path / "a", TILES, names), mpp=0.5))


def test_without_names_the_classes_are_asked_for(tmp_path: Path, refused: Callable) -> None:
    (put(tmp_path / "a", TILES) / "label_dict.json").unlink()
    assert "--classes" in refused("lmdb", tmp_path / "a", mpp=0.5).remedy


def test_the_missing_package_is_named(tmp_path: Path, refused: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(tmp_path / "a", TILES)
    monkeypatch.setitem(sys.modules, "lmdb", None)
    error = refused("lmdb", folder, mpp=0.5)
    assert isinstance(error, MissingExtraError)
    assert "cryostat[formats]" in error.remedy
