"""What heads trained on tiles say of tiles as they are: the way from a learner to probabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from cryostat.cells.tiling import CellTiles
from cryostat.cells.training.tiles.models import DenseModel
from cryostat.cells.training.tiles.precision import autocast
from cryostat.encoders.tile.base import TileEncoder
from cryostat.features.store import FeatureStore

TILES_AT_ONCE = 8
"""Tiles that pass a decoder together."""

KEPT_BYTES = 2 * 2**30
"""Encoded tiles kept in memory between looks at the validation part."""

RECENT = 8
"""Parts of encoded tiles kept beyond that until the next ones: all runs look at a field before any sees another."""

Maps = Mapping[str, Tensor]
"""Layer to (n, h, w, C) features."""


class SeenTiles:
    """Unaugmented tiles and their features, from the store or from an encoder.

    Args:
        tiles: Pixels.
        layers: Layers to give.
        device: Where features go.
        stores: Layer to store; empty where `encoder` encodes.
        encoder: Encodes tiles when they are asked for.
        keep: Keep what was encoded, within `KEPT_BYTES`: the encoder is frozen.
    """

    def __init__(
        self,
        tiles: CellTiles,
        layers: Sequence[str],
        device: torch.device,
        *,
        stores: Mapping[str, FeatureStore] | None = None,
        encoder: TileEncoder | None = None,
        keep: bool = False,
    ) -> None:
        self.tiles, self.layers, self.device = tiles, tuple(dict.fromkeys(layers)), device
        self.stores, self.encoder, self.keep = stores or {}, encoder, keep
        self._kept: dict[tuple[int, ...], Maps] = {}
        self._recent: dict[tuple[int, ...], Maps] = {}
        self._bytes = 0

    def images(self, numbers: Sequence[int]) -> Tensor:
        """(n, 3, S, S) in 0 … 1."""
        return torch.from_numpy(self.tiles.load(numbers)).permute(0, 3, 1, 2).to(self.device)

    def maps(self, numbers: Sequence[int], images: Tensor | None = None) -> Maps:
        """Layer to (n, h, w, C), in half precision as the store keeps them."""
        if not self.layers:
            return {}
        if self.encoder is None:
            return {layer: torch.from_numpy(s.read(list(numbers))).to(self.device) for layer, s in self.stores.items()}
        key = tuple(numbers)
        return self._kept.get(key) or self._recent.get(key) or self._encode(self.encoder, key, images)

    def forget(self) -> None:
        """Free what was kept."""
        self._kept, self._recent, self._bytes = {}, {}, 0

    def _encode(self, encoder: TileEncoder, key: tuple[int, ...], images: Tensor | None) -> Maps:
        encoder.module.eval()
        maps = encoder.encode(self.images(key) if images is None else images, self.layers)
        found = {layer: values.half() for layer, values in maps.items()}
        size = sum(values.nbytes for values in found.values())
        if self.keep and self._bytes + size <= KEPT_BYTES:
            self._kept[key], self._bytes = found, self._bytes + size
        elif self.keep:
            self._recent[key] = found
            if len(self._recent) > RECENT:
                del self._recent[next(iter(self._recent))]
        return found


def parts_of(tiles: Sequence[int]) -> list[Sequence[int]]:
    """Tiles in parts that pass a decoder together."""
    return [tiles[start : start + TILES_AT_ONCE] for start in range(0, len(tiles), TILES_AT_ONCE)]


@dataclass(frozen=True)
class Watched:
    """A dense model on unaugmented tiles.

    Attributes:
        model: The model.
        seen: The tiles.
        precision: Arithmetic of the model.
    """

    model: DenseModel
    seen: SeenTiles
    precision: str

    @property
    def device(self) -> torch.device:
        """Where its maps are."""
        return self.seen.device

    @torch.no_grad()
    def probabilities(self, tiles: Sequence[int]) -> Tensor:
        """(n, K, S, S) softmax maps of the given tiles."""
        self.model.eval()
        return torch.cat([self._part(part) for part in parts_of(tiles)])

    def _part(self, tiles: Sequence[int]) -> Tensor:
        images = self.seen.images(tiles)
        maps = self.seen.maps(tiles, images)
        with autocast(self.device, self.precision):
            logits = self.model(maps, images)
        probabilities: Tensor = logits.float().softmax(1)
        return probabilities
