"""From maps to nuclei: perfect maps give the nuclei back, and each rule by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hover_fields import discs, one_hot, perfect_maps
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from cryostat.cells.datasets.consep import listing
from cryostat.cells.datasets.importing import ImportOptions
from cryostat.cells.field import nucleus_index
from cryostat.cells.hovernext.search import class_stack, stacked
from cryostat.cells.hovernext.watershed import Segmented, WatershedSettings, segment
from cryostat.cells.synthetic import make_field
from cryostat.core.errors import InputError, SettingError
from cryostat.results.segmentation import score_panoptic

ALL = WatershedSettings(foreground=0.5, seed=0.5, hole_px=10, min_px=0, max_px=10_000)
Floats = NDArray[np.float32]


def found(picture: str, settings: WatershedSettings = ALL, classes: Floats | None = None) -> Segmented:
    """Segment maps drawn with `.` background, `o` inside, `x` border."""
    drawn = np.array([[".ox".index(c) for c in line] for line in picture.split()])
    if classes is None:
        classes = np.stack([drawn == 0, drawn > 0]).astype(np.float32)
    return segment(one_hot(drawn, 3), classes, range(len(classes)), settings)


@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_discs_come_back_from_perfect_maps(seed: int) -> None:
    truth = discs(seed, size=160, n=40, radius=(4, 11))
    classes = np.where(truth > 0, truth % 3 + 1, 0)
    result = segment(*perfect_maps(truth, classes, 4), range(4), ALL)
    ids = np.unique(truth)[1:]
    assert len(result) == len(ids)
    assert sorted(result.class_ids) == sorted(ids % 3 + 1)
    scores = score_panoptic([class_stack(truth, ids, ids % 3 + 1)], [stacked(result)], [1, 2, 3])
    assert (scores.mpq_plus or 0) >= 0.95


def test_crowded_tissue_comes_back_from_perfect_maps() -> None:
    field = make_field(0, 1, 1, 1, size=384)
    truth = field.instances.astype(np.int64)
    classes = np.concatenate([[0], field.class_ids])[truth]
    result = segment(*perfect_maps(truth, classes, 16), range(16), replace(ALL, min_px=5))
    true = class_stack(truth, field.cell_ids, field.class_ids)
    assert touching(truth) > 10
    assert (score_panoptic([true], [stacked(result)], range(1, 16)).bpq or 0) >= 0.95


def test_a_real_field_comes_back_from_perfect_maps(shared: Path) -> None:
    field = listing(shared / "data/consep", ImportOptions()).sources[0].load()
    truth = field.instances.astype(np.int64)
    classes = np.concatenate([[0], field.class_ids])[nucleus_index(truth, field.cell_ids)]
    result = segment(*perfect_maps(truth, classes, 5), range(5), ALL)
    true = class_stack(truth, field.cell_ids, field.class_ids)
    scores = score_panoptic([true], [stacked(result)], range(1, 5))
    assert (scores.bpq or 0) >= 0.97
    assert (scores.mpq_plus or 0) >= 0.97


def touching(instances: NDArray[np.int64]) -> int:
    """Number of pairs of horizontally touching nuclei."""
    left, right = instances[:, :-1], instances[:, 1:]
    pairs = np.stack([left, right])[:, (left != right) & (left > 0) & (right > 0)]
    return len(np.unique(np.sort(pairs, axis=0), axis=1).T)


def test_touching_nuclei_are_cut_where_they_touch() -> None:
    result = found("....... .xxxxx. .xoxox. .xxxxx. .......")
    row = result.instances[2].tolist()
    assert row[:3] == [0, 1, 1]
    assert row[4:] == [2, 2, 0]
    assert len(result) == 2


def test_foreground_without_a_seed_is_no_nucleus() -> None:
    assert len(found("..... .xxx. .xxx. .....")) == 0


def test_seeds_that_meet_at_a_corner_are_one() -> None:
    assert len(found("xxxx xoxx xxox xxxx")) == 1


def test_a_hole_is_filled_when_small_and_enclosed_by_one_nucleus() -> None:
    ring = "....... .ooooo. .o..oo. .ooooo. ......."
    assert found(ring).instances[2].tolist() == [0, 1, 1, 1, 1, 1, 0]
    assert found(ring, replace(ALL, hole_px=1)).instances[2].tolist() == [0, 1, 0, 0, 1, 1, 0]
    assert found("ooo o.o o.o").instances[2].tolist() == [1, 0, 1]  # open at the image's edge


def test_a_hole_between_two_nuclei_stays() -> None:
    parts = np.zeros((3, 5, 6), np.float32)
    parts[2] = 1
    parts[1:, :, 0] = parts[1:, :, 5] = [[1], [0]]
    parts[:, 2, 2:4] = [[1], [0], [0]]
    result = segment(parts, np.ones((1, 5, 6), np.float32), [4], ALL)
    assert len(result) == 2
    assert (result.instances == 0).sum() == 2


def test_the_class_has_the_greatest_mean_and_background_no_voice() -> None:
    classes = np.zeros((3, 3, 3), np.float32)
    classes[:, 0] = np.array([0.0, 1.0, 0.0])[:, None]
    classes[:, 1:] = np.array([0.6, 0.1, 0.3])[:, None, None]
    result = segment(one_hot(np.ones((3, 3), np.int64), 3), classes, [0, 8, 5], ALL)
    assert result.probabilities.tolist() == [pytest.approx([0.4, 0.4, 0.2])]
    assert result.class_ids.tolist() == [8]
    swapped = segment(one_hot(np.ones((3, 3), np.int64), 3), classes[[1, 0, 2]], [8, 0, 5], ALL)
    assert swapped.class_ids.tolist() == [8]


def test_sizes_are_those_of_the_class() -> None:
    classes = np.zeros((3, 3, 7), np.float32)
    classes[1, :, :3] = classes[2, :, 4:] = classes[0, :, 3] = 1
    picture = "ooo.ooo ooo.ooo ooo.ooo"
    assert found(picture, replace(ALL, min_px=(9, 10)), classes).class_ids.tolist() == [1]
    assert found(picture, replace(ALL, max_px=(8, 9)), classes).class_ids.tolist() == [2]
    kept = found(picture, replace(ALL, max_px=(8, 9)), classes)
    assert kept.instances[0].tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert kept.probabilities.shape == (1, 3)


def test_thresholds_are_those_of_the_most_probable_class() -> None:
    parts = np.tile(np.array([0.4, 0.5, 0.1], np.float32)[:, None, None], (1, 4, 6))
    classes = np.zeros((2, 4, 6), np.float32)
    classes[0, :, :3] = classes[1, :, 3:] = 1

    def columns(settings: WatershedSettings) -> list[bool]:
        return (segment(parts, classes, [1, 2], settings).instances[0] > 0).tolist()

    assert columns(replace(ALL, foreground=(0.5, 0.7), seed=0.3)) == [True] * 3 + [False] * 3
    assert columns(replace(ALL, foreground=0.5, seed=(0.3, 0.6))) == [True] * 6  # grows over where it has no seed
    assert columns(replace(ALL, foreground=0.5, seed=0.6)) == [False] * 6


def test_half_precision_gives_the_same_nuclei() -> None:
    truth = discs(3, size=80, n=12, radius=(4, 8))
    parts, classes = perfect_maps(truth, (truth > 0).astype(np.int64), 2)
    single, half = (segment(parts.astype(t), classes.astype(t), [0, 1], ALL) for t in (np.float32, np.float16))
    assert (single.instances == half.instances).all()


def test_empty_maps_have_no_nuclei() -> None:
    parts = one_hot(np.zeros((6, 7), np.int64), 3)
    result = segment(parts, parts, [0, 1, 2], WatershedSettings())
    assert len(result) == 0
    assert result.instances.dtype == np.int32
    assert not result.instances.any()
    assert result.probabilities.shape == (0, 3)
    assert stacked(result).shape == (6, 7, 2)


GOOD = one_hot(np.ones((4, 4), np.int64), 3)


@pytest.mark.parametrize(
    ("parts", "classes", "ids", "message"),
    [
        (GOOD[:2], GOOD, [0, 1, 2], "of one field"),
        (GOOD, GOOD[:, :3], [0, 1, 2], "of one field"),
        (GOOD, GOOD, [0, 1], "of one field"),
        (GOOD, GOOD, [0, 0, 0], "name no class"),
        (GOOD * 3, GOOD, [0, 1, 2], "parts are not probabilities"),
        (GOOD, GOOD * np.nan, [0, 1, 2], "classes are not probabilities"),
    ],
)
def test_other_maps_are_refused(parts: Floats, classes: Floats, ids: list[int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        segment(parts, classes, ids, ALL)


@pytest.mark.parametrize("wrong", [{"foreground": 1.2}, {"seed": (0.2, -0.1)}, {"min_px": -1}, {"hole_px": -1}])
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        WatershedSettings(**wrong)


def test_a_setting_per_class_has_a_value_for_each() -> None:
    with pytest.raises(SettingError, match="2 values for 1 classes"):
        found("ooo", replace(ALL, seed=(0.1, 0.2)))
