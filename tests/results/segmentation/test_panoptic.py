"""Pairing by overlap and the qualities made of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cryostat.core.errors import SettingError
from cryostat.results.segmentation import pair_by_iou, read_instances, score_counts, score_panoptic

SETTINGS = settings(max_examples=40, deadline=None)
MAPS = hnp.arrays(np.int32, (2, 6, 7, 2), elements=st.integers(0, 3))


def boxes(*items: tuple[int, int, int, int, int], shape: tuple[int, int] = (10, 20)) -> np.ndarray:
    """A map (H, W, 2) with instances 1, 2, … given as (class, top, bottom, left, right)."""
    labels = np.zeros((*shape, 2), np.int32)
    for number, (kind, top, bottom, left, right) in enumerate(items, start=1):
        labels[top:bottom, left:right] = number, kind
    return labels


def test_official_conic_numbers(shared: Path) -> None:
    arrays = np.load(shared / "parity" / "conic_metrics.npz")
    known = json.loads((shared / "parity" / "conic_metrics.json").read_text())
    scores = score_panoptic(arrays["true"], arrays["pred"], range(1, 7))
    rows = [(c.counts.tp, c.counts.fp, c.counts.fn, c.counts.iou_sum) for c in scores.classes]
    np.testing.assert_allclose([i.binary.pq for i in scores.images], known["pq_per_image"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores.bpq, known["pq"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(rows, known["per_class_tp_fp_fn_iousum"], rtol=0, atol=1e-6)
    np.testing.assert_allclose([c.counts.pq for c in scores.classes], known["per_class_pq"], rtol=0, atol=1e-6)
    np.testing.assert_allclose(scores.mpq_plus, known["mpq_plus"], rtol=0, atol=1e-6)
    multi_r2 = score_counts(arrays["true"], arrays["pred"], range(1, 7)).multi_r2
    np.testing.assert_allclose(multi_r2, known["multi_r2"], rtol=0, atol=1e-6)


def test_a_shifted_a_missed_and_an_invented_instance() -> None:
    # 4 x 4 boxes: one shifted by a column (12 shared of 20: IoU 0.6), one missed, one invented.
    true = boxes((1, 0, 4, 0, 4), (1, 0, 4, 10, 14))
    pred = boxes((1, 0, 4, 1, 5), (1, 6, 10, 0, 4))
    found = score_panoptic([true], [pred], [1]).binary
    assert (found.tp, found.fp, found.fn) == (1, 1, 1)
    assert found.iou_sum == pytest.approx(0.6)
    assert found.dq == 0.5
    assert found.sq == pytest.approx(0.6)
    assert found.pq == pytest.approx(0.3)


def test_half_an_overlap_is_no_pair() -> None:
    # 2 x 4 inside 4 x 4: IoU exactly 0.5.
    assert score_panoptic([boxes((1, 0, 4, 0, 4))], [boxes((1, 0, 2, 0, 4))], [1]).binary.tp == 0


def test_a_misnamed_instance_is_a_pair_for_no_class() -> None:
    scores = score_panoptic([boxes((1, 0, 4, 0, 4))], [boxes((2, 0, 4, 0, 4))], {1: "a", 2: "b"})
    assert scores.bpq == 1
    assert [(c.name, c.counts.tp, c.counts.fp, c.counts.fn) for c in scores.classes] == [("a", 0, 0, 1), ("b", 0, 1, 0)]
    assert scores.mpq_plus == 0


def test_mean_over_images_and_pooled_over_the_set_differ() -> None:
    # Image 1: one of one found. Image 2: none of three. Both exact where found.
    one, none = boxes((1, 0, 4, 0, 4)), boxes()
    three = boxes((1, 0, 4, 0, 4), (1, 0, 4, 6, 10), (1, 0, 4, 12, 16))
    scores = score_panoptic([one, three], [one, none], [1, 2])
    assert scores.mpq == 0.5
    assert scores.mpq_plus == pytest.approx(1 / (1 + 1.5))
    assert [image.mpq for image in scores.images] == [1, 0]


def test_what_is_undefined_is_none() -> None:
    scores = score_panoptic([boxes()], [boxes()], [1])
    assert [scores.bpq, scores.mpq, scores.mpq_plus, scores.binary.dq, scores.binary.sq] == [None] * 5
    assert score_panoptic([], [], [1]).bpq is None


def test_images_of_any_sizes() -> None:
    maps = [boxes((1, 0, 4, 0, 4)), boxes((1, 0, 2, 0, 3), shape=(5, 7))]
    assert score_panoptic(maps, maps, [1]).binary.tp == 2


def test_pairs_name_their_rows() -> None:
    true = read_instances(boxes((1, 0, 4, 0, 4), (1, 0, 4, 10, 14)))
    pred = read_instances(boxes((1, 6, 8, 0, 2), (1, 0, 4, 10, 14)))
    pairs = pair_by_iou(true, pred)
    assert (pairs.true.tolist(), pairs.pred.tolist(), pairs.iou.tolist()) == ([1], [1], [1.0])


@pytest.mark.parametrize("threshold", [0.3, 1.0, float("nan")])
def test_thresholds_that_allow_two_partners_are_refused(threshold: float) -> None:
    with pytest.raises(SettingError, match="IoU threshold"):
        score_panoptic([boxes()], [boxes()], [1], threshold=threshold)


@SETTINGS
@given(MAPS)
def test_a_perfect_prediction_scores_one(maps: np.ndarray) -> None:
    scores = score_panoptic(maps, maps, [1, 2, 3])
    assert scores.bpq in (1.0, None)
    assert scores.mpq in (1.0, None)
    assert scores.mpq_plus in (1.0, None)
    assert (scores.bpq is None) == (maps[..., 0].max() == 0)


@SETTINGS
@given(MAPS, MAPS)
def test_swapping_the_sides_swaps_the_misses(a: np.ndarray, b: np.ndarray) -> None:
    one, other = score_panoptic(a, b, [1, 2, 3]), score_panoptic(b, a, [1, 2, 3])
    sides = [[scores.binary, *(c.counts for c in scores.classes)] for scores in (one, other)]
    for x, y in zip(*sides, strict=True):
        assert (x.tp, x.fp, x.fn) == (y.tp, y.fn, y.fp)
        assert x.iou_sum == pytest.approx(y.iou_sum)


@SETTINGS
@given(MAPS, MAPS, st.permutations([1, 2, 3]), st.sampled_from([1, 10**12]))
def test_other_ids_change_nothing(a: np.ndarray, b: np.ndarray, ids: list[int], factor: int) -> None:
    renamed = b.astype(np.int64)
    renamed[..., 0] = np.array([0, *ids])[b[..., 0]] * factor
    before, after = score_panoptic(a, b, [1, 2, 3]), score_panoptic(a, renamed, [1, 2, 3])
    assert after.mpq_plus == pytest.approx(before.mpq_plus)
    assert (before.binary.tp, before.binary.fp, before.binary.fn) == (after.binary.tp, after.binary.fp, after.binary.fn)


@SETTINGS
@given(MAPS, MAPS)
def test_pairs_agree_with_a_plain_loop(a: np.ndarray, b: np.ndarray) -> None:
    expected = [0, 0.0]
    for true, pred in zip(a[..., 0], b[..., 0], strict=True):
        for t in set(true[true > 0].tolist()):
            for p in set(pred[pred > 0].tolist()):
                iou = ((true == t) & (pred == p)).sum() / ((true == t) | (pred == p)).sum()
                expected = [expected[0] + (iou > 0.5), expected[1] + iou * (iou > 0.5)]
    found = score_panoptic(a, b, [1, 2, 3]).binary
    assert [found.tp, found.iou_sum] == pytest.approx(expected)
