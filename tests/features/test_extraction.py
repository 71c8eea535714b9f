"""Extraction: once, whole, resumable, shared."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from extraction_worker import NumberedTiles, PatchMeans, expected, run

from cryostat.core.errors import EncoderError, SettingError, StoreError
from cryostat.core.home import Home
from cryostat.features.extraction import extract
from cryostat.features.store import FeatureStore

Start = Callable[..., Any]


def shards(store: FeatureStore) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(store.folder.glob("shard-*.npy"))}


def leftovers(store: FeatureStore) -> list[str]:
    return sorted(p.name for p in store.folder.iterdir() if p.name.endswith((".part", ".lock")))


def tiles_seen(log: Path) -> Counter[int]:
    return Counter(int(line.split()[1]) for line in log.read_text().splitlines())


def test_every_layer_in_one_pass(tmp_path: Path) -> None:
    source, encoder = NumberedTiles(10), PatchMeans(tmp_path / "log")
    stores = extract(source, encoder, ["final", "block-1"], Home(tmp_path), batch_size=3, shard_tiles=4)
    assert np.array_equal(stores["final"].read(range(10)), expected(source))
    assert np.array_equal(stores["block-1"].read(range(10)), -expected(source))
    assert tiles_seen(tmp_path / "log") == Counter(range(10))
    assert [len(r) for r in map(stores["final"].tiles_of, range(3))] == [4, 4, 2]
    assert stores["final"].folder.name == f"numbers--patch-means--final--{stores['final'].digest}"
    assert stores["final"].folder.parent == tmp_path / "features"


def test_what_is_stored_is_not_encoded_again(tmp_path: Path) -> None:
    run(tmp_path, 10)
    encoder = PatchMeans()
    stores = extract(NumberedTiles(10), encoder, ["final", "final"], Home(tmp_path))
    assert encoder.calls == 0
    assert list(stores) == ["final"]
    assert stores["final"].shard_tiles == 4


def test_another_layer_later_leaves_the_first_alone(tmp_path: Path) -> None:
    first = run(tmp_path, 10)["final"]
    changed = {p: p.stat().st_mtime_ns for p in first.folder.glob("*.npy")}
    run(tmp_path, 10, layers=["final", "block-1"], log=tmp_path / "log")
    assert {p: p.stat().st_mtime_ns for p in first.folder.glob("*.npy")} == changed
    assert tiles_seen(tmp_path / "log") == Counter(range(10))


def test_layers_whose_stores_differ_in_shard_size_are_both_completed(tmp_path: Path) -> None:
    run(tmp_path, 10)["final"].discard(1)
    source = NumberedTiles(10)
    stores = extract(source, PatchMeans(), ["block-1", "final"], Home(tmp_path), shard_tiles=3)
    assert (stores["final"].shard_tiles, stores["block-1"].shard_tiles) == (4, 3)
    assert np.array_equal(stores["final"].read(range(10)), -stores["block-1"].read(range(10)))


def test_a_source_without_tiles_is_complete(tmp_path: Path) -> None:
    store = run(tmp_path, 0)["final"]
    assert store.complete
    assert store.read([]).shape == (0, 2, 2, 3)


def test_killed_before_every_change_of_the_disk(tmp_path: Path, start: Start) -> None:
    whole = shards(run(tmp_path / "whole", 6)["final"])
    steps = range(1, 25)
    processes = [start(root=tmp_path / str(step), count=6, die_at=step) for step in steps]
    for step, process in zip(steps, processes, strict=True):
        process.join()
        assert process.exitcode == (-9 if step <= 22 else 0), step
        store = run(tmp_path / str(step), 6)["final"]
        assert shards(store) == whole, step
        assert leftovers(store) == [], step
        assert store.verify() == []


@pytest.mark.parametrize("seed", range(4))
def test_killed_at_random_moments_until_it_is_done(tmp_path: Path, start: Start, seed: int) -> None:
    whole = {layer: shards(store) for layer, store in run(tmp_path / "whole", 24, layers=["final", "block-1"]).items()}
    dice, kills = random.Random(seed), 0
    for patience in range(1, 50):
        process = start(root=tmp_path / "cut", count=24, layers=["final", "block-1"], seconds=0.03)
        process.join(dice.uniform(0.05, 0.2) * patience**0.5)
        if process.exitcode == 0:
            break
        process.kill()
        process.join()
        kills += process.exitcode == -9
    stores = run(tmp_path / "cut", 24, layers=["final", "block-1"])
    assert {layer: shards(store) for layer, store in stores.items()} == whole
    assert [leftovers(store) for store in stores.values()] == [[], []]
    assert kills


def test_three_processes_share_a_store_and_each_tile_is_encoded_once(
    tmp_path: Path, start: Start, forkserver: Any
) -> None:
    gate = forkserver.Barrier(3)
    settings = {"root": tmp_path, "count": 40, "layers": ["final", "block-1"], "log": tmp_path / "log", "seconds": 0.01}
    processes = [start(**settings, gate=gate) for _ in range(3)]
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert tiles_seen(tmp_path / "log") == Counter(range(40))
    workers = {line.split()[0] for line in (tmp_path / "log").read_text().splitlines()}
    assert len(workers) > 1
    store = run(tmp_path, 40)["final"]
    assert np.array_equal(store.read(range(40)), expected(NumberedTiles(40)))
    assert leftovers(store) == []


def test_a_process_waits_for_the_shard_of_another_and_takes_it_over_when_that_is_killed(
    tmp_path: Path, start: Start
) -> None:
    stuck = start(root=tmp_path, count=12, stuck_at=0, log=tmp_path / "log")
    wait_until(lambda: (tmp_path / "log").exists() and tiles_seen(tmp_path / "log")[0] == 1)
    other = start(root=tmp_path, count=12)
    store = FeatureStore(next((tmp_path / "features").iterdir()))
    wait_until(lambda: len(store.missing()) < 3)
    other.join(0.5)
    assert other.exitcode is None
    assert 0 in store.missing()
    stuck.kill()
    other.join(20)
    assert other.exitcode == 0
    assert np.array_equal(store.read(range(12)), expected(NumberedTiles(12)))


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_corrupt_byte_is_found_and_redone(tmp_path: Path) -> None:
    store = run(tmp_path, 10)["final"]
    whole = shards(store)
    flip(store.shard_path(1), 150)
    assert store.complete
    assert store.verify() == [1]
    assert store.repair() == [1]
    assert store.missing() == [1]
    again = run(tmp_path, 10, log=tmp_path / "log")["final"]
    assert tiles_seen(tmp_path / "log") == Counter([4, 5, 6, 7])
    assert shards(again) == whole


def test_a_truncated_shard_is_found_on_opening_and_redone(tmp_path: Path) -> None:
    store = run(tmp_path, 10)["final"]
    whole = shards(store)
    os.truncate(store.shard_path(2), store.shard_path(2).stat().st_size - 1)
    assert FeatureStore(store.folder).missing() == [2]
    assert store.verify() == [2]
    run(tmp_path, 10, log=tmp_path / "log")
    assert tiles_seen(tmp_path / "log") == Counter([8, 9])
    assert shards(store) == whole


def flip(path: Path, position: int) -> None:
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)


def test_unreadable_tiles_are_rows_not_the_end(tmp_path: Path) -> None:
    source = NumberedTiles(10, unreadable=[4, 9])
    store = extract(source, PatchMeans(), ["final"], Home(tmp_path), batch_size=2, shard_tiles=4)["final"]
    assert store.complete
    assert store.failed == {4, 9}
    assert [(f.tile, f.fov_id, f.reason) for f in store.failures()] == [
        (4, "field-1", "field-1.png: is truncated. Copy it again."),
        (9, "field-3", "field-3.png: is truncated. Copy it again."),
    ]
    truth = expected(NumberedTiles(10))
    truth[[4, 9]] = 0
    assert np.array_equal(store.read(range(10)), truth)


def test_unreadable_tiles_are_tried_again_when_asked(tmp_path: Path) -> None:
    store = extract(NumberedTiles(10, [4]), PatchMeans(), ["final"], Home(tmp_path), shard_tiles=4)["final"]
    assert store.repair() == []
    assert store.repair(failed=True) == [1]
    store = run(tmp_path, 10)["final"]
    assert store.failed == set()
    assert np.array_equal(store.read(range(10)), expected(NumberedTiles(10)))


def test_features_of_an_unreadable_tile_may_be_nan_in_the_encoder(tmp_path: Path) -> None:
    encoder = PatchMeans(spoiled={-1: float("nan")})  # a black image
    store = extract(NumberedTiles(4, [2]), encoder, ["final"], Home(tmp_path))["final"]
    assert store.failed == {2}
    assert not store.read([2]).any()


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (float("nan"), "1 NaN of 12 values for tile 5 (field 'field-1')"),
        (float("-inf"), "1 infinite of 12 values for tile 5 (field 'field-1')"),
        (70000.0, "tile 5 (field 'field-1') reach 70000, beyond the largest fp16 number, 65504"),
        (-1e30, "tile 5 (field 'field-1') reach 1e+30, beyond"),
    ],
)
def test_what_fp16_cannot_hold_is_refused_and_the_rest_is_kept(tmp_path: Path, value: float, words: str) -> None:
    encoder = PatchMeans(spoiled={5: value})
    with pytest.raises(StoreError) as refusal:
        extract(NumberedTiles(12), encoder, ["final"], Home(tmp_path), batch_size=2, shard_tiles=4)
    assert words in str(refusal.value)
    assert ("--precision fp32" in refusal.value.remedy) == (not np.isfinite(value))
    log = tmp_path / "log"
    store = run(tmp_path, 12, log=log)["final"]
    assert tiles_seen(log) == Counter(range(4, 12))
    assert leftovers(store) == []


def test_the_largest_fp16_number_is_kept(tmp_path: Path) -> None:
    store = extract(NumberedTiles(3), PatchMeans(spoiled={1: -65504.0}), ["final"], Home(tmp_path))["final"]
    assert store.read([1])[0, 1, 0, 2] == -65504


def test_nothing_is_on_disk_after_a_layer_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="block-7"):
        extract(NumberedTiles(3), PatchMeans(), ["final", "block-7"], Home(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("layers", "batch_size"), [([], 32), (["final"], 0)])
def test_nothing_to_extract_is_refused(tmp_path: Path, layers: list[str], batch_size: int) -> None:
    with pytest.raises(SettingError, match="nothing to extract"):
        extract(NumberedTiles(3), PatchMeans(), layers, Home(tmp_path), batch_size=batch_size)


class Adaptive(PatchMeans):
    """Subtracts the mean of the pixels it was shown."""

    learns_from_pixels = True
    shown: float | None = None

    def prepare(self, images: Any) -> None:
        self.shown = float(np.mean([image.mean() for image in images]))

    def identity(self) -> dict[str, Any]:
        return {"name": "adaptive", "learnt": self.shown}


def test_an_encoder_that_learns_is_shown_pixels_before_its_identity_is_taken(tmp_path: Path) -> None:
    source = NumberedTiles(3)
    store = extract(source, Adaptive(), ["final"], Home(tmp_path))["final"]
    assert store.identity["encoder"] == {"name": "adaptive", "learnt": float(source.image(0).mean())}


def test_time_and_device_are_recorded(tmp_path: Path) -> None:
    store = run(tmp_path, 8, seconds=0.02)["final"]
    assert [record.device for record in store.records()] == ["cpu", "cpu"]
    assert all(0.04 <= record.seconds < 5 for record in store.records())


def test_a_full_disk_is_told_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from shutil import _ntuple_diskusage

    monkeypatch.setattr("shutil.disk_usage", lambda path: _ntuple_diskusage(100, 50, 50))
    encoder = PatchMeans()
    with pytest.raises(StoreError, match="GB more"):
        extract(NumberedTiles(10), encoder, ["final"], Home(tmp_path))
    assert encoder.calls == 1  # the one look at the shapes


def test_memory_that_runs_out_names_the_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    encoder = PatchMeans()
    run(tmp_path, 4)["final"].discard(0)

    def exhausted(*_: Any) -> None:
        raise torch.cuda.OutOfMemoryError

    monkeypatch.setattr(encoder, "_maps", exhausted)
    with pytest.raises(EncoderError, match="smaller --batch-size"):
        extract(NumberedTiles(4), encoder, ["final"], Home(tmp_path))


class Watched(NumberedTiles):
    """Tells which tiles have been asked for."""

    def __init__(self, count: int) -> None:
        super().__init__(count)
        self.asked = [threading.Event() for _ in range(count)]

    def load(self, tiles: Sequence[int]) -> Any:
        for tile in tiles:
            self.asked[tile].set()
        return super().load(tiles)


def test_the_next_batch_is_loaded_while_one_is_encoded(tmp_path: Path) -> None:
    source, in_time = Watched(12), []

    class Waiting(PatchMeans):
        def _maps(self, images: Any, layers: Any) -> Any:
            first = round(float(images[0, 0, 0, 0]) * 1000) - 1
            if 0 <= first < 10:
                in_time.append(source.asked[first + 2].wait(10))
            return super()._maps(images, layers)

    extract(source, Waiting(), ["final"], Home(tmp_path), batch_size=2, shard_tiles=4)
    assert in_time == [True] * 5


def test_a_bar_tells_the_speed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    run(tmp_path / "quiet", 8)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setenv("FORCE_COLOR", "1")
    run(tmp_path / "shown", 8)
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "patch-means" in shown.err
    assert "tiles/s" in shown.err
    extract(NumberedTiles(8), PatchMeans(), ["block-1"], Home(tmp_path / "shown"), on_progress=False)
    assert "tiles/s" not in capsys.readouterr().err
