from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cryostat.cells.synthetic.packing import without_overlaps
from cryostat.cells.synthetic.shapes import Shapes


def discs(y: list[float], x: list[float], radius: list[float]) -> Shapes:
    places = (np.array(values, np.float32) for values in (y, x, [0.0] * len(y), radius, radius))
    return Shapes.plain(*places)


def test_first_come_first_served() -> None:
    # The second lies on the first; the third touches only the second, which has left.
    shapes = discs([0, 0, 0], [0, 4, 8], [3, 3, 3])
    assert without_overlaps(shapes, np.zeros(3, np.float32)).tolist() == [True, False, True]


def test_room_keeps_neighbours_off() -> None:
    shapes = discs([0, 0], [0, 6.5], [3, 3])
    assert without_overlaps(shapes, np.zeros(2, np.float32)).all()
    assert without_overlaps(shapes, np.full(2, 1, np.float32)).tolist() == [True, False]


def test_spindles_may_lie_side_by_side_but_not_across() -> None:
    places = [np.array(v, np.float32) for v in ([0, 3, 1.5], [0, 0, 0], [0, 0, np.pi / 2], [8, 8, 8], [1.2, 1.2, 1.2])]
    kept = without_overlaps(Shapes.plain(*places), np.zeros(3, np.float32))
    assert kept.tolist() == [True, True, False]


def test_none_and_one_are_kept() -> None:
    assert without_overlaps(discs([], [], []), np.zeros(0, np.float32)).tolist() == []
    assert without_overlaps(discs([0], [0], [3]), np.zeros(1, np.float32)).tolist() == [True]


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(2, 60))
def test_what_is_kept_is_clear_and_what_left_was_not(seed: int, n: int) -> None:
    rng = np.random.default_rng(seed)
    y, x, radius = rng.uniform(0, 40, n), rng.uniform(0, 40, n), rng.uniform(1, 4, n)
    kept = without_overlaps(discs(list(y), list(x), list(radius)), np.zeros(n, np.float32), tolerance=1.0)
    overlap = np.hypot(y - y[:, None], x - x[:, None]) < radius + radius[:, None] - 1e-4
    np.fill_diagonal(overlap, False)
    assert not overlap[np.ix_(kept, kept)].any()
    loose = np.hypot(y - y[:, None], x - x[:, None]) < radius + radius[:, None] + 1e-4
    assert all(loose[i, :i][kept[:i]].any() for i in np.flatnonzero(~kept))
