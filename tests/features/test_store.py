"""The feature store: what goes in comes out, and what is damaged is told."""

from __future__ import annotations

import json
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryostat.core.errors import IdentityError, InputError, StoreError
from cryostat.features import store as store_module
from cryostat.features.shards import Failure
from cryostat.features.store import FeatureStore

SHAPE = (2, 3, 4)
IDENTITY: dict[str, Any] = {
    "tiles": {"dataset": "demo", "mpp": 0.5},
    "encoder": {"name": "fake", "mean": (0.5, 0.5)},
    "layer": "final",
    "format": 1,
}


def index(count: int) -> pd.DataFrame:
    return pd.DataFrame({"tile": range(count), "fov_id": [f"fov{t // 2}" for t in range(count)], "y": 0})


def features(count: int) -> np.ndarray:
    """Tile t holds 100 t, 100 t + 1, ... 100 t + 23."""
    return (100 * np.arange(count)[:, None] + np.arange(24)).reshape(count, *SHAPE).astype(np.float32)


def filled(folder: Path, count: int = 10, shard_tiles: int = 4) -> FeatureStore:
    store = FeatureStore.create_or_open(folder, IDENTITY, index(count), SHAPE, shard_tiles)
    for shard in store.missing():
        tiles = store.tiles_of(shard)
        store.write(shard, features(count)[tiles.start : tiles.stop], seconds=2.0, device="cpu")
    return store


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    return filled(tmp_path_factory.mktemp("stores") / "whole")


def test_layout_on_disk(whole: FeatureStore) -> None:
    assert sorted(path.name for path in whole.folder.iterdir()) == [
        *(f"shard-0000{i}.{kind}" for i in range(3) for kind in ("json", "npy")),
        "store.json",
        "tiles.parquet",
    ]
    facts = json.loads((whole.folder / "store.json").read_text())
    assert facts["identity"]["encoder"] == {"name": "fake", "mean": [0.5, 0.5]}
    assert (facts["tiles"], facts["shape"], facts["dtype"], facts["shards"]) == (10, [2, 3, 4], "float16", 3)
    record = json.loads((whole.folder / "shard-00002.json").read_text())
    assert (record["rows"], record["first"], record["last"], record["seconds"]) == (2, 8, 9, 2.0)
    assert record["bytes"] == (whole.folder / "shard-00002.npy").stat().st_size
    assert np.load(whole.folder / "shard-00001.npy").tolist() == features(10)[4:8].tolist()
    assert whole.nbytes == 10 * 24 * 2


def test_read_by_hand(whole: FeatureStore) -> None:
    values = whole.read([9, 0, 4, 4])
    assert values.dtype == np.float16
    assert values[:, 0, 0, 0].tolist() == [900, 0, 400, 400]
    values[:] = 0
    assert whole.read([9])[0, 0, 0, 1] == 901


@settings(deadline=None)
@given(st.lists(st.integers(0, 9)))
def test_read_equals_the_whole_array_indexed(whole: FeatureStore, tiles: list[int]) -> None:
    expected = features(10).astype(np.float16)[np.array(tiles, dtype=int)]
    assert np.array_equal(whole.read(tiles), expected)
    assert np.array_equal(whole.read(np.array(tiles, dtype=np.int32)), expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 12), st.integers(1, 5))
def test_any_number_of_tiles_in_any_shards(tmp_path_factory: pytest.TempPathFactory, count: int, rows: int) -> None:
    store = filled(tmp_path_factory.mktemp("store"), count, rows)
    assert store.complete
    assert np.array_equal(store.read(range(count)), features(count).astype(np.float16))


def test_map_is_a_view_that_cannot_be_written(whole: FeatureStore) -> None:
    view = whole.map(5)
    assert np.array_equal(view, features(10)[5])
    assert not view.flags.owndata
    with pytest.raises(ValueError, match="read-only"):
        view[0] = 0


@pytest.mark.parametrize("tiles", [[10], [-1], [0.5], [[1]], [True], ["a"], [2**70]])
def test_tiles_that_there_are_not(whole: FeatureStore, tiles: list[Any]) -> None:
    with pytest.raises(StoreError, match="whole numbers from 0 to 9"):
        whole.read(tiles)


