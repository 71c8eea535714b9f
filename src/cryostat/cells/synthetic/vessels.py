"""Capillaries in the stroma, some of them with red cells."""

from __future__ import annotations

import numpy as np

from cryostat.cells.synthetic.frame import Floats, Frame, scatter
from cryostat.cells.synthetic.glands import Glands
from cryostat.cells.synthetic.packing import without_overlaps
from cryostat.cells.synthetic.shapes import Shapes, random_wobble
from cryostat.cells.synthetic.stroma import Fibres

DENSITY = 0.22
"""Capillaries tried in 1000 µm²; those that meet a gland or each other are left out."""

RED_CELL = 2.7
"""Radius of a red cell, µm."""


def capillaries(rng: np.random.Generator, frame: Frame, glands: Glands, fibres: Fibres) -> Shapes:
    """Capillaries along the fibres, clear of glands and of each other."""
    y, x = scatter(rng, frame, DENSITY)
    n = len(y)
    b = rng.uniform(2.6, 4.6, n)
    a = b * rng.uniform(1.2, 5.0, n)
    angle = fibres.direction_at(y, x)
    free = -glands.depth_at(y, x) > b + 3
    bend, wobble = rng.normal(0, 0.012, n), random_wobble(rng, n, 0.06)
    shapes = Shapes.plain(y, x, angle, a, b, bend=bend, wobble=wobble).take(free)
    return shapes.take(without_overlaps(shapes, np.full(len(shapes), 6, np.float32)))


def red_cells(rng: np.random.Generator, vessels: Shapes) -> Shapes:
    """Red cells in the capillaries: many in some, none in others."""
    filling = np.where(rng.random(len(vessels)) < 0.9, rng.uniform(0.3, 1.3, len(vessels)), 0)
    number = rng.poisson(filling * vessels.a * vessels.b / RED_CELL**2)
    host = vessels.take(np.repeat(np.arange(len(vessels)), number))
    n = len(host)
    u = rng.uniform(-1, 1, n) * np.maximum(host.a - RED_CELL, 0)
    v = rng.uniform(-1, 1, n) * np.maximum(host.b - RED_CELL, 0) + host.bend * u * u
    sin, cos = np.sin(host.angle), np.cos(host.angle)
    radius = RED_CELL * rng.uniform(0.85, 1.1, n)
    squeeze = rng.uniform(0.75, 1.0, n)
    turn: Floats = rng.uniform(0, np.pi, n).astype(np.float32)
    return Shapes.plain(host.y + u * sin + v * cos, host.x + u * cos - v * sin, turn, radius, radius * squeeze)
