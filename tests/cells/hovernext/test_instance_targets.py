"""Targets of the instance decoder, by hand and against a plain loop over nuclei."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cryostat.cells.hovernext.targets import instance_targets
from cryostat.core.errors import SettingError

TILES = arrays(
    np.int64,
    st.tuples(st.integers(1, 3), st.integers(1, 8), st.integers(1, 8)),
    elements=st.sampled_from([0, 0, 1, 2, 7_000_000_000]),
)


def by_loop(tile: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(2, H, W) vectors and (H, W) parts of one tile, as the definition reads."""
    vectors, parts = np.zeros((2, *tile.shape)), np.zeros(tile.shape, int)
    for nucleus in set(tile.ravel().tolist()) - {0}:
        rows, columns = np.nonzero(tile == nucleus)
        vectors[0, rows, columns] = rows.mean() - rows
        vectors[1, rows, columns] = columns.mean() - columns
        for y, x in zip(rows, columns, strict=True):
            around = tile[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
            parts[y, x] = 2 if (around != nucleus).any() else 1
    return vectors, parts


@given(TILES)
@settings(max_examples=80, deadline=None)
def test_equal_to_the_plain_loop(tiles: np.ndarray) -> None:
    vectors, parts = instance_targets(torch.from_numpy(tiles))
    assert vectors.dtype == torch.float32
    assert parts.dtype == torch.int64
    for i, tile in enumerate(tiles):
        expected_vectors, expected_parts = by_loop(tile)
        np.testing.assert_allclose(vectors[i], expected_vectors, atol=1e-5)
        assert (parts[i].numpy() == expected_parts).all()


def test_by_hand() -> None:
    tile = torch.zeros(1, 4, 5, dtype=torch.int32)
    tile[0, 0:3, 0:3] = 9  # in the corner: the image's edge is no border
    vectors, parts = instance_targets(tile)
    assert parts[0].tolist() == [[1, 1, 2, 0, 0], [1, 1, 2, 0, 0], [2, 2, 2, 0, 0], [0, 0, 0, 0, 0]]
    assert vectors[0, :, 1, 1].tolist() == [0, 0]
    assert vectors[0, :, 0, 2].tolist() == [1, -1]
    assert vectors[0, :, 3, 4].tolist() == [0, 0]


def test_touching_nuclei_are_parted_by_border() -> None:
    tile = torch.ones(1, 5, 6, dtype=torch.int64)
    tile[..., 3:] = 2
    assert instance_targets(tile).parts[0, 2].tolist() == [1, 1, 2, 2, 1, 1]


def test_the_same_id_in_two_tiles_is_two_nuclei() -> None:
    tiles = torch.zeros(2, 3, 9, dtype=torch.uint8)
    tiles[0, 1, 0:3] = 5
    tiles[1, 1, 6:9] = 5
    vectors = instance_targets(tiles).vectors
    assert vectors[0, 1, 1, 0:3].tolist() == [1, 0, -1]
    assert vectors[1, 1, 1, 6:9].tolist() == [1, 0, -1]


@pytest.mark.parametrize("shape", [(0, 8, 8), (2, 0, 4)])
def test_no_pixels_no_targets(shape: tuple[int, int, int]) -> None:
    vectors, parts = instance_targets(torch.zeros(shape, dtype=torch.int32))
    assert vectors.shape == (shape[0], 2, *shape[1:])
    assert parts.shape == shape


@pytest.mark.parametrize("wrong", [torch.zeros(4, 4, dtype=torch.int64), torch.zeros(1, 4, 4)])
def test_other_tensors_are_refused(wrong: torch.Tensor) -> None:
    with pytest.raises(SettingError, match="integers"):
        instance_targets(wrong)
