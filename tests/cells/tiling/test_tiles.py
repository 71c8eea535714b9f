"""Tiles of real and generated fields: pixels, scaling, labels and sizes that can be worked out by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cryostat.cells.dataset import CellDataset
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.protocols import load_protocol
from cryostat.cells.tiling import CellTiles, tiles_for
from cryostat.cells.writer import DatasetWriter
from cryostat.encoders.card import EncoderCard

FACTS = DatasetFacts("toy", "Toy", (CellClass(1, "round"), CellClass(300, "late id")), 0.25, "CC0", "none")
STANDARD, PAPER = load_protocol("standard"), load_protocol("paper")


def dataset_of(folder: Path, image: NDArray[Any]) -> CellDataset:
    instances = np.zeros(image.shape[:2], np.int32)
    instances[4:12, 4:12], instances[20:30, 20:30] = 1, 2
    with DatasetWriter(folder, FACTS) as writer:
        writer.add(field_from_table("a", image, instances, {1: 1, 2: 300}, mpp=0.25, source="toy"))
    return CellDataset(folder)


def noise(height: int, width: int, dtype: Any = np.uint8) -> NDArray[Any]:
    top = np.iinfo(dtype).max
    return np.random.default_rng(0).integers(0, top // 2, (height, width, 3), dtype=dtype)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_standard_scales_by_the_range_of_the_type(tmp_path: Path, dtype: Any) -> None:
    image = noise(48, 48, dtype)
    tiles = CellTiles(dataset_of(tmp_path / "d", image), STANDARD.at(0), 48)
    np.testing.assert_allclose(tiles.load([0])[0], image / np.iinfo(dtype).max, rtol=1e-6)


def test_paper_scales_by_the_tile_and_pads_with_zeros(tmp_path: Path) -> None:
    image = noise(48, 48)
    tile = CellTiles(dataset_of(tmp_path / "d", image), PAPER, 32).load([0])[0]
    piece = image[:24, :24]
    np.testing.assert_allclose(tile[4:28, 4:28], piece / piece.max(), rtol=1e-6)
    assert tile[:4].max() == tile[28:].max() == tile[:, :4].max() == tile[:, 28:].max() == 0


def test_half_scale_averages_two_by_two_pixels_away_from_edges(tmp_path: Path) -> None:
    image = np.repeat(np.repeat(noise(24, 24), 2, 0), 2, 1)
    tiles = CellTiles(dataset_of(tmp_path / "d", image), STANDARD, 24)
    assert tiles.field_shape("a") == (24, 24)
    smooth = tiles.load([0])[0] * 255
    # PIL's triangle filter over two pixels' support: weights 1/8, 3/8, 3/8, 1/8 over four pixels.
    small = image[::2, ::2].astype(float)
    expected = (small[4, 3] + 6 * small[4, 4] + small[4, 5]) / 8
    rows = [(small[y, 3] + 6 * small[y, 4] + small[y, 5]) / 8 for y in (3, 4, 5)]
    expected = (rows[0] + 6 * rows[1] + rows[2]) / 8
    np.testing.assert_allclose(smooth[4, 4], expected, atol=0.6)


def test_fields_smaller_than_a_tile_are_mirrored_and_their_margin_is_unlabelled(tmp_path: Path) -> None:
    image = noise(40, 48)
    tiles = CellTiles(dataset_of(tmp_path / "d", image), STANDARD.at(0), 48)
    tile = tiles.load([0])[0]
    np.testing.assert_array_equal(tile[40:], tile[39:31:-1])
    assert tiles.labels([0])[0, 40:].max() == 0


def test_labels_keep_class_ids_above_255(tmp_path: Path) -> None:
    labels = CellTiles(dataset_of(tmp_path / "d", noise(48, 48)), STANDARD.at(0), 48).labels([0])[0]
    assert labels[5, 5] == 1
    assert labels[25, 25] == 300
    assert (labels > 0).sum() == 64 + 100


@pytest.mark.parametrize("protocol", [STANDARD, STANDARD.at(0), PAPER])
def test_nuclei_lie_where_their_labels_lie(tmp_path: Path, protocol: Any) -> None:
    tiles = CellTiles(dataset_of(tmp_path / "d", noise(48, 40)), protocol, 32)
    every = range(len(tiles.index()))
    ids = tiles.instances(every)
    assert (ids.dtype, ids.shape) == (np.int32, (len(every), 32, 32))
    np.testing.assert_array_equal(np.array([0, 1, 300])[ids], tiles.labels(every))


def test_rings_surround_nuclei_and_leave_their_neighbours_out(tmp_path: Path) -> None:
    tiles = CellTiles(dataset_of(tmp_path / "d", noise(48, 48)), STANDARD.at(0), 48)
    found = tiles.rings([0], 0.5)[0]
    # 0.5 µm are two pixels; the ring of a square is its four sides and what is near its corners.
    assert found[6, 2:14].tolist() == [1, 1, *[0] * 8, 1, 1]
    assert found[2:4, 2:4].tolist() == [[0, 0], [0, 1]]
    assert found[25, 16:34].tolist() == [0, 0, 2, 2, *[0] * 10, 2, 2, 0, 0]
    assert not found[tiles.instances([0])[0] > 0].any()
    assert not tiles.rings([0], 0)[0].any()


def test_rings_keep_their_width_at_another_scale_and_their_place_in_padded_tiles(tmp_path: Path) -> None:
    tissue = dataset_of(tmp_path / "d", noise(48, 48))
    half = CellTiles(tissue, STANDARD.at(0.5), 24).rings([0], 1.0)[0]
    full = CellTiles(tissue, STANDARD.at(0), 48).rings([0], 1.0)[0]
    np.testing.assert_array_equal(half, full[1::2, 1::2])
    padded = CellTiles(tissue, PAPER, 32).rings([0], 1.0)[0]
    np.testing.assert_array_equal(padded[4:28, 4:28], full[:24, :24])
    assert padded.sum() == full[:24, :24].sum()


def test_flexible_encoders_take_smaller_tiles_where_fields_are_small(tmp_path: Path) -> None:
    tissue = dataset_of(tmp_path / "d", noise(256, 256))
    fixed = EncoderCard("e", "E", "ViT", 224, 14, 8, 1)
    flexible = EncoderCard("e", "E", "ViT", 224, 14, 8, 1, flexible_size=True)
    assert tiles_for(tissue, STANDARD, fixed).tile_size == 224
    assert tiles_for(tissue, STANDARD, flexible).tile_size == 126
    assert tiles_for(tissue, PAPER, flexible).tile_size == 224


def test_identity_tells_protocols_scales_and_sizes_apart(tmp_path: Path) -> None:
    tissue = dataset_of(tmp_path / "d", noise(64, 64))
    made = [
        CellTiles(tissue, STANDARD, 32),
        CellTiles(tissue, STANDARD.at(0.25), 32),
        CellTiles(tissue, STANDARD, 16),
        CellTiles(tissue, PAPER, 32),
    ]
    assert len({repr(sorted(t.identity().items())) for t in made}) == 4