def test_few_shards_are_kept_mapped(whole: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAPS_KEPT", 2)
    store = FeatureStore(whole.folder)
    order = [0, 4, 8, 0, 8, 4]
    assert store.read(order)[:, 0, 0, 0].tolist() == [100 * tile for tile in order]
    assert len(store._maps) == 2


def test_it_travels_to_other_processes(whole: FeatureStore) -> None:
    whole.read([0])
    parcel = bytes(ForkingPickler.dumps(whole))
    twin = ForkingPickler.loads(parcel)
    assert len(parcel) < 500
    assert np.array_equal(twin.read([3]), whole.read([3]))


def test_missing_shrinks_as_shards_are_written(tmp_path: Path) -> None:
    store = FeatureStore.create_or_open(tmp_path, IDENTITY, index(10), SHAPE, 4)
    assert store.missing() == [0, 1, 2]
    store.write(1, features(10)[4:8])
    assert store.missing() == [0, 2]
    assert not store.complete
    assert store.read([7])[0, 0, 0, 0] == 700
    with pytest.raises(StoreError, match=r"is not extracted yet \(tiles 8 to 9\)"):
        store.read([7, 8])


def test_an_array_without_its_record_does_not_count(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / "shard-00000.json").unlink()
    assert store.missing() == [0]
    assert store.verify() == []
    with pytest.raises(StoreError, match="no sound record"):
        store.read([0])


def test_what_was_derived_from_a_damaged_store_goes_with_the_damage(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / "pooled-1a2b.npy").write_text("")
    assert store.repair() == []
    assert (tmp_path / "pooled-1a2b.npy").exists()
    store.shard_path(1).write_bytes(b"")
    assert store.repair() == [1]
    assert not (tmp_path / "pooled-1a2b.npy").exists()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"sha256": 1}', '{"failures": 3}', "null", '{"failures": [{"tile": 1}]}', "\x00\xff"],
)
def test_a_damaged_record_is_damage(tmp_path: Path, text: str) -> None:
    store = filled(tmp_path)
    (tmp_path / "shard-00001.json").write_text(text)
    assert store.missing() == [1]
    assert store.verify() == [1]
    assert store.repair() == [1]
    assert filled(tmp_path).verify() == []


def test_a_record_of_another_shard_does_not_count(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / "shard-00001.json").write_bytes((tmp_path / "shard-00000.json").read_bytes())
    assert store.missing() == [1]


@settings(max_examples=50, deadline=None)
@given(position=st.integers(0, 128 + 4 * 48 - 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, position: int, bit: int) -> None:
    store = filled(tmp_path_factory.mktemp("store"))
    path = store.shard_path(1)
    content = bytearray(path.read_bytes())
    assert len(content) == 128 + 4 * 48
    content[position] ^= 1 << bit
    path.write_bytes(content)
    assert store.verify() == [1]


def test_a_shard_replaced_by_another_array_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path)
    np.save(store.shard_path(0), features(4).astype(np.float16).reshape(4, 4, 3, 2))
    with pytest.raises(StoreError, match=r"holds float16 \(4, 4, 3, 2\), not float16 \(4, 2, 3, 4\)"):
        store.read([0])
    store.shard_path(1).write_bytes(bytes(store.shard_path(1).stat().st_size))
    with pytest.raises(StoreError, match=r"is not a \.npy file"):
        store.read([4])
    assert store.verify() == [0, 1]


def test_identity_differs_in_a_named_field(whole: FeatureStore) -> None:
    other = {**IDENTITY, "tiles": {"dataset": "demo", "mpp": 0.25}}
    with pytest.raises(IdentityError, match=r"tiles\.mpp: 0\.5 / 0\.25"):
        FeatureStore.create_or_open(whole.folder, other, index(10), SHAPE)
    with pytest.raises(IdentityError, match="tiles: 10 / 11"):
        FeatureStore.create_or_open(whole.folder, IDENTITY, index(11), SHAPE)
    with pytest.raises(IdentityError, match="shape: "):
        FeatureStore.create_or_open(whole.folder, IDENTITY, index(10), (2, 3, 5))


