"""Stroma: the direction of its fibres, and the texture of collagen along them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.synthetic.architecture import Architecture
from cryostat.cells.synthetic.frame import MARGIN, Floats, Frame
from cryostat.cells.synthetic.glands import Glands
from cryostat.cells.synthetic.noise import interpolate, smoothstep, spline_noise

HUG = 9.0
"""µm from a gland within which fibres turn to run round it."""

STEP = 1.0
"""µm between the points of the grid on which fibres are drawn."""

STRIDE = 2.2
"""Grid points by which a fibre advances at a time."""


class Fibres:
    """The direction of the stroma's fibres on a grid of `STEP` µm that covers the frame and its margin.

    Args:
        rng: Random stream of the layout.
        frame: The field.
        glands: The glands, which fibres run round.

    Attributes:
        axis: (n,) rows and columns of the grid, µm.
        down: (n, n) step along the fibre in y, of a unit vector without a sense.
        right: (n, n) the same in x.
    """

    def __init__(self, rng: np.random.Generator, frame: Frame, glands: Glands) -> None:
        self.frame = frame
        self.axis = np.arange(-MARGIN, frame.extent + MARGIN, STEP, dtype=np.float32)
        turn = np.float32(rng.uniform(0, 2 * np.pi)) + np.float32(0.9) * spline_noise(
            rng, len(self.axis), STEP, 17, (55, 1.6)
        )
        depth = glands.depth_map(self.axis)
        slope_y, slope_x = np.gradient(depth)
        steep = np.maximum(slope_y * slope_y + slope_x * slope_x, np.float32(1e-6))
        hug = np.exp(np.minimum(depth, 0) / np.float32(HUG))
        # Directions without a sense are averaged at the double angle: the field's own and the tangent of the gland.
        cos = (1 - hug) * np.cos(turn) + hug * (slope_y * slope_y - slope_x * slope_x) / steep
        sin = (1 - hug) * np.sin(turn) - hug * 2 * slope_y * slope_x / steep
        cos /= np.sqrt(cos * cos + sin * sin) + np.float32(1e-6)
        self.down = np.copysign(np.sqrt((1 - cos) / 2), sin)
        self.right = np.sqrt((1 + cos) / 2)

    def direction_at(self, y: Floats, x: Floats) -> Floats:
        """(n,) direction of the fibres at points, radians."""
        row, column = (np.clip((p + MARGIN) / STEP, 0, len(self.axis) - 1).astype(np.intp) for p in (y, x))
        direction: Floats = np.arctan2(self.down[row, column], self.right[row, column])
        return direction

    def courses(self, rng: np.random.Generator, doublings: int) -> list[list[NDArray[np.int32]]]:
        """Where fibres lead: for either sense, (n²,) flat index of the grid point 1, 2, 4 … strides on."""
        courses = []
        for sense in (1, -1):
            course = [self._next(rng, sense)]
            for _ in range(doublings - 1):
                course.append(course[-1][course[-1]])
            courses.append(course)
        return courses

    def _next(self, rng: np.random.Generator, sense: int) -> NDArray[np.int32]:
        """Flat index of the grid point a stride along the fibre from each, rounded at random to keep the course."""
        n = len(self.axis)
        here = np.arange(n, dtype=np.float32)
        stride = np.float32(STRIDE * sense)
        row = stride * self.down + rng.random((n, n), dtype=np.float32)
        row += here[:, None]
        column = stride * self.right + rng.random((n, n), dtype=np.float32)
        column += here
        for p in (row, column):
            np.clip(p, 0, n - 1, out=p)
        flat: NDArray[np.int32] = row.astype(np.int32) * np.int32(n) + column.astype(np.int32)
        return flat.reshape(-1)

    def on_frame(self, grid: Floats) -> Floats:
        """(size, size) values of a texture of the grid at the pixels."""
        positions = ((self.frame.centres() + np.float32(MARGIN)) / np.float32(STEP)).astype(np.float32)
        return interpolate(grid, positions, positions)


def streaked(grain: Floats, courses: list[list[NDArray[np.int32]]]) -> Floats:
    """Smear a texture of the grid along the fibres; (n, n) of mean 0 and deviation 1."""
    total = np.zeros(grain.size, np.float32)
    for course in courses:
        smear = grain.reshape(-1)
        for ahead in course:
            smear = smear + smear[ahead]
        total += smear
    total -= total.mean()
    total /= total.std()
    return total.reshape(grain.shape)


def collagen(rng: np.random.Generator, fibres: Fibres, architecture: Architecture) -> Floats:
    """(size, size) eosin of the stroma: wavy strands with clear gaps between."""
    n = len(fibres.axis)
    courses = fibres.courses(rng, architecture.fibre)
    fine = streaked(rng.standard_normal((n, n), dtype=np.float32), courses)
    broad = streaked(spline_noise(rng, n, STEP, 4, (11, 0.8), (40, 0.8)), [course[:-1] for course in courses])
    gap = 2.4 * (architecture.looseness - 0.5)
    solid = smoothstep(broad + 0.45 * fine, gap - 0.7, gap + 0.7)
    strands = smoothstep(fine + 0.3 * broad, 0.3, 1.8)
    eosin = 0.05 + solid * (0.68 + 0.13 * fine + 0.1 * broad) + 0.3 * strands
    return np.maximum(fibres.on_frame(np.float32(architecture.collagen) * eosin), 0)
