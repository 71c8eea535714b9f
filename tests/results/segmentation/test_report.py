"""All segmentation scores together, and their form on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cryostat.core.errors import InputError, SettingError
from cryostat.results.segmentation import (
    METRICS,
    SegmentationScores,
    score_counts,
    score_detection,
    score_dice,
    score_panoptic,
    score_segmentation,
    together,
)

NAMES = {1: "tumour", 2: "stroma"}
MAPS = hnp.arrays(np.int32, (3, 6, 7, 2), elements=st.integers(0, 2))


def field(*boxes: tuple[int, int, int], width: int = 12) -> np.ndarray:
    """(4, width, 2) with full-height instances 1, 2, … given as (class, left, right)."""
    labels = np.zeros((4, width, 2), np.int32)
    for number, (kind, left, right) in enumerate(boxes, start=1):
        labels[:, left:right] = number, kind
    return labels


@pytest.fixture
def scores() -> SegmentationScores:
    """Field 1: a tumour nucleus found a column aside (IoU 0.6), a stroma nucleus missed. Field 2: one found exactly."""
    true = [field((1, 0, 4), (2, 8, 12)), field((1, 0, 4))]
    pred = [field((1, 1, 5)), field((1, 0, 4))]
    return score_segmentation(true, pred, NAMES, match_px=2.0, mpp=0.5)


def test_values_by_hand(scores: SegmentationScores) -> None:
    found = scores.metrics()
    assert found["pq"] == found["bpq"] == pytest.approx((0.6 / 1.5 + 1) / 2)
    assert found["mpq"] == pytest.approx(((0.6 + 0) / 2 + 1) / 2)
    assert found["mpq_plus"] == pytest.approx((1.6 / 2 + 0) / 2)
    assert found["detection_f1"] == pytest.approx(4 / 5)
    assert found["detection_f1_macro"] == pytest.approx((1 + 0) / 2)
    # 12 + 16 px shared; 48 true, 32 predicted.
    assert found["dice"] == pytest.approx(2 * 28 / 80)
    assert found["dice_macro"] == pytest.approx((2 * 28 / 64 + 0) / 2)
    # Tumour 1, 1 against 1, 1: no spread, all right. Stroma 1, 0 against 0, 0: residual 1, spread 0.5.
    assert found["r2"] == pytest.approx((1 + (1 - 1 / 0.5)) / 2)
    assert list(found) == [*(metric.name for metric in METRICS), "bpq"]


def test_rows_of_the_classes(scores: SegmentationScores) -> None:
    tumour, stroma = scores.per_class
    assert (tumour.name, tumour.true, tumour.pred, tumour.recall) == ("tumour", 2, 2, 1)
    assert (tumour.dq, tumour.sq, tumour.pq) == pytest.approx((1, 0.8, 0.8))
    assert (stroma.name, stroma.true, stroma.pred, stroma.precision, stroma.recall) == ("stroma", 1, 0, None, 0)
    assert (stroma.sq, stroma.pq, stroma.dice) == (None, 0, 0)
    assert scores.fields == 2


def test_the_official_numbers_of_conic(shared: Path) -> None:
    arrays = np.load(shared / "parity" / "conic_metrics.npz")
    known = json.loads((shared / "parity" / "conic_metrics.json").read_text())
    scores = score_segmentation(arrays["true"], arrays["pred"], range(1, 7), match_px=6, mpp=0.5)
    scores = SegmentationScores.from_dict(json.loads(json.dumps(scores.to_dict())))
    found = scores.metrics()
    wanted = {"pq": known["pq"], "bpq": known["pq"], "mpq_plus": known["mpq_plus"], "r2": known["multi_r2"]}
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-6)
    np.testing.assert_allclose([row.pq for row in scores.per_class], known["per_class_pq"], rtol=0, atol=1e-6)
    rows = [(c.counts.tp, c.counts.fp, c.counts.fn, c.counts.iou_sum) for c in scores.panoptic.classes]
    np.testing.assert_allclose(rows, known["per_class_tp_fp_fn_iousum"], rtol=0, atol=1e-6)
    per_image = [image.binary.pq for image in scores.panoptic.images]
    np.testing.assert_allclose(per_image, known["pq_per_image"], rtol=0, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(MAPS, MAPS)
def test_agrees_with_each_score_alone_and_survives_json(true: np.ndarray, pred: np.ndarray) -> None:
    scores = score_segmentation(true, pred, NAMES, match_px=2)
    assert scores.panoptic == score_panoptic(true, pred, NAMES)
    assert scores.counts == score_counts(true, pred, NAMES)
    assert scores.detection == score_detection(true, pred, NAMES, radius=2)
    assert scores.dice == score_dice(true, pred, NAMES)
    assert SegmentationScores.from_dict(json.loads(json.dumps(scores.to_dict(), allow_nan=False))) == scores


@settings(max_examples=20, deadline=None)
@given(MAPS, MAPS)
def test_parts_pool_to_the_whole(true: np.ndarray, pred: np.ndarray) -> None:
    whole = score_segmentation(true, pred, NAMES, match_um=1.5, mpp=0.5)
    parts = [score_segmentation(true[s], pred[s], NAMES, match_um=1.5, mpp=0.5) for s in (slice(1), slice(1, None))]
    assert together(parts) == whole


def test_what_is_undefined_is_null() -> None:
    plain = score_segmentation([field()], [field()], NAMES, match_px=2).to_dict()
    assert set(plain["metrics"].values()) == {None}
    assert score_segmentation([], [], NAMES, match_px=2).metrics()["pq"] is None


def test_the_radius_is_told_in_px_and_um() -> None:
    maps = [field((1, 0, 4)), field((1, 0, 4))]
    one = score_segmentation(maps, maps, NAMES, match_um=3, mpp=0.5).settings
    assert (one.match_px, one.match_um, one.about) == (6, 3, "3 µm (6 px)")
    two = score_segmentation(maps, maps, NAMES, match_um=3, mpp=[0.5, 0.25])
    assert (two.settings.match_px, two.settings.match_um, two.settings.about) == (None, 3, "3 µm")
    assert (two.detection.radius, two.detection.unit) == (3, "um")
    assert score_segmentation(maps, maps, NAMES, match_px=6).settings.about == "6 px"


def test_the_radius_in_um_counts_more_pixels_where_pixels_are_small() -> None:
    true, pred = [field((1, 0, 4)), field((1, 0, 4))], [field((1, 4, 8)), field((1, 4, 8))]
    scores = score_segmentation(true, pred, NAMES, match_um=1, mpp=[0.5, 0.25])  # 2 px and 4 px; centres 4 px apart
    assert [tally[0].centre_pairs for tally in scores.tallies] == [0, 1]


class Lazy(Sequence):
    """Maps made when asked for, counting how often."""

    def __init__(self, n: int) -> None:
        self.n, self.read = n, 0

    def __len__(self) -> int:
        return self.n

    def __getitem__(self, index: Any) -> np.ndarray:
        if index >= self.n:
            raise IndexError(index)
        self.read += 1
        return field((1, 0, 4))


def test_lazy_maps_are_read_once() -> None:
    true, pred = Lazy(3), Lazy(3)
    assert score_segmentation(true, pred, NAMES, match_px=2).metrics()["pq"] == 1
    assert (true.read, pred.read) == (3, 3)


@pytest.mark.parametrize(
    "radius",
    [
        {},
        {"match_px": 1, "match_um": 1},
        {"match_px": 0},
        {"match_px": math.nan},
        {"match_um": 3},
        {"match_um": 3, "mpp": 0},
        {"match_um": 3, "mpp": [0.5, 0.5]},
        {"match_px": 2, "iou_threshold": 0.4},
    ],
)
def test_settings_that_make_no_sense(radius: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        score_segmentation([field()], [field()], NAMES, **radius)


@pytest.mark.parametrize(
    "pred",
    [field(width=11), field().astype(float), field()[..., 0], field((3, 0, 4)), -field((1, 0, 4)), None],
)
def test_maps_that_do_not_fit(pred: Any) -> None:
    with pytest.raises(InputError):
        score_segmentation([field()], [pred], NAMES, match_px=2)


def _edited(plain: dict[str, Any], path: Sequence[str], value: Any) -> dict[str, Any]:
    copy = json.loads(json.dumps(plain))
    place = copy
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return copy


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (["format"], 2),
        (["format"], True),
        (["fields"], "2"),
        (["fields"], 3),
        (["fields"], -1),
        (["classes"], None),
        (["classes"], {"tumour": 1}),
        (["classes"], {"9" * 5000: "tumour"}),
        (["classes"], {"1": "tumour", "3": "other"}),
        (["settings"], None),
        (["settings"], {"match_px": 2}),
        (["settings", "match_px"], "2"),
        (["settings", "match_um"], -1),
        (["settings", "iou_threshold"], 7),
        (["counts"], []),
        (["counts", "0"], None),
        (["counts", "1", "true"], [1]),
        (["counts", "1", "true"], [1, None]),
        (["counts", "1", "true"], [1, True]),
        (["counts", "1", "true"], [1, 0.5]),
        (["counts", "1", "true"], [1, -1]),
        (["counts", "1", "iou_sum"], [0.6, math.nan]),
        (["counts", "1", "iou_sum"], [0.6, 1.5]),
        (["counts", "2", "centre_pairs"], [1, 0]),
        (["counts", "2", "shared_px"], [1, 0]),
    ],
)
def test_damaged_data_are_refused(scores: SegmentationScores, path: list[str], value: Any) -> None:
    with pytest.raises(InputError):
        SegmentationScores.from_dict(_edited(scores.to_dict(), path, value))


@pytest.mark.parametrize("facts", [None, [], {}, "x", {"format": 1}])
def test_what_is_no_such_file_at_all(facts: Any) -> None:
    with pytest.raises(InputError):
        SegmentationScores.from_dict(facts)


def test_different_settings_do_not_pool(scores: SegmentationScores) -> None:
    other = score_segmentation([field()], [field()], NAMES, match_px=3)
    for parts in ([scores, other], []):
        with pytest.raises(SettingError):
            together(parts)
