"""Finding, naming and deleting stores."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from cryostat.core.errors import SettingError, StoreError
from cryostat.core.home import Home
from cryostat.features.catalogue import all_stores, delete_store, find_store, last_written, named_store
from cryostat.features.identity import feature_identity, store_folder
from cryostat.features.store import FeatureStore

TILES = pd.DataFrame({"tile": [0], "fov_id": ["a"]})


def make(home: Home, encoder: str) -> FeatureStore:
    identity = feature_identity({"dataset": "demo"}, {"name": encoder}, "final")
    return FeatureStore.create_or_open(store_folder(home, identity), identity, TILES, (1, 1, 1))


def test_a_store_is_found_by_its_identity(tmp_path: Path) -> None:
    home = Home(tmp_path)
    identity = feature_identity({"dataset": "demo"}, {"name": "rcf"}, "final")
    assert find_store(home, identity) is None
    made = make(home, "rcf")
    found = find_store(home, identity)
    assert found is not None
    assert found.folder == made.folder


def test_a_store_is_named_by_any_part_that_tells(tmp_path: Path) -> None:
    home = Home(tmp_path)
    with pytest.raises(SettingError, match=r"no store matches 'rcf' \(there are: none yet\)"):
        named_store(home, "rcf")
    rcf, vit = make(home, "rcf"), make(home, "vit")
    assert named_store(home, "rcf").folder == rcf.folder
    assert named_store(home, vit.digest[3:11]).folder == vit.folder
    assert named_store(home, vit.folder.name).folder == vit.folder
    with pytest.raises(SettingError, match=r"2 stores match 'demo' \(there are: demo--rcf--final--.*, demo--vit"):
        named_store(home, "demo")


def test_all_stores_tell_of_the_damaged_too(tmp_path: Path) -> None:
    home = Home(tmp_path)
    rcf, vit = make(home, "rcf"), make(home, "vit")
    (rcf.folder / "store.json").write_text("{")
    (home.features / "no store").mkdir()
    found = all_stores(home)
    assert list(found) == [rcf.folder, vit.folder]
    assert isinstance(found[rcf.folder], StoreError)
    assert isinstance(found[vit.folder], FeatureStore)
    assert all_stores(Home(tmp_path / "nowhere")) == {}


def test_a_deleted_store_is_gone_with_what_an_interrupted_deletion_left(tmp_path: Path) -> None:
    home = Home(tmp_path)
    rcf, vit = make(home, "rcf"), make(home, "vit")
    (home.features / ".deleted-x").mkdir()
    delete_store(rcf.folder)
    assert list(home.features.iterdir()) == [vit.folder]


def test_last_written(tmp_path: Path) -> None:
    folder = make(Home(tmp_path), "rcf").folder
    for number, path in enumerate(sorted(folder.iterdir())):
        os.utime(path, (1000 + number, 1000 + number))
    assert last_written(folder) == 1001
