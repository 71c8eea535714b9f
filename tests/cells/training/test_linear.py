"""Features at drawn pixels against torch's own enlargement, and the head against training in full."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from cryostat.cells.field import CellClass
from cryostat.cells.heads.linear import LinearHead
from cryostat.cells.training.common import Outputs
from cryostat.cells.training.linear import draw_pixels
from cryostat.core.errors import InputError

OUTPUTS = Outputs.of((CellClass(1, "a"), CellClass(2, "b")), background=False)


class Store:
    """Token maps of two tiles."""

    def __init__(self, grid: int) -> None:
        self.maps = np.random.default_rng(0).normal(size=(2, grid, grid, 3)).astype(np.float16)

    def read(self, tiles: Sequence[int]) -> NDArray[Any]:
        return self.maps[list(tiles)]


class Tiles:
    """As much of tiles as the draw looks at: their labels."""

    def __init__(self, size: int, share: float = 0.1) -> None:
        self.tile_size = size
        draw = np.random.default_rng(1)
        self.maps = np.where(draw.random((2, size, size)) < share, draw.integers(1, 3, (2, size, size)), 0)

    def labels(self, tiles: Sequence[int]) -> NDArray[Any]:
        return self.maps[list(tiles)]


@pytest.mark.parametrize(("grid", "size"), [(14, 224), (7, 28), (16, 224), (24, 24)])
def test_the_head_at_drawn_pixels_equals_its_enlarged_maps(grid: int, size: int) -> None:
    tiles, store, head = Tiles(size), Store(grid), LinearHead(3, 2)
    features, targets = draw_pixels(tiles, store, [0, 1], OUTPUTS, 10**9, seed=0)
    tokens = torch.from_numpy(store.maps.astype(np.float32))
    maps = head([tokens.permute(0, 3, 1, 2)], torch.empty(1, 3, size, size))
    by_hand = head.classify(tokens).permute(0, 3, 1, 2)
    torch.testing.assert_close(maps, F.interpolate(by_hand, size=(size, size), mode="bilinear", align_corners=False))
    labelled = torch.from_numpy(tiles.maps > 0)
    expected = maps.permute(0, 2, 3, 1)[labelled]
    torch.testing.assert_close(head.classify(torch.from_numpy(features)), expected, rtol=1e-3, atol=2e-3)
    assert targets.tolist() == (tiles.maps[tiles.maps > 0] - 1).tolist()


def test_draws_are_even_seeded_and_bounded() -> None:
    tiles, store = Tiles(64, share=0.5), Store(8)
    first = draw_pixels(tiles, store, [0, 1], OUTPUTS, 400, seed=3)
    again = draw_pixels(tiles, store, [0, 1], OUTPUTS, 400, seed=3)
    other = draw_pixels(tiles, store, [0, 1], OUTPUTS, 400, seed=4)
    assert 400 <= len(first[1]) <= 402
    assert np.array_equal(first[0], again[0])
    assert not np.array_equal(first[0], other[0])


def test_tiles_without_labels_are_refused() -> None:
    with pytest.raises(InputError, match="no training pixel"):
        draw_pixels(Tiles(16, share=0), Store(4), [0, 1], OUTPUTS, 10, seed=0)
