"""A small source, a small encoder, and an extraction to run in a process of its own, where it can be killed."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d

from cryostat.core.errors import InputError
from cryostat.core.home import Home
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.tile.base import TileEncoder
from cryostat.features.extraction import extract
from cryostat.features.store import FeatureStore

SIZE = 8
PATCH = 4


class NumberedTiles:
    """Tiles of noise; the first pixel of tile t is (t + 1) / 1000, so that an encoder can tell which it sees."""

    tile_size = SIZE

    def __init__(self, count: int, unreadable: Sequence[int] = ()) -> None:
        self.count, self.unreadable = count, set(unreadable)

    def identity(self) -> Mapping[str, Any]:
        return {"dataset": "numbers", "count": self.count, "tile_size": SIZE}

    def index(self) -> pd.DataFrame:
        return pd.DataFrame({"tile": range(self.count), "fov_id": [f"field-{t // 3}" for t in range(self.count)]})

    def load(self, tiles: Sequence[int]) -> NDArray[np.float32]:
        if bad := self.unreadable.intersection(tiles):
            raise InputError("is truncated", where=f"field-{min(bad) // 3}.png", remedy="Copy it again")
        return np.stack([self.image(tile) for tile in tiles])

    def image(self, tile: int) -> NDArray[np.float32]:
        image = np.random.default_rng(tile).random((SIZE, SIZE, 3), dtype=np.float32)
        image[0, 0, 0] = (tile + 1) / 1000
        return image

    def sample_images(self) -> Iterator[NDArray[np.float32]]:
        yield self.image(0)


class PatchMeans(TileEncoder):
    """Mean colour of each 4 px patch; `block-1` holds its negative. Notes every tile that it sees.

    Args:
        log: File that gets a line `process tile` for each tile.
        seconds: Time that a batch takes.
        stuck_at: Tile at which it never ends.
        spoiled: Tile to the number that its features shall hold.
    """

    card = EncoderCard(
        name="patch-means",
        title="Patch means",
        architecture="mean",
        input_size=SIZE,
        patch_size=PATCH,
        width=3,
        depth=1,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
    )

    def __init__(
        self,
        log: Path | None = None,
        seconds: float = 0.0,
        stuck_at: int | None = None,
        spoiled: Mapping[int, float] | None = None,
    ) -> None:
        self.module = nn.Identity()
        self.log, self.seconds, self.stuck_at, self.spoiled = log, seconds, stuck_at, spoiled or {}
        self.calls = 0

    def identity(self) -> Mapping[str, Any]:
        return {"name": self.card.name, "weights": "none", "precision": self.precision}

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        self.calls += 1
        tiles = [round(float(value) * 1000) - 1 for value in images[:, 0, 0, 0]]
        if self.log:
            with self.log.open("a") as stream:
                stream.write("".join(f"{os.getpid()} {tile}\n" for tile in tiles if tile >= 0))
        time.sleep(3600 if self.stuck_at in tiles else self.seconds)
        means = avg_pool2d(images, PATCH).permute(0, 2, 3, 1).clone()
        for tile, value in self.spoiled.items():
            if tile in tiles:
                means[tiles.index(tile), 1, 0, 2] = value
        maps = {"final": means, "block-1": -means}
        return {layer: maps[layer] for layer in layers}


def expected(source: NumberedTiles) -> NDArray[np.float16]:
    """(n, 2, 2, 3) what layer `final` of all tiles must hold."""
    images = torch.from_numpy(source.load(range(source.count))).permute(0, 3, 1, 2)
    return avg_pool2d(images, PATCH).permute(0, 2, 3, 1).numpy().astype(np.float16)


def run(
    root: Path,
    count: int,
    *,
    layers: Sequence[str] = ("final",),
    log: Path | None = None,
    seconds: float = 0.0,
    stuck_at: int | None = None,
    die_at: int | None = None,
    gate: Any = None,
) -> dict[str, FeatureStore]:
    """Extract in batches of 2 and shards of 4, dying (SIGKILL) before the `die_at`-th change of the disk.

    With a `gate` (a barrier) it begins when the others do.
    """
    torch.set_num_threads(1)
    if die_at is not None:
        sys.addaudithook(_Death(root, die_at))
    encoder = PatchMeans(log, seconds, stuck_at)
    if gate:
        gate.wait()
    stores = extract(NumberedTiles(count), encoder, layers, Home(root), batch_size=2, shard_tiles=4)
    assert all(store.complete for store in stores.values())
    return stores


def run_alone(**settings: Any) -> None:
    """`run` as the main function of a process, which does not wait for the disk either."""
    os.fsync = lambda handle: None
    run(**settings)


class _Death:
    """An audit hook that kills its process before the n-th file under a folder is made, renamed or deleted."""

    def __init__(self, root: Path, countdown: int) -> None:
        self.root, self.countdown = str(root), countdown

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event not in ("open", "os.rename", "os.remove") or not str(arguments[0]).startswith(self.root):
            return
        if event == "open" and not arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
        self.countdown -= 1
        if self.countdown == 0:
            os.kill(os.getpid(), signal.SIGKILL)
