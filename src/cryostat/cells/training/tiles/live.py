"""Batches of freshly augmented tiles; one pass of the frozen encoder serves every learner."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from cryostat.cells.augmentation import Augmentations
from cryostat.cells.augmentation.batch import augment_each
from cryostat.cells.tiling import CellTiles
from cryostat.cells.training.common import seeded
from cryostat.cells.training.tiles.batch import Batch, Wants
from cryostat.cells.training.tiles.streams import Stream
from cryostat.encoders.tile.base import TileEncoder

AT_ONCE = 16
"""Tiles augmented and encoded together."""

EXACT_IDS = 2**24
"""Below this, single precision holds every whole number."""


@dataclass(frozen=True)
class _Raw:
    """The tiles of a window as they are on disk."""

    window: int
    numbers: tuple[int, ...]
    images: Tensor
    masks: Tensor


@dataclass(frozen=True)
class _Window:
    """The tiles of a window, augmented and encoded."""

    window: int
    rows: dict[int, int]
    images: Tensor
    masks: Tensor
    maps: dict[str, Tensor]


class LiveFeed:
    """Augmented tiles, each encoded once a window for all learners.

    How a tile looks in a window follows from the tile and the window alone, so that a learner sees the same whoever
    learns beside it.

    Args:
        encoder: The frozen encoder, or None where each learner has one of its own.
        tiles: Pixels, labels and nuclei.
        streams: Of all learners; all of one window length.
        wants: What they want together.
        augmentations: What to do to a tile.
        device: Where batches go.
        train_mode: Run the encoder in train mode. Where it `feels_train_mode`, give it one stream only: then features
            depend on what is encoded together.
    """

    def __init__(
        self,
        encoder: TileEncoder | None,
        tiles: CellTiles,
        streams: Sequence[Stream],
        wants: Wants,
        augmentations: Augmentations,
        device: torch.device,
        *,
        train_mode: bool = False,
    ) -> None:
        self.encoder, self.tiles, self.wants = encoder, tiles, wants
        self.augmentations, self.device, self.train_mode = augmentations, device, train_mode
        self._streams = list(streams)
        self._ahead = ThreadPoolExecutor(1)
        self._coming: Future[_Raw] | None = None
        self._now: _Window | None = None
        self.encoded = 0

    def batch(self, stream: Stream, step: int, wants: Wants) -> Batch:
        """The batch of a step; steps must not go back beyond their window."""
        window = self._at(step // stream.window)
        rows = torch.tensor([window.rows[tile] for tile in stream.batch_of(step).tolist()], device=self.device)
        masks = window.masks[rows]
        return Batch(
            masks[:, 0],
            {layer: window.maps[layer][rows] for layer in wants.layers},
            window.images[rows] if wants.images else None,
            masks[:, 1] if wants.instances else None,
            masks[:, 2] if wants.ring_um else None,
        )

    def retire(self, stream: Stream) -> None:
        """Draw no more tiles for a learner that is done."""
        self._streams.remove(stream)

    def close(self) -> None:
        """End the thread that reads ahead."""
        self._ahead.shutdown(wait=True, cancel_futures=True)

    def _at(self, number: int) -> _Window:
        if self._now is None or self._now.window != number:
            raw = self._coming.result() if self._coming else None
            if raw is None or raw.window != number or not self._needed(number) <= set(raw.numbers):
                raw = self._read(number, tuple(sorted(self._needed(number))))
            self._now = None
            self._now = self._prepare(raw)
            upcoming = tuple(sorted(self._needed(number + 1)))
            self._coming = self._ahead.submit(self._read, number + 1, upcoming)
        return self._now

    def _needed(self, number: int) -> set[int]:
        pools: list[NDArray[np.int64]] = [stream.pool(number) for stream in _distinct(self._streams)]
        return set(np.concatenate(pools).tolist()) if pools else set()

    def _read(self, number: int, tiles: tuple[int, ...]) -> _Raw:
        chosen = list(tiles)
        images = torch.from_numpy(self.tiles.load(chosen)).permute(0, 3, 1, 2)
        layers = [self.tiles.labels(chosen), *self._nuclei(chosen)]
        masks = torch.from_numpy(np.stack([layer.astype(np.int32) for layer in layers], 1))
        return _Raw(number, tiles, images, masks)

    def _nuclei(self, chosen: list[int]) -> list[NDArray[Any]]:
        """Nuclei and rings, as far as they are wanted."""
        if not (self.wants.instances or self.wants.ring_um):
            return []
        ids: list[NDArray[Any]] = [self.tiles.instances(chosen)]
        if self.wants.ring_um:
            ids.append(self.tiles.rings(chosen, self.wants.ring_um))
        return _renumbered(ids)

    def _prepare(self, raw: _Raw) -> _Window:
        images, masks, maps = [], [], []
        for start in range(0, len(raw.numbers), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            chances = [_chance(raw.window, tile) for tile in raw.numbers[part]]
            seen, marked = augment_each(
                raw.images[part].to(self.device), raw.masks[part].to(self.device), self.augmentations, chances
            )
            images.append(seen)
            masks.append(marked.long())
            maps.append(self._encode(seen, _seed(raw.window, start)))
        self.encoded += len(raw.numbers)
        rows = {tile: row for row, tile in enumerate(raw.numbers)}
        joined = {layer: torch.cat([part[layer] for part in maps]) for layer in maps[0]}
        return _Window(raw.window, rows, torch.cat(images), torch.cat(masks), joined)

    def _encode(self, images: Tensor, seed: int) -> dict[str, Tensor]:
        """Features in half precision, as the store keeps them."""
        if self.encoder is None or not self.wants.layers:
            return {}
        layers = tuple(dict.fromkeys(self.wants.layers))
        if self.train_mode:
            with _in_train_mode(self.encoder.module), seeded(seed):
                maps = self.encoder.encode(images, layers)
        else:
            self.encoder.module.eval()
            maps = self.encoder.encode(images, layers)
        return {layer: found.half() for layer, found in maps.items()}


def feels_train_mode(module: nn.Module) -> bool:
    """Whether an encoder says something else in train mode: it has batch norms, or drops something."""
    rates = [getattr(m, name, 0.0) for m in module.modules() for name in ("p", "drop_prob", "prob")]
    drops = any(isinstance(rate, int | float) and rate > 0 for rate in rates)
    return drops or any(isinstance(m, _BatchNorm) for m in module.modules())


@contextmanager
def _in_train_mode(module: nn.Module) -> Iterator[None]:
    """Train mode inside, eval mode after it; running statistics stay as they were, for the encoder is frozen."""
    kept = {name: buffer.clone() for name, buffer in module.named_buffers()}
    module.train()
    try:
        yield
    finally:
        module.eval()
        for name, buffer in module.named_buffers():
            buffer.copy_(kept[name])


def _renumbered(ids: list[NDArray[Any]]) -> list[NDArray[Any]]:
    """Ids that single precision, in which they are resampled, tells apart: numbered anew where they are too large."""
    if max(int(layer.max(initial=0)) for layer in ids) < EXACT_IDS:
        return ids
    _, numbers = np.unique(np.concatenate([np.zeros(1, np.int64), *map(np.ravel, ids)]), return_inverse=True)
    return [part.reshape(ids[0].shape) for part in np.split(numbers[1:], len(ids))]


def _distinct(streams: Sequence[Stream]) -> list[Stream]:
    """Streams that draw the same tiles, once."""
    by_draw = {(s.batch, s.window, s.draws, _fingerprint(s.tiles.tobytes() + s.weights.tobytes())): s for s in streams}
    return list(by_draw.values())


def _fingerprint(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _chance(window: int, tile: int) -> torch.Generator:
    return torch.Generator().manual_seed(_seed(window, tile))


def _seed(window: int, number: int) -> int:
    return int(np.random.SeedSequence((window, number)).generate_state(1, np.uint64)[0] >> 1)
