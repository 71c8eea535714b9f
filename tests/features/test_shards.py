"""Shard sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.features.shards import shard_tiles_for

MB = 2**20


@pytest.mark.parametrize(
    ("shape", "tiles"),
    [
        ((14, 14, 1024), 256),  # ViT-L/16: 0.38 MB a tile, 98 MB a shard
        ((16, 16, 1536), 128),  # UNI2-h: 0.75 MB a tile, 96 MB a shard
        ((224, 224, 64), 15),  # a map as fine as the pixels: 6.1 MB a tile, 92 MB a shard
        ((1024, 1024, 128), 1),  # larger than a shard
    ],
)
def test_shards_of_a_large_store(shape: tuple[int, int, int], tiles: int) -> None:
    assert shard_tiles_for(10**6, shape) == tiles


@given(st.tuples(st.integers(1, 64), st.integers(1, 64), st.integers(1, 2048)))
def test_a_shard_of_a_large_store_holds_64_to_128_mb(shape: tuple[int, int, int]) -> None:
    assert 64 * MB <= shard_tiles_for(10**9, shape) * int(np.prod(shape)) * 2 <= 128 * MB


@pytest.mark.parametrize(("tiles", "expected"), [(0, 32), (1, 32), (675, 32), (1000, 64), (2000, 128), (4096, 256)])
def test_a_small_store_is_cut_too(tiles: int, expected: int) -> None:
    assert shard_tiles_for(tiles, (14, 14, 1024)) == expected