def test_equal_identities_written_differently_are_equal(whole: FeatureStore) -> None:
    same = {**IDENTITY, "format": 1.0, "encoder": {"mean": [0.5, 0.5], "name": "fake"}}
    assert FeatureStore.create_or_open(whole.folder, same, index(10), SHAPE, 7).shard_tiles == 4


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [2, 3]},
        {"shape": [2, 3, 0]},
        {"tiles": -1},
        {"tiles": "10"},
        {"shard_tiles": 0},
        {"shard_tiles": None},
        {"identity": None},
        {"identity": {"layer": "other"}},
        {"digest": "0"},
        {"format": 2},
    ],
)
def test_altered_facts_are_refused(tmp_path: Path, change: dict[str, Any]) -> None:
    path = filled(tmp_path).folder / "store.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(StoreError):
        FeatureStore(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[1]"])
def test_damaged_facts_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "store.json").write_text(text)
    with pytest.raises(StoreError):
        FeatureStore(tmp_path)


def test_a_folder_that_is_no_store(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="is not a feature store"):
        FeatureStore(tmp_path)


def test_a_damaged_index_is_told(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (tmp_path / "tiles.parquet").write_bytes(b"PAR1")
    with pytest.raises(StoreError, match=r"tiles\.parquet"):
        _ = store.index


@pytest.mark.parametrize("table", [{"tile": [0, 2], "fov_id": ["a", "b"]}, {"tile": [0]}, {"fov_id": ["a"]}])
def test_an_index_that_does_not_number_its_tiles(tmp_path: Path, table: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="0 to n - 1"):
        FeatureStore.create_or_open(tmp_path, IDENTITY, pd.DataFrame(table), SHAPE)


def test_the_index_comes_back(whole: FeatureStore) -> None:
    assert whole.index["fov_id"].tolist() == [
        "fov0",
        "fov0",
        "fov1",
        "fov1",
        "fov2",
        "fov2",
        *["fov3"] * 2,
        *["fov4"] * 2,
    ]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.nan, "1 NaN of 24 values for tile 5 (field 'fov2')"),
        (np.inf, "1 infinite of 24 values for tile 5 (field 'fov2')"),
        (65520.0, "tile 5 (field 'fov2') reach 65520, beyond the largest fp16 number, 65504"),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_what_fp16_cannot_hold_is_refused(tmp_path: Path, value: float, words: str, dtype: type) -> None:
    store = filled(tmp_path)
    values = features(10)[4:8].astype(dtype)
    values[1, 0, 2, 3] = value
    with pytest.raises(StoreError) as refusal:
        store.write(1, values)
    assert words in str(refusal.value)
    assert np.array_equal(store.read([5])[0], features(10)[5])


def test_fp16_values_are_checked_too(tmp_path: Path) -> None:
    values = features(10)[4:8].astype(np.float16)
    values[3] = np.inf
    with pytest.raises(StoreError, match="24 infinite of 24 values for tile 7"):
        filled(tmp_path).write(1, values)


@pytest.mark.parametrize(("shard", "rows"), [(0, 3), (2, 4), (3, 4), (-1, 4)])
def test_only_whole_shards_are_taken(tmp_path: Path, shard: int, rows: int) -> None:
    with pytest.raises(StoreError):
        filled(tmp_path).write(shard, features(rows))


def test_failures_are_kept_beside_their_shard(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.write(2, np.zeros((2, *SHAPE)), failures=[Failure(9, "fov4", "the png is cut short")])
    again = FeatureStore(tmp_path)
    assert again.failed == {9}
    assert again.failures() == [Failure(9, "fov4", "the png is cut short")]


def test_a_disk_that_is_full_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(28, "No space left on device")

    store = filled(tmp_path)
    monkeypatch.setattr(store_module, "write_npy", full)
    with pytest.raises(StoreError, match="No space left on device"):
        store.write(1, features(4))
    assert store.missing() == [1]
