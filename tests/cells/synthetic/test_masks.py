from __future__ import annotations

import numpy as np
import pytest

from cryostat.cells.synthetic.frame import Frame
from cryostat.cells.synthetic.masks import instance_map
from cryostat.cells.synthetic.shapes import Shapes, rasterise

FRAME = Frame(64, 0.5)


def mapped(y: list[float], x: list[float], a: list[float], b: list[float]) -> tuple[np.ndarray, list[int]]:
    places = (np.array(values, np.float32) for values in (y, x, [0.0] * len(y), a, b))
    shapes = Shapes.plain(*places)
    instances, kept = instance_map(rasterise(shapes, FRAME, 1.0), len(shapes), FRAME)
    return instances, kept.tolist()


def test_overlapping_nuclei_meet_half_way() -> None:
    instances, kept = mapped([16, 16], [12, 18], [5, 5], [5, 5])
    assert kept == [0, 1]
    assert set(instances[32, 16:30]) == {1}
    assert set(instances[32, 30:44]) == {2}
    assert (instances == 1).sum() == (instances == 2).sum()


def test_only_the_largest_piece_of_a_nucleus_counts() -> None:
    # The disc cuts the spindle in two unequal pieces.
    instances, kept = mapped([16, 16], [14, 16], [4, 13], [4, 1.5])
    assert kept == [0, 1]
    columns = np.flatnonzero((instances == 2).any(0))
    assert columns.min() > 30


def test_what_the_edge_leaves_too_little_of_is_dropped_and_ids_stay_consecutive() -> None:
    instances, kept = mapped([16, 16, 16], [-2.7, 12, 25], [3, 3, 3], [3, 3, 3])
    assert kept == [1, 2]
    assert np.unique(instances).tolist() == [0, 1, 2]
    assert instances[32, 24] == 1
    assert instances[32, 50] == 2


def test_area_is_that_of_the_outline() -> None:
    instances, _ = mapped([16], [16], [6], [4])
    assert (instances == 1).sum() * 0.25 == pytest.approx(np.pi * 24, rel=0.02)


def test_no_nuclei_no_ids() -> None:
    instances, kept = mapped([], [], [], [])
    assert kept == []
    assert not instances.any()
