"""Centres paired within a radius."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cryostat.core.errors import InputError, SettingError
from cryostat.results.segmentation import pair_by_centre, score_detection

POINTS = st.integers(0, 5).flatmap(lambda n: hnp.arrays(np.float64, (n, 2), elements=st.integers(0, 12).map(float)))
MAPS = hnp.arrays(np.int32, (2, 6, 7, 2), elements=st.integers(0, 3))


def spots(*items: tuple[int, int, int]) -> np.ndarray:
    """A map of 20 x 40 pixels with an instance of one pixel for each (class, row, column)."""
    labels = np.zeros((20, 40, 2), np.int32)
    for number, (kind, row, column) in enumerate(items, start=1):
        labels[row, column] = number, kind
    return labels


def test_detection_by_hand() -> None:
    # Found at 3 px; found at 2 px under another class; missed; invented.
    true = spots((1, 5, 5), (1, 5, 15), (2, 15, 5))
    pred = spots((1, 5, 8), (2, 5, 17), (2, 15, 30))
    scores = score_detection([true], [pred], {1: "a", 2: "b"}, radius=3)
    assert (scores.overall.tp, scores.overall.fp, scores.overall.fn) == (2, 1, 1)
    assert scores.overall.precision == scores.overall.recall == scores.overall.f1 == pytest.approx(2 / 3)
    a, b = (c.counts for c in scores.classes)
    assert (a.tp, a.fp, a.fn, a.precision, a.recall) == (1, 0, 1, 1.0, 0.5)
    assert (b.tp, b.fp, b.fn, b.f1) == (0, 2, 1, 0.0)
    assert scores.macro_f1 == pytest.approx((2 / 3 + 0) / 2)


def test_a_radius_in_micrometres_follows_the_pixel_size_of_each_image() -> None:
    true, pred = spots((1, 5, 5)), spots((1, 5, 9))  # 4 px apart
    assert score_detection([true], [pred], [1], radius=2, unit="um", mpp=0.5).overall.tp == 1
    assert score_detection([true], [pred], [1], radius=1.9, unit="um", mpp=0.5).overall.tp == 0
    assert score_detection([true, true], [pred, pred], [1], radius=2, unit="um", mpp=[0.5, 0.6]).overall.tp == 1


def test_a_margin_leaves_out_the_border() -> None:
    maps = [spots((1, 1, 5), (1, 10, 10))]
    assert score_detection(maps, maps, [1], radius=6, margin=4).overall.tp == 1


def test_nothing_at_all_is_undefined() -> None:
    scores = score_detection([spots()], [spots()], [1], radius=6)
    found = scores.overall
    assert [found.f1, found.precision, found.recall, scores.macro_f1] == [None] * 4


def test_more_pairs_go_before_nearer_ones() -> None:
    # On a line: true at 0 and 3, predicted at 2 and 5. Nearest first would pair 3 with 2 and leave two alone.
    true, pred = np.array([[0.0, 0], [3, 0]]), np.array([[2.0, 0], [5, 0]])
    assert [side.tolist() for side in pair_by_centre(true, pred, 2)] == [[0, 1], [0, 1]]


def test_equal_points_are_pairs() -> None:
    points = np.array([[1.0, 1], [1, 1], [4, 4]])
    assert len(pair_by_centre(points, points, 2)[0]) == 3


@settings(max_examples=60, deadline=None)
@given(POINTS, POINTS, st.sampled_from([1.0, 3.0, 6.0]))
def test_pairs_are_the_best_of_all_possible(a: np.ndarray, b: np.ndarray, radius: float) -> None:
    short, long = (a, b) if len(a) <= len(b) else (b, a)
    best = (0, 0.0)
    for order in permutations(range(len(long)), len(short)):
        d = np.linalg.norm(short - long[list(order)], axis=1)
        best = min(best, (-int((d <= radius).sum()), float(d[d <= radius].sum())))
    rows, columns = pair_by_centre(a, b, radius)
    assert len(set(rows.tolist())) == len(set(columns.tolist())) == len(rows)
    distances = np.linalg.norm(a[rows] - b[columns], axis=1)
    assert (distances <= radius).all()
    assert (-len(rows), distances.sum()) == pytest.approx(best)


@settings(max_examples=30, deadline=None)
@given(MAPS, MAPS, st.permutations([1, 2, 3]))
def test_perfect_symmetric_and_blind_to_ids(a: np.ndarray, b: np.ndarray, ids: list[int]) -> None:
    assert score_detection(a, a, [1, 2, 3], radius=2).overall.f1 in (1.0, None)
    one, other = score_detection(a, b, [1, 2, 3], radius=2), score_detection(b, a, [1, 2, 3], radius=2)
    assert (one.overall.tp, one.overall.fp, one.overall.fn) == (other.overall.tp, other.overall.fn, other.overall.fp)
    renamed = b.copy()
    renamed[..., 0] = np.array([0, *ids])[b[..., 0]]
    assert score_detection(a, renamed, [1, 2, 3], radius=2) == one


@pytest.mark.parametrize(
    "options",
    [
        {"radius": 0},
        {"radius": float("nan")},
        {"radius": 3, "unit": "mm"},
        {"radius": 3, "unit": "um"},
        {"radius": 3, "unit": "um", "mpp": 0},
        {"radius": 3, "unit": "um", "mpp": [0.5, 0.5]},
        {"radius": 3, "unit": "um", "mpp": "fine"},
    ],
)
def test_settings_without_sense_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        score_detection([spots()], [spots()], [1], **options)


def test_bad_sets_are_refused() -> None:
    nothing: Any = None
    with pytest.raises(InputError, match="not maps of a set"):
        score_detection(nothing, [spots()], [1], radius=3)
