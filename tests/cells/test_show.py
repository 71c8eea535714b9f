from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.drawing import densest_window
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.show import _class_counts, _columns, _evenly, _share, contact_sheet
from cryostat.cells.writer import DatasetWriter
from cryostat.core.errors import SettingError

RED, GREEN = (255, 0, 0), (0, 255, 0)


@pytest.fixture
def dataset(tmp_path: Path) -> CellDataset:
    """Five grey fields of 200 px; two red-class squares top left, one green-class square bottom right."""
    classes = (CellClass(1, "red", "#ff0000"), CellClass(2, "green", "#00ff00"), CellClass(3, "none yet"))
    instances = np.zeros((200, 200), np.int32)
    instances[10:40, 10:40], instances[50:80, 10:40], instances[150:190, 150:190] = 1, 2, 3
    image = np.full((200, 200, 3), 128, np.uint8)
    facts = DatasetFacts("grey", "Grey fields", classes, 0.5, "CC0", "none")
    with DatasetWriter(tmp_path / "datasets" / "grey", facts) as writer:
        for name in "abcde":
            about = {"patient_id": name.upper(), "site": "north"}
            writer.add(field_from_table(name, image, instances, {1: 1, 2: 1, 3: 2}, mpp=0.5, source=name, **about))
    return CellDataset(tmp_path / "datasets" / "grey")


def drawn(path):
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def where(page, color, tolerance=60):
    return np.argwhere(np.abs(page - color).max(-1) <= tolerance)


def test_outlines_lie_on_the_edges_of_nuclei_in_their_colour(dataset, tmp_path):
    page = drawn(contact_sheet(dataset, tmp_path / "a.png", fovs=["a"], size=400))
    grey = where(page, (128, 128, 128), 0)
    top, left = grey.min(0)
    field = page[top : top + 400, left : left + 400]
    # Nucleus 1 covers pixels 10 to 39, 20 to 79 at twice the size.
    assert (field[50, 20] == RED).all()
    assert (field[50, 79] == RED).all()
    assert (field[20, 50] == RED).all()
    assert (field[50, 50] == 128).all()
    assert (field[50, 18] == 128).all()
    assert (field[340, 300] == GREEN).all()
    assert (field[340, 340] == 128).all()


def test_outlines_can_be_left_away(dataset, tmp_path):
    page = drawn(contact_sheet(dataset, tmp_path / "a.png", fovs=["a"], size=400, outlines=False))
    legend_only = where(page, RED, 10)
    assert len(legend_only)
    assert np.ptp(legend_only[:, 0]) < 20


def test_the_page_has_a_column_a_picture(dataset, tmp_path):
    widths = [Image.open(contact_sheet(dataset, tmp_path / f"{n}.png", columns=n, size=300)).width for n in (3, 4, 5)]
    assert [b - a for a, b in pairwise(widths)] == [322, 322]


def test_the_same_page_is_drawn_twice(dataset, tmp_path):
    first = contact_sheet(dataset, tmp_path / "a.png", size=100)
    second = contact_sheet(dataset, tmp_path / "b.png", size=100)
    assert first.read_bytes() == second.read_bytes()


def test_pages_are_about_square_and_choices_evenly_spaced():
    assert [_columns(n) for n in (1, 2, 4, 5, 9, 12)] == [1, 2, 2, 3, 3, 4]
    assert _evenly(list("abcdefghij"), 5) == ["b", "d", "f", "h", "j"]
    assert _evenly(list("abc"), 12) == ["a", "b", "c"]
    assert _evenly([], 3) == []


def test_a_crop_lies_where_nuclei_are_densest(dataset):
    window = densest_window(dataset, "a", 50.0)
    assert (window.y1 - window.y0, window.x1 - window.x0) == (100, 100)
    assert _class_counts(dataset, "a", window) == {1: 2}
    assert _class_counts(dataset, "a", densest_window(dataset, "a", None)) == {1: 2, 2: 1}
    whole = densest_window(dataset, "a", 1e6)
    assert (whole.y0, whole.x0, whole.y1, whole.x1) == (0, 0, 200, 200)


def test_a_part_of_a_split_can_be_shown(dataset, tmp_path):
    split = Split("s", {"a": "train", "b": "valid", "c": "test", "d": "test"})
    page = Image.open(contact_sheet(dataset, tmp_path / "a.png", split=split, part="test", size=300, columns=5))
    assert page.width == 2 * 36 + 2 * 300 + 22


def test_shares_are_rounded_but_never_to_nothing():
    assert [_share(n, 1000) for n in (0, 1, 15, 1000)] == ["0%", "<1%", "2%", "100%"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"fovs": ["z"]},
        {"part": "test"},
        {"limit": 0},
        {"columns": 0},
        {"size": 10},
        {"crop": 0.0},
        {"crop": -5.0},
    ],
)
def test_what_cannot_be_shown_is_refused_and_nothing_written(dataset, tmp_path, wrong):
    with pytest.raises(SettingError):
        contact_sheet(dataset, tmp_path / "a.png", **wrong)
    assert not (tmp_path / "a.png").exists()


def test_names_that_are_too_long_or_foreign_are_cut(dataset, tmp_path):
    table = dataset.fovs
    table.loc["a", "site"] = "Österreichisches " * 40
    page = Image.open(contact_sheet(dataset, tmp_path / "a.png", fovs=["a"], size=200))
    assert page.width == 640
