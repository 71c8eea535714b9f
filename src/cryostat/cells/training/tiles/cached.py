"""Batches from stored features: tiles in random views of the bank."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryostat.cells.augmentation import View
from cryostat.cells.tiling import CellTiles
from cryostat.cells.training.tiles.batch import Batch, Wants
from cryostat.cells.training.tiles.streams import Stream


class TokenMaps(Protocol):
    """Stored features of one layer in one view."""

    def read(self, tiles: Sequence[int]) -> NDArray[Any]:
        """(n, h, w, C) of the given tiles."""
        ...


class CachedFeed:
    """Batches whose features were computed before.

    Args:
        tiles: Labels, nuclei and pixels.
        bank: For each view, layer to features.
        views: The views, in the order of the bank.
        device: Where batches go.
    """

    def __init__(
        self,
        tiles: CellTiles,
        bank: Sequence[Mapping[str, TokenMaps]],
        views: Sequence[View],
        device: torch.device,
    ) -> None:
        self.tiles, self.bank, self.views, self.device = tiles, bank, views, device

    def batch(self, stream: Stream, step: int, wants: Wants) -> Batch:
        """The batch of a step; each of its tiles in a view drawn evenly from the bank."""
        numbers = stream.batch_of(step)
        chosen = np.random.default_rng((stream.seed, stream.draws, step)).integers(len(self.views), size=len(numbers))
        order = np.argsort(chosen, kind="stable")
        parts = [
            self._seen(numbers[order][chosen[order] == view].tolist(), int(view), wants) for view in np.unique(chosen)
        ]
        return Batch(
            torch.cat([part.labels for part in parts]),
            {layer: torch.cat([part.maps[layer] for part in parts]) for layer in wants.layers},
            _joined([part.images for part in parts]),
            _joined([part.instances for part in parts]),
            _joined([part.rings for part in parts]),
        )

    def retire(self, stream: Stream) -> None:
        """Nothing is prepared for a learner alone."""

    def close(self) -> None:
        """Nothing is open."""

    def _seen(self, numbers: list[int], view: int, wants: Wants) -> Batch:
        """Some tiles in one view."""
        look = self.views[view]

        def turned(labels: NDArray[Any]) -> Tensor:
            return look.of_masks(torch.from_numpy(labels.astype(np.int64))).to(self.device)

        images = None
        if wants.images:
            pixels = torch.from_numpy(self.tiles.load(numbers)).permute(0, 3, 1, 2).to(self.device)
            images = look.of_images(pixels)
        maps = {layer: torch.from_numpy(self.bank[view][layer].read(numbers)).to(self.device) for layer in wants.layers}
        return Batch(
            turned(self.tiles.labels(numbers)),
            maps,
            images,
            turned(self.tiles.instances(numbers)) if wants.instances else None,
            turned(self.tiles.rings(numbers, wants.ring_um)) if wants.ring_um else None,
        )


def _joined(parts: Sequence[Tensor | None]) -> Tensor | None:
    found = [part for part in parts if part is not None]
    return torch.cat(found) if found else None
