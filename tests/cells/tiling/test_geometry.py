"""Cuts against the published program's and against what a cut must be."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.cells.tiling.geometry import even_cut, overlapping, window


def test_even_cut_equals_the_published_program(shared: Path) -> None:
    recipe = json.loads((shared / "parity" / "paper_recipe.json").read_text())
    sizes = [key for key in recipe if key.startswith("tiles ")]
    assert len(sizes) >= 2
    for key in sizes:
        height, width = map(int, key.removeprefix("tiles ").split("x"))
        ours = [[p.height, p.width, p.above, p.left, p.y, p.x] for p in even_cut(height, width, 224)]
        assert ours == recipe[key]


def test_pannuke_becomes_four_pieces_of_128() -> None:
    assert [(p.y, p.x, p.height, p.width, p.above, p.left) for p in even_cut(256, 256, 224)] == [
        (0, 0, 128, 128, 48, 48),
        (0, 128, 128, 128, 48, 48),
        (128, 0, 128, 128, 48, 48),
        (128, 128, 128, 128, 48, 48),
    ]


@given(st.integers(1, 900), st.integers(1, 900), st.integers(16, 300))
def test_even_cut_covers_every_pixel_once(height: int, width: int, size: int) -> None:
    seen = np.zeros((height, width), int)
    for p in even_cut(height, width, size):
        assert 0 <= p.above <= size - p.height
        assert 0 <= p.left <= size - p.width
        seen[p.y : p.y + p.height, p.x : p.x + p.width] += 1
    assert (seen == 1).all()


@given(st.integers(1, 900), st.integers(1, 900), st.integers(16, 300), st.floats(0, 0.7))
def test_overlapping_tiles_are_full_and_cover(height: int, width: int, size: int, overlap: float) -> None:
    pieces = overlapping(height, width, size, overlap)
    seen = np.zeros((height, width), int)
    for p in pieces:
        assert (p.height, p.width) == (min(size, height), min(size, width))
        assert p.y + p.height <= height
        assert p.x + p.width <= width
        seen[p.y : p.y + p.height, p.x : p.x + p.width] += 1
    assert (seen >= 1).all()
    starts = sorted({p.y for p in pieces})
    assert all(b - a <= size * (1 - overlap) + 1 for a, b in itertools.pairwise(starts))


@pytest.mark.parametrize("size", [8, 224])
def test_window_is_symmetric_and_positive(size: int) -> None:
    weights = window(size)
    np.testing.assert_allclose(weights, weights[::-1], rtol=1e-5)
    assert weights.min() > 0
