"""Which tiles a step sees: drawn by weight, in an order of each seed's own, the same after a resumption."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cryostat.cells.training.tiles.streams import Stream


def stream(seed: int = 0, draws: int = 0, window: int = 4, batch: int = 3) -> Stream:
    tiles = np.array([10, 20, 30, 40, 50])
    return Stream(tiles, np.array([0.0, 1, 1, 1, 1]), batch, window, seed, draws)


def test_seeds_share_what_is_drawn_in_a_window_but_not_the_order() -> None:
    first, second = stream(seed=1), stream(seed=2)
    for window in range(3):
        assert first.pool(window).tolist() == second.pool(window).tolist()
    orders = [[s.batch_of(step).tolist() for step in range(4)] for s in (first, second)]
    assert orders[0] != orders[1]
    assert sorted(np.concatenate(orders[0])) == sorted(np.concatenate(orders[1])) == sorted(first.pool(0))


def test_other_draws_are_other_tiles() -> None:
    assert stream(draws=0).pool(0).tolist() != stream(draws=1).pool(0).tolist()


@given(step=st.integers(0, 500), seed=st.integers(0, 9))
def test_a_step_is_a_function_of_its_number(step: int, seed: int) -> None:
    drawn = stream(seed).batch_of(step)
    assert drawn.tolist() == stream(seed).batch_of(step).tolist()
    assert len(drawn) == 3
    assert 10 not in drawn


def test_an_epoch_draws_as_many_tiles_as_there_are() -> None:
    assert stream(batch=3).steps_an_epoch == 2
    assert stream(batch=5).steps_an_epoch == 1
