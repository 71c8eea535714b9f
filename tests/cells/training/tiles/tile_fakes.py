"""Small tiles, an encoder that averages colours, and learners on them: all values can be worked out by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cryostat.cells.augmentation import View
from cryostat.cells.heads.linear import LinearHead
from cryostat.cells.heads.settings import TileSettings
from cryostat.cells.protocols import Training, load_protocol
from cryostat.cells.runs.bank import ViewedTiles
from cryostat.cells.training.common import Outputs, Standardiser, seeded
from cryostat.cells.training.tiles.batch import Batch, Wants
from cryostat.cells.training.tiles.learners import DenseLearner, Task
from cryostat.cells.training.tiles.models import DenseModel
from cryostat.cells.training.tiles.streams import Stream
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.tile.base import TileEncoder

SIDE, PATCH = 32, 8
CARD = EncoderCard(
    "colours",
    "Colours",
    "average",
    SIDE,
    PATCH,
    width=3,
    depth=0,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    flexible_size=True,
)
STANDARD: Training = load_protocol("standard").training
PAPER: Training = load_protocol("paper").training
QUICK = TileSettings(steps=8, batch=2, warmup=0, validate_every=2, window=2, precision="fp32")


class Tiles:
    """Tiles with one dark nucleus each, at a place, of a class and with an id of its own; light elsewhere."""

    tile_size = SIDE

    def __init__(self, count: int = 6) -> None:
        chance = np.random.default_rng(0)
        self.ids = np.zeros((count, SIDE, SIDE), np.int32)
        self.shades = chance.uniform(0.8, 1.0, (count, SIDE, SIDE, 3)).astype(np.float32)
        for tile in range(count):
            y, x = chance.integers(8, 16, 2)
            self.ids[tile, y : y + 9, x : x + 5] = 100 + tile
        self.pixels = np.where(self.ids[..., None] > 0, np.float32(0.01), self.shades)

    def load(self, tiles: Sequence[int]) -> NDArray[np.float32]:
        return self.pixels[list(tiles)]

    def labels(self, tiles: Sequence[int]) -> NDArray[np.int16]:
        ids = self.instances(tiles)
        return np.where(ids > 0, 1 + ids % 2, 0).astype(np.int16)

    def instances(self, tiles: Sequence[int]) -> NDArray[np.int32]:
        return self.ids[list(tiles)]

    def rings(self, tiles: Sequence[int], ring_um: float) -> NDArray[np.int32]:
        ids = self.instances(tiles)
        wide = F.max_pool2d(torch.from_numpy(ids).double(), 3, stride=1, padding=1).numpy().astype(np.int32)
        return np.where(ids > 0, 0, wide)


class Colours(TileEncoder):
    """The mean colour of each patch, through layers that may drop or normalise; counts the images it saw."""

    def __init__(self, *layers: nn.Module) -> None:
        self.card = CARD
        self.module = nn.Sequential(*(layers or (nn.Identity(),)))
        self.module.eval()
        self.images = 0
        self.modes: set[bool] = set()

    def identity(self) -> Mapping[str, Any]:
        return {"name": "colours"}

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        self.images += len(images)
        self.modes.add(self.module.training)
        pooled = self.module(F.avg_pool2d(images, PATCH))
        return dict.fromkeys(layers, pooled.permute(0, 2, 3, 1))


class Encoded:
    """Features of tiles in a view, as a store would give them."""

    def __init__(self, tiles: Tiles, view: View) -> None:
        self.seen = ViewedTiles(tiles, view)

    def read(self, tiles: Sequence[int]) -> NDArray[np.float16]:
        images = torch.from_numpy(self.seen.load(tiles)).permute(0, 3, 1, 2)
        return Colours().encode(images)["final"].half().numpy()


def stream(count: int = 6, *, seed: int = 0, batch: int = 2, window: int = 2, tiles: Sequence[int] = ()) -> Stream:
    numbers = np.array(tiles or range(count), np.int64)
    return Stream(numbers, np.ones(len(numbers)), batch, window, seed)


def learner(
    rules: Training = STANDARD,
    settings: TileSettings = QUICK,
    *,
    seed: int = 0,
    where: Stream | None = None,
    encoder: TileEncoder | None = None,
    outputs: Sequence[int] = (1, 2),
    head: nn.Module | None = None,
    **changes: Any,
) -> DenseLearner:
    """A linear head (or another) on mean colours."""
    settings = replace(settings, **changes)
    with seeded(seed):
        network = head or LinearHead(3, len(outputs))
    model = DenseModel(network, ("final",), CARD, {"final": Standardiser.none(3)})
    drawn = where or stream(seed=seed, batch=settings.batch, window=settings.window)
    return DenseLearner(Task(Outputs(np.array(outputs)), settings, rules, drawn, seed, encoder), model)


class PlainFeed:
    """Tiles as they are."""

    def __init__(self, tiles: Tiles | None = None) -> None:
        self.tiles, self.encoder, self.closed = tiles or Tiles(), Colours(), False
        self.retired: list[Stream] = []

    def batch(self, drawn: Stream, step: int, wants: Wants) -> Batch:
        numbers = drawn.batch_of(step).tolist()
        images = torch.from_numpy(self.tiles.load(numbers)).permute(0, 3, 1, 2)
        maps = self.encoder.encode(images, wants.layers) if wants.layers else {}
        return Batch(torch.from_numpy(self.tiles.labels(numbers).astype(np.int64)), maps, images)

    def retire(self, drawn: Stream) -> None:
        self.retired.append(drawn)

    def close(self) -> None:
        self.closed = True
