"""Published sizes, told from their own sums."""

from __future__ import annotations

import pytest

from cryostat.cells.planning.published import EXTENTS, UnseenDataset, dealt
from cryostat.cells.protocols import load_protocol
from cryostat.cells.tiling import tiles_for
from cryostat.core.errors import SettingError
from cryostat.encoders.registry import card

PAPER, UNI = load_protocol("paper"), card("uni")


@pytest.mark.parametrize(
    ("name", "fields", "tiles"),
    [
        ("lizard", 238, 238 * 25),  # 1016 × 917: 5 × 5
        ("pannuke", 7901, 31_604),  # 256 × 256: 2 × 2
        ("arctique", 1450, 1450 * 9),  # 512 × 512: 3 × 3
        ("pathocell", 109, 4662 + 1008 + 1197),  # 1440 × 1920: 7 × 9, as published by part
        ("consep", 41, 41 * 25),
        ("conic", 4981, 4981 * 4),
    ],
)
def test_tiles_under_the_published_cut(name: str, fields: int, tiles: int) -> None:
    dataset = UnseenDataset(name)
    assert len(dataset.fovs) == fields
    assert len(tiles_for(dataset, PAPER, UNI).index()) == tiles


@pytest.mark.parametrize(
    ("name", "split", "counts"),
    [
        ("lizard", "base", (98, 70, 70)),
        ("lizard", "glas", (141, 36, 61)),
        ("pannuke", "base", (2722, 2656, 2523)),
        ("arctique", "train-part-70-15-15", (1015, 218, 217)),
        ("pathocell", "tumour-type", (69, 17, 23)),  # 63, 16 and 21 % of 109
        ("pathocell", "dii-to-clr", (49, 12, 48)),  # 17 patients of 34, a fifth of the others validates
        ("consep", "official", (23, 4, 14)),
    ],
)
def test_parts_of_published_splits(name: str, split: str, counts: tuple[int, int, int]) -> None:
    found = UnseenDataset(name).split(split)
    assert tuple(len(found.fovs(part)) for part in ("train", "valid", "test")) == counts


def test_pathocell_lacks_31_spots_and_patient_35() -> None:
    names = UnseenDataset("pathocell").fov_ids
    assert "reg001_A" in names
    assert not [name for name in names if name.startswith(("reg069", "reg070", "reg057"))]


def test_a_split_that_no_import_makes_is_refused_with_those_it_makes() -> None:
    with pytest.raises(SettingError, match=r"makes no split 'tumour-stage'.*base.*glas"):
        UnseenDataset("lizard").split("tumour-stage")


def test_every_dataset_has_classes_and_a_stand_in_deals_all_fields() -> None:
    assert {name: len(UnseenDataset(name).classes) for name in EXTENTS} == {
        "lizard": 6,
        "pannuke": 5,
        "arctique": 5,
        "pathocell": 14,
        "consep": 4,
        "conic": 6,
    }
    assert dealt("any", list("abcdefghij")).parts == dict.fromkeys("abcdefg", "train") | {"h": "valid"} | dict.fromkeys(
        "ij", "test"
    )
