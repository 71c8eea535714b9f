"""Pooled features against a loop over pixels that a reader can follow."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cryostat.cells.dataset import CellDataset
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.pooling import pool_features
from cryostat.cells.protocols import load_protocol
from cryostat.cells.tiling import CellTiles
from cryostat.cells.writer import DatasetWriter

FACTS = DatasetFacts("toy", "Toy", (CellClass(1, "round"), CellClass(2, "long")), 0.25, "CC0", "none")


def dataset_of(folder: Path, instances: NDArray[Any]) -> CellDataset:
    ids = [int(i) for i in np.unique(instances) if i > 0]
    image = np.random.default_rng(0).integers(0, 255, (*instances.shape, 3), dtype=np.uint8)
    with DatasetWriter(folder, FACTS) as writer:
        writer.add(field_from_table("a", image, instances, {i: 1 + i % 2 for i in ids}, mpp=0.25, source="toy"))
    return CellDataset(folder)


def squares(shape: tuple[int, int]) -> NDArray[np.int32]:
    instances = np.zeros(shape, np.int32)
    instances[3:12, 5:9] = 4
    instances[3:12, 9:20] = 7
    instances[40:47, 30:44] = 9
    return instances


def features(tiles: CellTiles, patch: int) -> NDArray[np.float16]:
    side = tiles.tile_size // patch
    return np.random.default_rng(1).normal(size=(len(tiles.index()), side, side, 3)).astype(np.float16)


def reader(array: NDArray[np.float16]) -> Any:
    def read(tiles: Sequence[int]) -> NDArray[np.float16]:
        return array[list(tiles)]

    return read


def test_one_tile_equals_a_loop_over_pixels(tmp_path: Path) -> None:
    instances = squares((48, 48))
    tiles = CellTiles(dataset_of(tmp_path / "d", instances), load_protocol("standard").at(0), 48)
    maps = features(tiles, 8)
    pooled = next(iter(pool_features(tiles, reader(maps), ["a"], patch=8)))
    for cell, got in zip(pooled.rows["cell_id"], pooled.features, strict=True):
        pixels = np.argwhere(instances == cell)
        expected = np.mean([maps[0, y // 8, x // 8].astype(np.float64) for y, x in pixels], axis=0)
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)
    assert pooled.rows["cell_id"].tolist() == [4, 7, 9]


def test_tokens_of_a_fraction_of_a_pixel_split_at_pixels(tmp_path: Path) -> None:
    instances = squares((28, 28))
    tiles = CellTiles(dataset_of(tmp_path / "d", instances), load_protocol("standard").at(0), 28)
    maps = np.random.default_rng(1).normal(size=(1, 3, 3, 2)).astype(np.float16)
    pooled = next(iter(pool_features(tiles, reader(maps), ["a"], patch=28 / 3)))
    # Tokens end after 9⅓ and 18⅔ px: the pixel before, whole or in part, still belongs to them.
    token = [0] * 10 + [1] * 9 + [2] * 9
    pixels = np.argwhere(instances == 7)
    expected = np.mean([maps[0, token[y], token[x]].astype(np.float64) for y, x in pixels], axis=0)
    np.testing.assert_allclose(pooled.features[1], expected, rtol=1e-4, atol=1e-5)


def test_half_scale_uses_the_mask_at_full_resolution(tmp_path: Path) -> None:
    instances = squares((64, 64))
    tiles = CellTiles(dataset_of(tmp_path / "d", instances), load_protocol("standard").at(0.5), 32)
    maps = features(tiles, 4)
    pooled = next(iter(pool_features(tiles, reader(maps), ["a"], patch=4)))
    pixels = np.argwhere(instances == 4)
    expected = np.mean([maps[0, y // 8, x // 8].astype(np.float64) for y, x in pixels], axis=0)
    np.testing.assert_allclose(pooled.features[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("ring", [0.0, 1.0])
def test_constant_features_stay_constant_across_overlapping_tiles(tmp_path: Path, ring: float) -> None:
    tiles = CellTiles(dataset_of(tmp_path / "d", squares((80, 100))), load_protocol("standard").at(0), 32)
    maps = np.broadcast_to(np.array([1.0, -2.0, 3.0], np.float16), (len(tiles.index()), 8, 8, 3))
    pooled = next(iter(pool_features(tiles, reader(np.array(maps)), ["a"], patch=4, ring_um=ring)))
    expected = np.tile([1.0, -2.0, 3.0], (3, 2 if ring else 1))
    np.testing.assert_allclose(pooled.features, expected, rtol=1e-3)


def test_ring_lies_outside_all_nuclei(tmp_path: Path) -> None:
    instances = squares((48, 48))
    tiles = CellTiles(dataset_of(tmp_path / "d", instances), load_protocol("standard").at(0), 48)
    inside = (instances > 0).astype(np.float16)[None, :, :, None]
    pooled = next(iter(pool_features(tiles, reader(inside), ["a"], patch=1, ring_um=0.75)))
    np.testing.assert_allclose(pooled.features, [[1, 0], [1, 0], [1, 0]], atol=1e-6)


def test_published_rule_counts_a_cut_nucleus_in_each_tile(tmp_path: Path) -> None:
    instances = squares((48, 48))
    instances[3:12, 9:30] = 7
    tiles = CellTiles(dataset_of(tmp_path / "d", instances), load_protocol("paper"), 32)
    maps = features(tiles, 8)
    pooled = next(iter(pool_features(tiles, reader(maps), ["a"], patch=8)))
    assert list(zip(pooled.rows["tile"], pooled.rows["cell_id"], strict=True)) == [(0, 4), (0, 7), (1, 7), (3, 9)]
    # Tile 1 holds columns 24 … 47 with 4 px of padding above and left.
    pixels = [(y + 4, x - 24 + 4) for y, x in np.argwhere(instances == 7) if x >= 24]
    expected = np.mean([maps[1, y // 8, x // 8].astype(np.float64) for y, x in pixels], axis=0)
    np.testing.assert_allclose(pooled.features[2], expected, rtol=1e-4, atol=1e-5)
