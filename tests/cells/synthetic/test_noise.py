from __future__ import annotations

import numpy as np
import pytest

from cryostat.cells.synthetic.frame import Frame
from cryostat.cells.synthetic.noise import KNOTS, Texture, interpolate, smooth_noise, smoothstep


def test_spline_through_a_plane_is_the_plane() -> None:
    rows, columns = np.mgrid[0:8, 0:9].astype(np.float32)
    at_rows, at_columns = np.array([1.0, 2.5, 4.25], np.float32), np.array([1.5, 5.75], np.float32)
    surface = interpolate(10 * rows + columns, at_rows, at_columns)
    assert surface == pytest.approx(10 * at_rows[:, None] + at_columns, abs=1e-4)


def test_spline_of_an_impulse_has_the_weights_of_a_cubic_b_spline() -> None:
    grid = np.zeros((7, 7), np.float32)
    grid[3, 3] = 36
    positions = np.array([2.0, 3.0, 4.0], np.float32)
    assert interpolate(grid, positions, positions) == pytest.approx(np.array([[1, 4, 1], [4, 16, 4], [1, 4, 1]]))


def test_noise_has_mean_0_deviation_1_and_the_scale_asked_for() -> None:
    noise = smooth_noise(np.random.default_rng(0), Frame(512, 0.5), 2.0)
    assert noise.shape == (512, 512)
    assert noise.dtype == np.float32
    assert abs(noise.mean()) < 0.03
    assert noise.std() == pytest.approx(1, abs=0.03)
    # Neighbouring pixels (half a µm of a 2 µm scale) are alike, pixels 10 µm apart are not.
    assert np.corrcoef(noise[:-1].ravel(), noise[1:].ravel())[0, 1] > 0.9
    assert abs(np.corrcoef(noise[:-20].ravel(), noise[20:].ravel())[0, 1]) < 0.05


def test_octaves_add_their_variance() -> None:
    noise = smooth_noise(np.random.default_rng(1), Frame(1024, 0.5), 3.0, (9.0, 2.0))
    assert noise.std() == pytest.approx(np.sqrt(1 + 4), rel=0.1)


def test_a_texture_repeats_after_its_period_also_below_zero() -> None:
    texture = Texture(np.random.default_rng(0))
    rows, columns = (np.random.default_rng(1).integers(0, 512, (2, 50)) / 8).astype(np.float32)
    assert np.array_equal(texture.at(rows, columns), texture.at(rows - KNOTS, columns + 3 * KNOTS))
    assert texture.at(rows, columns).std() > 0.5


def test_smoothstep_rises_from_0_to_1() -> None:
    steps = smoothstep(np.array([-1, 2, 3, 4, 9], np.float32), 2, 4)
    assert steps.tolist() == [0, 0, 0.5, 1, 1]
