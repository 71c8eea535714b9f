"""The command line of features."""

from __future__ import annotations

import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner, Result

from cryostat.cli.features import command
from cryostat.core.errors import SettingError
from cryostat.core.home import Home
from cryostat.features.claims import release, try_lock
from cryostat.features.identity import feature_identity, store_folder
from cryostat.features.shards import Failure
from cryostat.features.store import FeatureStore


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """One whole store (`rcf`, one tile failed) and one that lacks its second shard (`vit`)."""
    home = Home(tmp_path)
    make(home, "rcf", [0, 1])
    make(home, "vit", [0])
    return home


def make(home: Home, encoder: str, shards: list[int]) -> FeatureStore:
    identity = feature_identity({"dataset": "demo", "mpp": 0.5}, {"name": encoder}, "final")
    index = pd.DataFrame({"tile": range(4), "fov_id": ["a", "a", "b", "b"]})
    store = FeatureStore.create_or_open(store_folder(home, identity), identity, index, (2, 2, 3), 2)
    for shard in shards:
        failures = [Failure(3, "b", "b.png: is [cut] short. Copy it again.")] if shard else []
        store.write(shard, np.ones((2, 2, 2, 3)), seconds=0.5, device="cpu", failures=failures)
    return store


def store_of(home: Home, encoder: str) -> FeatureStore:
    return FeatureStore(next(home.features.glob(f"*{encoder}*")))


def call(home: Home, *arguments: str) -> Result:
    return CliRunner(env={"COLUMNS": "160"}).invoke(command, list(arguments), obj=home)


def corrupt(store: FeatureStore, shard: int) -> None:
    content = bytearray(store.shard_path(shard).read_bytes())
    content[-1] ^= 1
    store.shard_path(shard).write_bytes(content)


def test_list(home: Home) -> None:
    lines = call(home, "list").output.splitlines()
    rows = [line.split() for line in lines if line.split()[:1] == ["demo"]]
    assert rows == [
        ["demo", "rcf", "final", store_of(home, "rcf").digest[:8], "4", "all", "1", "352", "B"],
        ["demo", "vit", "final", store_of(home, "vit").digest[:8], "4", "50", "%", "0", "176", "B"],
    ]


def test_list_of_nothing_and_of_a_damaged_store(home: Home, tmp_path: Path) -> None:
    assert "No features" in call(Home(tmp_path / "new"), "list").output
    (store_of(home, "vit").folder / "store.json").write_text("{")
    output = call(home, "list").output
    assert "damaged" in output
    assert "is not valid JSON" in output


def test_show(home: Home) -> None:
    output = call(home, "show", "rcf").output
    for words in ("4 stored of 4", "2 × 2 tokens × 3 channels", "4.0 tiles/s", '"mpp": 0.5', "is [cut] short", "cpu"):
        assert words in output
    assert "2 stored of 4" in call(home, "show", "vit").output
    assert isinstance(call(home, "show", "uni").exception, SettingError)


def test_verify_names_the_damage_and_repairs_it(home: Home) -> None:
    sound = call(home, "verify")
    assert sound.exit_code == 0
    assert sound.output.count("sound") == 2
    assert "1 of 2 shards not stored yet" in sound.output
    corrupt(store_of(home, "rcf"), 1)
    found = call(home, "verify", "rcf")
    assert (found.exit_code, "damaged: shard-00001.npy" in found.output) == (1, True)
    repaired = call(home, "verify", "--repair")
    assert (repaired.exit_code, "deleted shard-00001.npy" in repaired.output) == (0, True)
    assert store_of(home, "rcf").missing() == [1]


def test_verify_goes_on_after_a_store_that_cannot_be_opened(home: Home) -> None:
    (store_of(home, "rcf").folder / "store.json").write_text("{")
    result = call(home, "verify")
    assert result.exit_code == 1
    assert "is not valid JSON" in result.output
    assert "1 of 2 shards not stored yet" in result.output


def test_failed_tiles_are_tried_again_only_when_asked(home: Home) -> None:
    assert isinstance(call(home, "verify", "--retry-failed").exception, SettingError)
    call(home, "verify", "--repair")
    assert store_of(home, "rcf").complete
    call(home, "verify", "rcf", "--repair", "--retry-failed")
    assert store_of(home, "rcf").missing() == [1]


def test_prune_only_tells_without_yes(home: Home) -> None:
    output = call(home, "prune").output
    assert "would delete demo--vit--final" in output
    assert "incomplete" in output
    assert "rcf" not in output
    assert len(list(home.features.iterdir())) == 2


def test_prune_deletes_the_incomplete(home: Home) -> None:
    assert "deleted demo--vit--final" in call(home, "prune", "--yes").output
    assert [store_of(home, "rcf").folder] == list(home.features.iterdir())
    assert "Nothing to delete." in call(home, "prune", "--yes").output


def test_prune_deletes_the_old_when_asked(home: Home) -> None:
    past = time.time() - 10 * 86400
    for path in store_of(home, "rcf").folder.iterdir():
        os.utime(path, (past, past))
    assert "rcf" not in call(home, "prune", "--older-than", "11").output
    assert "written 10 days ago" in call(home, "prune", "--older-than", "9").output


def test_prune_leaves_what_is_being_filled(home: Home) -> None:
    lock = try_lock(store_of(home, "vit").shard_path(1, "lock"))
    assert lock is not None
    assert "Nothing to delete." in call(home, "prune", "--yes").output
    release(lock, delete=False)
    assert "deleted demo--vit" in call(home, "prune", "--yes").output
