"""From maps to nuclei: blending, cutting and truth, on cases that can be worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from cryostat.cells.dataset import CellDataset
from cryostat.cells.field import CellClass, DatasetFacts, field_from_semantic
from cryostat.cells.protocols import load_protocol
from cryostat.cells.runs.predict import GivenNuclei, blended_map, predicted, truth
from cryostat.cells.tiling import CellTiles
from cryostat.cells.training.common import Outputs
from cryostat.cells.writer import DatasetWriter

CLASSES = (CellClass(1, "a"), CellClass(2, "b"), CellClass(3, "c"))
FACTS = DatasetFacts("toy", "Toy", CLASSES, 0.25, "CC0", "none")
STANDARD, PAPER = load_protocol("standard"), load_protocol("paper")


class Painted:
    """Maps that depend on the place on the field alone, whatever tile shows it."""

    device = torch.device("cpu")

    def __init__(self, tiles: CellTiles, field: Tensor) -> None:
        self.tiles, self.field = tiles, field

    def probabilities(self, tiles: Sequence[int]) -> Tensor:
        size = self.tiles.tile_size
        out = torch.zeros(len(tiles), len(self.field), size, size)
        for map_, p in zip(out, map(self.tiles.piece, tiles), strict=True):
            cut = self.field[:, p.y : p.y + p.height, p.x : p.x + p.width]
            map_[:, p.above : p.above + p.height, p.left : p.left + p.width] = cut
        return out


@pytest.fixture
def tissue(tmp_path: Path) -> CellDataset:
    instances, semantic = np.zeros((60, 70), np.int32), np.zeros((60, 70), np.uint8)
    instances[5:15, 30:40], semantic[5:15, 30:40] = 3, 1
    instances[40:50, 50:60], semantic[40:50, 50:60] = 8, 3
    semantic[40:44, 50:60] = 1
    image = np.random.default_rng(0).integers(0, 255, (60, 70, 3), dtype=np.uint8)
    with DatasetWriter(tmp_path / "toy", FACTS) as writer:
        writer.add(field_from_semantic("f", image, instances, semantic, mpp=0.25, source="toy"))
    return CellDataset(tmp_path / "toy")


def field(seed: int = 0) -> Tensor:
    return torch.rand(3, 60, 70, generator=torch.Generator().manual_seed(seed)).softmax(0)


def test_blending_tiles_that_agree_changes_nothing(tissue: CellDataset) -> None:
    tiles = CellTiles(tissue, STANDARD.at(0), 32)
    torch.testing.assert_close(blended_map(Painted(tiles, field()), tiles, "f"), field())


def test_whole_nuclei_get_the_mean_over_their_pixels(tissue: CellDataset) -> None:
    tiles = CellTiles(tissue, STANDARD.at(0), 32)
    nuclei = GivenNuclei(tiles, ["f"], torch.device("cpu"))
    means = nuclei.means(Painted(tiles, field()))
    assert nuclei.rows["cell_id"].tolist() == [3, 8]
    np.testing.assert_allclose(means[0], field()[:, 5:15, 30:40].mean((1, 2)), rtol=1e-5)


def test_cut_nuclei_count_in_each_tile_with_their_own_mean_and_truth(tissue: CellDataset) -> None:
    tiles = CellTiles(tissue, PAPER, 40)
    nuclei = GivenNuclei(tiles, ["f"], torch.device("cpu"))
    means = nuclei.means(Painted(tiles, field()))
    # 60 × 70 px are cut at row 30 and column 35: nucleus 3 lies in tiles 0 and 1, nucleus 8 in tile 3.
    assert list(zip(nuclei.rows["tile"], nuclei.rows["cell_id"], strict=True)) == [(0, 3), (1, 3), (3, 8)]
    np.testing.assert_allclose(means[1], field()[:, 5:15, 35:40].mean((1, 2)), rtol=1e-5)
    # Four of ten rows are class 1, six class 3: the mean of 2.2 is truncated to a class that is not there.
    assert truth(tiles, nuclei.rows).tolist() == [1, 1, 2]
    assert truth(CellTiles(tissue, STANDARD.at(0), 32), nuclei.rows).tolist() == [1, 1, 3]


def test_background_wins_only_where_it_may() -> None:
    outputs = Outputs.of(CLASSES, background=True)
    probabilities = np.array([[0.6, 0.1, 0.3, 0.0], [0.1, 0.4, 0.4, 0.1]], np.float32)
    assert predicted(probabilities, outputs, PAPER).tolist() == [0, 1]
    assert predicted(probabilities, outputs, STANDARD).tolist() == [2, 1]
