from __future__ import annotations

import math

import pytest
import torch

from cryostat.encoders.slide.positions import axis_positions, grid_positions


def test_y_comes_first_then_x_sines_then_cosines() -> None:
    found = grid_positions(torch.tensor([[3, 5]]), axis_positions(10, 4))[0].tolist()
    y = [math.sin(5), math.sin(5 / 100), math.cos(5), math.cos(5 / 100)]
    x = [math.sin(3), math.sin(3 / 100), math.cos(3), math.cos(3 / 100)]
    assert found == pytest.approx(y + x)


def test_far_indices_are_exact_to_float32() -> None:
    axis = axis_positions(1000, 384)
    assert axis.shape == (1000, 384)
    assert axis[999, 7].item() == pytest.approx(math.sin(999 * 10_000 ** (-7 / 192)), abs=6e-8)
    assert axis[999, 192 + 191].item() == pytest.approx(math.cos(999 * 10_000 ** (-191 / 192)), abs=6e-8)
