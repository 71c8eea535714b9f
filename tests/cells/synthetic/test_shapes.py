from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cryostat.cells.synthetic.frame import Frame
from cryostat.cells.synthetic.shapes import Raster, Shapes, _depth, random_wobble, rasterise

FRAME = Frame(96, 0.5)


def one(y: float, x: float, a: float, b: float, angle: float = 0.0, **more: float) -> Shapes:
    places = (np.array([value], np.float32) for value in (y, x, angle, a, b))
    return Shapes.plain(*places, **more)


def area(spots: Raster) -> float:
    return float((spots.depth > 0).sum() * FRAME.mpp**2)


def test_a_disc_has_its_area_and_its_depth() -> None:
    spots = rasterise(one(24, 24, 5, 5), FRAME, 1.0)
    assert area(spots) == pytest.approx(np.pi * 25, rel=0.02)
    assert spots.depth.max() == pytest.approx(5, abs=0.4)
    radius = np.hypot(spots.pixel // 96 + 0.5 - 48, spots.pixel % 96 + 0.5 - 48) * 0.5
    assert spots.depth == pytest.approx(5 - radius, abs=1e-3)
    assert spots.depth.min() > -1


def test_the_corner_cuts_a_disc_to_a_quarter() -> None:
    assert area(rasterise(one(0, 0, 6, 6), FRAME, 0.0)) == pytest.approx(np.pi * 9, rel=0.03)


def test_angle_0_lies_along_x() -> None:
    spots = rasterise(one(24, 24, 10, 3), FRAME, 0.0)
    rows, columns = spots.pixel // 96, spots.pixel % 96
    assert np.ptp(columns) > 3 * np.ptp(rows)
    assert area(spots) == pytest.approx(np.pi * 30, rel=0.03)


def test_two_lobes_leave_a_waist() -> None:
    spots = rasterise(one(24, 24, 4, 3, lobe=3.5), FRAME, 0.0)
    columns = np.bincount(spots.pixel % 96, minlength=96)
    assert columns[48] < 0.6 * columns[41]
    assert columns[48] < 0.6 * columns[55]


def test_a_bent_blob_keeps_its_area() -> None:
    bent = rasterise(one(24, 24, 10, 2.5, bend=0.03), FRAME, 0.0)
    assert area(bent) == pytest.approx(np.pi * 25, rel=0.03)


def test_no_blobs_no_pixels() -> None:
    assert len(rasterise(one(24, 24, 3, 3).take(np.zeros(0, np.intp)), FRAME, 1.0).pixel) == 0


def test_rasters_of_some_blobs_are_numbered_anew() -> None:
    shapes = Shapes.join([one(10, 10, 3, 3), one(10, 30, 4, 4), one(30, 10, 5, 5)])
    part = rasterise(shapes, FRAME, 0.0).of(np.array([2, 0]), 3)
    areas = np.bincount(part.owner[part.depth > 0]) * 0.25
    assert areas == pytest.approx([np.pi * 25, np.pi * 9], rel=0.05)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), fringe=st.floats(0, 3))
def test_patches_miss_no_pixel_of_any_form(seed: int, fringe: float) -> None:
    rng = np.random.default_rng(seed)
    y, x, angle = rng.uniform(-5, 53), rng.uniform(-5, 53), rng.uniform(0, 6.3)
    a, lobe = rng.uniform(2, 9), rng.choice([0, 1.5])
    form = {"bend": rng.normal(0, 0.02), "taper": rng.uniform(-0.3, 0.3), "lobe": lobe}
    shape = one(y, x, a, a / rng.uniform(1, 4), angle, **form)
    shape = Shapes.plain(shape.y, shape.x, shape.angle, shape.a, shape.b, wobble=random_wobble(rng, 1, 0.04), **form)
    spots = rasterise(shape, FRAME, fringe)
    dy, dx = FRAME.centres()[:, None] - shape.y, FRAME.centres() - shape.x
    sin, cos = np.sin(shape.angle), np.cos(shape.angle)
    u, v = (dx * cos + dy * sin).ravel(), (dy * cos - dx * sin).ravel()
    inside = np.flatnonzero(_depth(shape, np.zeros(len(u), np.intp), u, v) > 1e-4)
    assert set(inside) <= set(spots.pixel.tolist())
