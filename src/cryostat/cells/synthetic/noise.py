"""Smooth random fields, made coarse and interpolated by cubic B-splines.

Everything here is element by element, so that the bits do not depend on how many threads a linear algebra library uses.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.synthetic.frame import Floats, Frame, bands

SPLINE_DEVIATION = 151 / 315
"""Standard deviation of white unit noise after cubic B-spline interpolation in two dimensions (∫B², once an axis)."""

KNOTS, STEPS = 64, 8
"""A texture tile repeats after this many knots and holds this many samples from knot to knot."""


def interpolate(grid: Floats, rows: Floats, columns: Floats) -> Floats:
    """Cubic B-spline surface over a grid of control values.

    Args:
        grid: (m, n) control values.
        rows: (h,) positions in units of grid rows, each at least 1 and less than m − 2.
        columns: (w,) positions in units of grid columns.

    Returns:
        (h, w) float32.
    """
    across = _along_rows(grid, rows)
    return np.ascontiguousarray(_along_rows(np.ascontiguousarray(across.T), columns).T)


def _along_rows(grid: Floats, positions: Floats) -> Floats:
    first = np.floor(positions).astype(np.intp)
    t = (positions - first).astype(np.float32)
    weights = np.stack([(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]) / np.float32(6)
    surface = np.empty((len(positions), grid.shape[1]), np.float32)
    for band in bands(len(positions)):
        _blend(grid, first[band], weights[:, band, None], surface[band])
    return surface


def _blend(grid: Floats, first: NDArray[np.intp], weights: Floats, out: Floats) -> None:
    """Sum of four rows of the grid each, weighted."""
    np.multiply(grid[first - 1], weights[0], out=out)
    for k in (1, 2, 3):
        part = grid[first - 1 + k]
        part *= weights[k]
        out += part


def smooth_noise(rng: np.random.Generator, frame: Frame, scale: float, *octaves: tuple[float, float]) -> Floats:
    """(size, size) smooth noise over a frame; arguments as of `spline_noise`."""
    return spline_noise(rng, frame.size, frame.mpp, scale, *octaves)


def spline_noise(rng: np.random.Generator, n: int, step: float, scale: float, *octaves: tuple[float, float]) -> Floats:
    """(n, n) smooth noise of mean 0.

    Args:
        rng: Where the noise comes from.
        n: Points on a side.
        step: Distance of the points, µm.
        scale: Distance of the finest knots, µm; this part has deviation 1.
        *octaves: Further parts, each (distance of the knots in µm, larger than `scale`; deviation).
    """
    positions = 1 + (np.arange(n, dtype=np.float32) + np.float32(0.5)) * np.float32(step / scale)
    knots = np.arange(int(positions[-1]) + 4, dtype=np.float32)
    grid = _white(rng, len(knots))
    for coarse, deviation in octaves:
        at = 1 + knots * np.float32(scale / coarse)
        grid += np.float32(deviation) * interpolate(_white(rng, int(at[-1]) + 4), at, at)
    # Noise looks the same from all sides: the second turn of `interpolate` is saved.
    return _along_rows(np.ascontiguousarray(_along_rows(grid, positions).T), positions)


def _white(rng: np.random.Generator, knots: int) -> Floats:
    """(knots, knots) control values that interpolate to deviation 1."""
    return rng.standard_normal((knots, knots), dtype=np.float32) / np.float32(SPLINE_DEVIATION)


class Texture:
    """A periodic tile of smooth noise that is looked up at warped coordinates.

    Args:
        rng: Where the noise comes from.
    """

    def __init__(self, rng: np.random.Generator) -> None:
        grid = _white(rng, KNOTS)
        positions = (1 + np.arange(KNOTS * STEPS, dtype=np.float32) / STEPS).astype(np.float32)
        self._tile = interpolate(np.pad(grid, ((1, 3), (1, 3)), mode="wrap"), positions, positions)

    def at(self, rows: Floats, columns: Floats) -> Floats:
        """Noise of mean 0 and deviation 1 at positions in units of knots, of any shape."""
        flat = _sample(rows) * np.int32(KNOTS * STEPS) + _sample(columns)
        return self._tile.reshape(-1).take(flat)


def _sample(positions: Floats) -> NDArray[np.int32]:
    # The shift, a multiple of the period, keeps positions positive, where truncation is floor.
    steps = (positions * np.float32(STEPS) + np.float32(KNOTS * STEPS * 64)).astype(np.int32)
    steps &= KNOTS * STEPS - 1
    return steps


def smoothstep(values: Floats, low: float, high: float) -> Floats:
    """0 below `low`, 1 above `high`, a smooth rise between."""
    t = values - np.float32(low)
    t *= np.float32(1 / (high - low))
    np.clip(t, 0, 1, out=t)
    rise = t * np.float32(-2)
    rise += np.float32(3)
    rise *= t
    rise *= t
    return rise
