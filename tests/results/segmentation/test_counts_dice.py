"""Numbers of nuclei and overlap of pixels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import r2_score

from cryostat.results.segmentation import score_counts, score_dice

MAPS = hnp.arrays(np.int32, (3, 4, 5, 2), elements=st.integers(0, 2))


def dots(*classes: int) -> np.ndarray:
    """A map of 1 x 12 pixels with an instance of one pixel for each class given."""
    labels = np.zeros((1, 12, 2), np.int32)
    for at, kind in enumerate(classes):
        labels[0, at] = at + 1, kind
    return labels


def test_r2_by_hand() -> None:
    # Class 1: true 1, 2, 3 against 1, 2, 2: 1 - 1/2. Class 2: always one, always right. Class 3: never, one invented.
    true = [dots(1, 2), dots(1, 1, 2), dots(1, 1, 1, 2)]
    pred = [dots(1, 2), dots(1, 1, 2, 3), dots(1, 1, 2)]
    scores = score_counts(true, pred, [1, 2, 3])
    assert [c.r2 for c in scores.classes] == [pytest.approx(0.5), None, None]
    assert [c.finite_r2 for c in scores.classes] == [pytest.approx(0.5), 1.0, 0.0]
    assert scores.multi_r2 == pytest.approx(0.5)
    assert scores.defined_r2 == pytest.approx(0.5)
    assert scores.classes[0].true == (1, 2, 3)


def test_r2_of_fewer_than_two_images_is_undefined() -> None:
    assert score_counts([dots(1)], [dots(1)], [1]).multi_r2 is None
    assert score_counts([], [], [1]).defined_r2 is None


def test_a_margin_drops_the_border() -> None:
    labels = np.zeros((3, 3, 2), np.int32)
    labels[0, 0] = labels[1, 1] = 1
    labels[0, 0, 0] = 2
    assert score_counts([labels], [labels], [1], margin=1).classes[0].true == (1,)


@settings(max_examples=30, deadline=None)
@given(MAPS, MAPS)
def test_finite_r2_is_that_of_scikit_learn(a: np.ndarray, b: np.ndarray) -> None:
    for c in score_counts(a, b, [1, 2]).classes:
        assert c.finite_r2 == pytest.approx(r2_score(c.true, c.pred))


def test_dice_by_hand() -> None:
    # Binary: 3 true, 2 predicted, 2 shared: 4/5. Class 1: 2, 1, 1: 2/3. Class 2: 1, 1, 0: 0.
    true, pred = dots(1, 1, 2), dots(1, 2)
    scores = score_dice([true], [pred], {1: "a", 2: "b", 3: "c"})
    assert scores.binary.dice == pytest.approx(4 / 5)
    assert [c.dice for c in scores.classes] == [pytest.approx(2 / 3), 0.0, None]
    assert scores.macro == pytest.approx(1 / 3)


def test_dice_pooled_and_by_image() -> None:
    # Image 1 is exact (1 pixel); of image 2's 3 pixels none is found; image 3 is empty.
    scores = score_dice([dots(1), dots(1, 1, 1), dots()], [dots(1), dots(), dots()], [1])
    assert scores.binary.dice == pytest.approx(2 / 5)
    assert scores.binary.image_mean == 0.5
    assert [image.dice for image in scores.binary.images] == [1.0, 0.0, None]


@settings(max_examples=30, deadline=None)
@given(MAPS, MAPS)
def test_dice_is_symmetric_and_one_with_itself(a: np.ndarray, b: np.ndarray) -> None:
    assert score_dice(a, a, [1, 2]).binary.dice in (1.0, None)
    assert score_dice(a, a, [1, 2]).macro in (1.0, None)
    assert score_dice(a, b, [1, 2]).binary.dice == score_dice(b, a, [1, 2]).binary.dice
    assert score_dice(a, b, [1, 2]).macro == pytest.approx(score_dice(b, a, [1, 2]).macro)
