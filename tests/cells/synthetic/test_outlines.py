from __future__ import annotations

import numpy as np
import pytest

from cryostat.cells.synthetic.outlines import FAR, GAP, OUTLINE_STEP, draw_outlines, signed_distance

ROUND = np.array([[60, 60]], np.float32), np.array([[30, 30]], np.float32)


def test_the_outline_of_a_round_gland_is_a_circle() -> None:
    outlines = draw_outlines(np.random.default_rng(0), *ROUND, angle=0.3, bumps=0.0)
    offsets = outlines.points - 60
    assert np.hypot(*offsets.T) == pytest.approx(30, abs=0.02)
    assert len(outlines.points) == pytest.approx(2 * np.pi * 30 / OUTLINE_STEP, abs=2)
    assert (outlines.normals * offsets / 30).sum(1) == pytest.approx(1, abs=0.01)


def test_distance_is_positive_inside() -> None:
    outlines = draw_outlines(np.random.default_rng(0), *ROUND, angle=0.0, bumps=0.0)
    axis = np.arange(0, 121, 5, dtype=np.float32)
    depth, nearest = signed_distance(outlines, axis)
    radius = np.hypot(axis[:, None] - 60, axis - 60)
    assert depth == pytest.approx(30 - radius, abs=0.1)
    assert not nearest.any()


def test_without_glands_all_is_stroma() -> None:
    none = np.zeros((0, 2), np.float32)
    depth, nearest = signed_distance(draw_outlines(np.random.default_rng(0), none, none, 0, 0), np.arange(5.0))
    assert (depth == -FAR).all()
    assert (nearest == -1).all()


def test_glands_that_would_overlap_give_way() -> None:
    centres, radii = np.array([[60, 60], [60, 110]], np.float32), np.full((2, 2), 28, np.float32)
    outlines = draw_outlines(np.random.default_rng(0), centres, radii, angle=0.0, bumps=0.0)
    left, right = (outlines.points[outlines.gland == g] for g in (0, 1))
    closest = np.hypot(*(left[:, None] - right).transpose(2, 0, 1)).min()
    assert closest == pytest.approx(GAP, abs=2)
