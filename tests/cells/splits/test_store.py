from __future__ import annotations

import pytest

from cryostat.cells.dataset import Split
from cryostat.cells.splits.store import store_splits
from cryostat.core.errors import InputError, SettingError

ONE = Split("one", {"a": "train", "b": "valid", "c": "test"})
OTHER = Split("one", {"a": "test", "b": "valid", "c": "train"})


def test_a_stored_split_is_read_back(small_dataset):
    dataset = small_dataset("abc")
    store_splits(dataset, [ONE])
    store_splits(dataset, [ONE])
    assert dataset.split("one") == ONE


def test_another_of_the_same_name_needs_leave(small_dataset):
    dataset = small_dataset("abc")
    store_splits(dataset, [ONE])
    with pytest.raises(SettingError, match="another split 'one'"):
        store_splits(dataset, [OTHER])
    assert dataset.split("one").parts == ONE.parts
    store_splits(dataset, [OTHER], overwrite=True)
    assert dataset.split("one").parts == OTHER.parts


def test_one_clash_keeps_all_of_them_out(small_dataset):
    dataset = small_dataset("abc")
    store_splits(dataset, [ONE])
    with pytest.raises(SettingError):
        store_splits(dataset, [Split("new", ONE.parts), OTHER])
    assert dataset.split_names() == ["one"]


@pytest.mark.parametrize("name", ["", "a b", "../a", "a/b", ".a", "ä"])
def test_names_that_are_no_file_names_are_refused(small_dataset, name):
    with pytest.raises(SettingError, match="no split name"):
        store_splits(small_dataset("abc"), [Split(name, ONE.parts)])


def test_unknown_fields_are_refused(small_dataset):
    with pytest.raises(InputError, match="'z'"):
        store_splits(small_dataset("abc"), [Split("s", {**ONE.parts, "z": "test"})])
