from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tomli_w

from cryostat.cells.dataset import CellDataset, Split, dataset_names, load_dataset
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.writer import DatasetWriter
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import read_toml
from cryostat.core.home import Home

INSTANCES = np.array([[3, 3, 0], [0, 0, 70_000]])


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def dataset(home: Home) -> CellDataset:
    """Fields a, b, c; nucleus 3 is of class 2, nucleus 70000 of none."""
    facts = DatasetFacts("tiny", "Tiny", (CellClass(1, "round"), CellClass(2, "long", "#00ff00")), 0.5, "CC0", "None")
    with DatasetWriter(home.datasets / "tiny", facts) as writer:
        for value, fov in enumerate("abc"):
            image = np.full((2, 3, 3), value, np.uint16)
            writer.add(field_from_table(fov, image, INSTANCES, {3: 2}, mpp=0.5, source=fov))
        writer.add_splits([Split("base", {"c": "test", "a": "train", "b": "valid"})])
    return CellDataset(home.datasets / "tiny")


def test_arrays_are_mapped_read_only(dataset: CellDataset) -> None:
    image, instances = dataset.image("b"), dataset.instances("b")
    assert isinstance(image, np.memmap)
    assert (image.dtype, image.shape, image.max()) == (np.uint16, (2, 3, 3), 1)
    assert instances.tolist() == INSTANCES.tolist()
    with pytest.raises(ValueError, match="read-only"):
        image[0, 0, 0] = 1


def test_the_class_of_each_pixel_follows_from_the_nuclei(dataset: CellDataset) -> None:
    assert dataset.class_map("a").tolist() == [[2, 2, 0], [0, 0, 0]]
    assert dataset.semantic("a").tolist() == [[2, 2, 0], [0, 0, 0]]


def test_tables(dataset: CellDataset) -> None:
    assert dataset.name == "tiny"
    assert dataset.classes == (CellClass(1, "round"), CellClass(2, "long", "#00ff00"))
    assert dataset.fovs.index.tolist() == ["a", "b", "c"]
    assert dataset.mpp("a") == 0.5
    assert dataset.cells_of("b").cell_id.tolist() == [3, 70_000]
    assert len(dataset.cells_of("nowhere")) == 0


def test_a_split_keeps_its_order(dataset: CellDataset) -> None:
    assert dataset.split_names() == ["base"]
    split = dataset.split("base")
    assert list(split.parts) == ["c", "a", "b"]
    assert split.fovs("train") == ["a"]


def test_an_unknown_split_lists_the_known(dataset: CellDataset) -> None:
    with pytest.raises(SettingError, match=r"no split 'other' \(there are: base\)"):
        dataset.split("other")


def test_an_unknown_field_is_an_error_of_ours(dataset: CellDataset) -> None:
    with pytest.raises(InputError, match="does not exist"):
        dataset.image("nowhere")


def test_load_by_name_and_by_path(home: Home, dataset: CellDataset) -> None:
    assert load_dataset("tiny", home).identity == dataset.identity
    assert load_dataset(dataset.folder, home).identity == dataset.identity
    assert dataset_names(home) == ["tiny"]


def test_an_unknown_dataset_lists_the_known(home: Home, dataset: CellDataset) -> None:
    with pytest.raises(SettingError, match=r"no dataset 'lizard' .*there are: tiny.*cryostat data import"):
        load_dataset("lizard", home)


def test_drafts_are_no_datasets(home: Home, dataset: CellDataset) -> None:
    dataset.folder.rename(home.datasets / ".tiny.importing-x")
    assert dataset_names(home) == []
    assert dataset_names(Home(home.root / "nowhere")) == []


def test_another_layout_is_refused(dataset: CellDataset) -> None:
    facts = read_toml(dataset.folder / "dataset.toml") | {"format": 99}
    (dataset.folder / "dataset.toml").write_text(tomli_w.dumps(facts))
    with pytest.raises(InputError, match="has layout 99, this version reads 1"):
        CellDataset(dataset.folder)


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is not an imported dataset"):
        CellDataset(tmp_path)


@pytest.mark.parametrize("name", ["fovs", "cells"])
def test_damaged_tables_end_in_our_error(dataset: CellDataset, name: str) -> None:
    path = dataset.folder / f"{name}.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=f"{name}.parquet: cannot be read as a table"):
        getattr(CellDataset(dataset.folder), name)


def test_a_damaged_array_ends_in_our_error(dataset: CellDataset) -> None:
    path = dataset.folder / "images/a.npy"
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match="damaged or truncated"):
        dataset.image("a")
