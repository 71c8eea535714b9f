from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.draw import polygon

from cryostat.report.view import outlines as module
from cryostat.report.view.outlines import FINE, outlines

IDS = np.array([5, 9, 70_000])


def filled(rings: list[list[int]], shape: tuple[int, int]) -> np.ndarray:
    """The pixels whose centre lies in an odd number of rings."""
    crossed = np.zeros(shape, int)
    for ring in rings:
        x, y = (np.cumsum(np.reshape(ring, (-1, 2)), axis=0) / FINE).T
        rows, columns = polygon(y - 0.5, x - 0.5, shape)
        crossed[rows, columns] += 1
    return crossed % 2 == 1


def test_a_square_keeps_its_corners_cut():
    instances = np.zeros((6, 6), np.int32)
    instances[1:3, 2:5] = 5
    [[ring], [], []] = outlines(instances, IDS)
    points = np.cumsum(np.reshape(ring, (-1, 2)), axis=0).tolist()
    assert sorted(points) == sorted([[25, 13], [45, 13], [47, 15], [47, 25], [45, 27], [25, 27], [23, 25], [23, 15]])


def test_nothing_has_no_outline():
    assert outlines(np.zeros((4, 3), np.uint16), IDS) == [[], [], []]


@given(
    arrays(np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, *IDS.tolist()])),
    st.integers(1, 5),
)
@settings(max_examples=60)
def test_the_rings_hold_the_pixels_of_each_nucleus_whatever_its_form(instances, band):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BAND", band)
        found = outlines(instances, IDS)
    for rings, nucleus in zip(found, IDS, strict=True):
        assert np.array_equal(filled(rings, instances.shape), instances == nucleus)
