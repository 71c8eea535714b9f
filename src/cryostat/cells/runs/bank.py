"""The bank: every tile in K fixed views, each view stored like the tiles themselves."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from cryostat.cells.augmentation import View
from cryostat.cells.protocols import Protocol
from cryostat.cells.tiling import CellTiles
from cryostat.features.store import FeatureStore


class ViewedTiles:
    """Tiles as seen in a view; a `features.TileSource`.

    Args:
        tiles: The tiles.
        view: The view.
    """

    def __init__(self, tiles: CellTiles, view: View) -> None:
        self.tiles, self.view, self.tile_size = tiles, view, tiles.tile_size

    def identity(self) -> Mapping[str, Any]:
        """That of the tiles, and the view where it is not the first."""
        identity = dict(self.tiles.identity())
        return identity if self.view == View() else identity | {"view": asdict(self.view)}

    def index(self) -> pd.DataFrame:
        """As of the tiles."""
        return self.tiles.index()

    def load(self, tiles: Sequence[int]) -> NDArray[np.float32]:
        """(n, S, S, 3) float32 in 0 … 1."""
        pixels = self.tiles.load(tiles)
        if self.view == View():
            return pixels
        seen = self.view.of_images(torch.from_numpy(pixels).permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return np.ascontiguousarray(seen.numpy())

    def sample_images(self) -> Iterable[NDArray[np.float32]]:
        """The same in every view: an encoder that adapts to pixels must stay one encoder."""
        return self.tiles.sample_images()


@dataclass(frozen=True)
class TurnedBack:
    """Stored features of a view, turned back so that they lie as the labels do.

    Attributes:
        store: Features of the view.
        view: The view.
    """

    store: FeatureStore
    view: View

    @property
    def folder(self) -> Path:
        """Where the store is."""
        return self.store.folder

    def read(self, tiles: Sequence[int]) -> NDArray[np.float16]:
        """(n, h, w, C)."""
        turned = np.rot90(self.store.read(tiles), -self.view.quarter_turns, axes=(1, 2))
        return np.ascontiguousarray(np.flip(turned, 2) if self.view.mirrored else turned)


@dataclass(frozen=True)
class ManyViews:
    """The tiles of a bank under numbers of their own: number = view · tiles + tile; features lie as the labels do.

    Attributes:
        tiles: The tiles.
        views: Features of each view.
    """

    tiles: CellTiles
    views: Sequence[TurnedBack]

    @property
    def tile_size(self) -> int:
        """Side of every tile in px."""
        return self.tiles.tile_size

    @property
    def protocol(self) -> Protocol:
        """Rules of the tiles."""
        return self.tiles.protocol

    def numbers(self, tiles: Sequence[int]) -> list[int]:
        """The given tiles in every view."""
        return [view * self._count + tile for view in range(len(self.views)) for tile in tiles]

    def labels(self, numbers: Sequence[int]) -> NDArray[np.int16]:
        """(n, S, S) class of each pixel."""
        return self.tiles.labels([number % self._count for number in numbers])

    def read(self, numbers: Sequence[int]) -> NDArray[np.float16]:
        """(n, h, w, C)."""
        return np.concatenate([self.views[n // self._count].read([n % self._count]) for n in numbers])

    @property
    def _count(self) -> int:
        return len(self.tiles.index())
