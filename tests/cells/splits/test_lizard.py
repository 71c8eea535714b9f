from __future__ import annotations

from collections import Counter
from importlib.resources import files

import pytest
from sklearn.model_selection import train_test_split

from cryostat.cells.splits import published
from cryostat.cells.splits.lizard import CENTRES, base_rows

GLAS_VALID = {
    "consep": [14],
    "pannuke": [6, 25, 27],
    "crag": [1, 2, 5, 6, 7, 15, 27, 28, 32, 38, 49, 56, 58, 61],
    "dpath": [10, 13, 16, 17, 19, 20, 25, 30, 31, 32, 42, 43, 46, 56, 61, 66, 67, 68],
}


@pytest.fixture
def splits(fov_table):
    ids = sorted(base_rows())
    return {split.name: split for split in published("lizard", fov_table(ids))}


def test_the_shipped_table_is_the_published_file_to_the_byte_count():
    assert len(files("cryostat.cells.splits").joinpath("lizard_base.csv").read_bytes()) == 3435


def test_base_has_the_published_counts_and_ids(splits):
    base = splits["base"]
    assert [len(base.fovs(part)) for part in ("train", "valid", "test")] == [98, 70, 70]
    assert Counter(fov.split("_")[0] for fov in base.parts) == Counter(
        dpath=69, glas=61, crag=64, pannuke=28, consep=16
    )
    assert {base.parts[f"consep_{i}"] for i in range(1, 17)} == {"train"}
    assert [base.parts[fov] for fov in ("dpath_4", "glas_61", "crag_64", "crag_58")] == [
        "test",
        "test",
        "valid",
        "train",
    ]
    assert list(base.parts)[:3] == ["dpath_1", "dpath_2", "dpath_3"]
    assert list(base.parts)[-1] == "crag_64"


def test_glas_has_exactly_the_published_validation_ids(splits):
    glas = splits["glas"]
    assert [len(glas.fovs(part)) for part in ("train", "valid", "test")] == [141, 36, 61]
    assert set(glas.fovs("valid")) == {f"{centre}_{i}" for centre, ids in GLAS_VALID.items() for i in ids}
    assert all(fov.startswith("glas_") for fov in glas.fovs("test"))


@pytest.mark.parametrize("centre", CENTRES)
def test_every_centre_is_drawn_as_scikit_learn_draws(splits, centre):
    others = [fov for fov in base_rows() if not fov.startswith(f"{centre}_")]
    train, valid = train_test_split(others, test_size=0.2, random_state=42)
    assert set(splits[centre].fovs("train")) == set(train)
    assert set(splits[centre].fovs("valid")) == set(valid)


def test_an_incomplete_lizard_gets_no_split_under_a_published_name(fov_table):
    ids = [fov for fov in base_rows() if fov != "crag_5"]
    names = {split.name for split in published("lizard", fov_table(ids))}
    assert names == {f"{centre}-partial" for centre in CENTRES}


def test_two_fields_are_too_few_for_any_split(fov_table):
    assert published("lizard", fov_table(["crag_1", "glas_1"])) == []


def test_foreign_names_are_passed_over(fov_table):
    splits = published("lizard", fov_table(["tcga_1", "crag_1", "crag_2", "crag_3", "glas_1", "glas_2"]))
    assert {split.name for split in splits} == {"glas-partial", "crag-partial"}
    assert all("tcga_1" not in split.parts for split in splits)
