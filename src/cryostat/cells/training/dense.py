"""Fitting dense heads on stored token maps."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cryostat.cells.heads.registry import LinearSettings
from cryostat.cells.tiling import CellTiles
from cryostat.cells.training.common import (
    IGNORED,
    BestKeeper,
    Outputs,
    Standardiser,
    TrainingLog,
    adamw,
    class_weights,
    seeded,
)
from cryostat.core.errors import InputError


class TokenMaps(Protocol):
    """Stored features of one layer."""

    def read(self, tiles: Sequence[int]) -> NDArray[Any]:
        """(n, h, w, C) of the given tiles."""
        ...


@dataclass(frozen=True)
class DenseFeatures:
    """Token maps of the layers a head reads, standardised.

    Attributes:
        stores: Layer name to stored features.
        standardisers: Layer name to its standardiser.
        device: Where batches go.
    """

    stores: Mapping[str, TokenMaps]
    standardisers: Mapping[str, Standardiser]
    device: torch.device

    def batch(self, tiles: Sequence[int]) -> dict[str, Tensor]:
        """Layer name to (n, h, w, C) float32 on the device."""
        return {
            layer: torch.from_numpy(self.standardisers[layer](store.read(tiles))).to(self.device)
            for layer, store in self.stores.items()
        }

    @classmethod
    def of(
        cls, stores: Mapping[str, TokenMaps], train: Sequence[int], device: torch.device, *, standardise: bool
    ) -> DenseFeatures:
        """Standardised by the tokens of the training tiles, or left as they are."""
        made = {}
        for layer, store in stores.items():
            width = store.read(train[:1]).shape[-1]
            blocks = _token_blocks(store, train) if standardise else iter(())
            made[layer] = Standardiser.fit(blocks) if standardise else Standardiser.none(width)
        return cls(stores, made, device)


@dataclass(frozen=True)
class FittedDense:
    """A fitted dense head with everything needed to apply it."""

    model: nn.Module
    features: DenseFeatures
    tile_size: int
    log: TrainingLog

    @torch.no_grad()
    def probabilities(self, tiles: Sequence[int]) -> Tensor:
        """(n, K, S, S) softmax maps of the given tiles, on the device."""
        self.model.eval()
        return enlarged(self.model(self.features.batch(tiles)), self.tile_size).softmax(1)


def fit_dense(
    build: Callable[[int], nn.Module],
    tiles: CellTiles,
    features: DenseFeatures,
    train: Sequence[int],
    evaluate: Callable[[FittedDense], float],
    outputs: Outputs,
    settings: LinearSettings,
    *,
    seed: int,
) -> FittedDense:
    """Fit a dense head and keep the weights that were best on the validation part.

    Args:
        build: Makes the head for a token width.
        tiles: Labels and geometry.
        features: Token maps of all tiles.
        train: Training tiles; those without a labelled pixel are left out.
        evaluate: Macro F1 of a fitted head on the validation part.
        outputs: The classes to tell apart.
        settings: Of the training.
        seed: Seeds initialisation and order.

    Raises:
        InputError: No training pixel has a class.
    """
    counts = _pixel_counts(tiles, train, outputs)
    useful = [tile for tile, row in zip(train, counts, strict=True) if row.any()]
    if not useful:
        raise InputError("no training pixel has a class", remedy="Choose a larger fraction or another split")
    weights = class_weights(counts.sum(0), settings.balance).to(features.device)
    with seeded(seed):
        width = features.batch(useful[:1])["final"].shape[-1]
        fitted = FittedDense(build(width).to(features.device), features, tiles.tile_size, TrainingLog())
        keeper = BestKeeper(fitted.model, settings.patience)
        _train(fitted, keeper, tiles, useful, weights, outputs, settings, evaluate)
    keeper.restore()
    keeper.log.optimised = [name for name, _ in fitted.model.named_parameters()]
    return FittedDense(fitted.model, features, tiles.tile_size, keeper.log)


def _train(
    fitted: FittedDense,
    keeper: BestKeeper,
    tiles: CellTiles,
    train: Sequence[int],
    weights: Tensor,
    outputs: Outputs,
    settings: LinearSettings,
    evaluate: Callable[[FittedDense], float],
) -> None:
    model, device = fitted.model, fitted.features.device
    optimiser, schedule = adamw(model, settings.lr, settings.weight_decay, settings.steps)
    loss_sum, batches = 0.0, _batches(train, settings.batch)
    for step in range(1, settings.steps + 1):
        chosen = next(batches)
        targets = torch.from_numpy(outputs.targets(tiles.labels(chosen))).to(device)
        model.train()
        logits, answers = at_labelled_pixels(model(fitted.features.batch(chosen)), targets, settings.pixels)
        loss = F.cross_entropy(logits, answers, weights, label_smoothing=settings.label_smoothing)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        loss_sum += float(loss.detach())
        if step % settings.validate_every == 0 or step == settings.steps:
            if keeper.look(step, evaluate(fitted), loss_sum / settings.validate_every):
                return
            loss_sum = 0.0


def enlarged(logits: Tensor, size: int) -> Tensor:
    """(N, K, h, w) logits to (N, K, size, size), bilinear, corners not aligned."""
    if logits.shape[-1] == size:
        return logits
    return F.interpolate(logits, size=(size, size), mode="bilinear", align_corners=False)


def at_labelled_pixels(logits: Tensor, targets: Tensor, most: int = 0) -> tuple[Tensor, Tensor]:
    """What `enlarged` logits are at labelled pixels, without enlarging the rest.

    Args:
        logits: (N, K, h, w), of the head's own resolution.
        targets: (N, S, S) output numbers, `IGNORED` elsewhere.
        most: Pixels to draw at random if there are more; 0 for all.

    Returns:
        (n, K) logits and (n,) targets.
    """
    size = targets.shape[-1]
    where = torch.nonzero(targets != IGNORED)
    if most and len(where) > most:
        where = where[torch.randperm(len(where))[:most].to(where.device)]
    tile, y, x = where.unbind(1)
    height, width = logits.shape[-2:]
    top, below, down = _neighbours(y, height / size, height)
    left, right, across = _neighbours(x, width / size, width)
    by_pixel = logits.permute(0, 2, 3, 1)
    upper = torch.lerp(by_pixel[tile, top, left], by_pixel[tile, top, right], across)
    lower = torch.lerp(by_pixel[tile, below, left], by_pixel[tile, below, right], across)
    return torch.lerp(upper, lower, down), targets[tile, y, x]


def _neighbours(pixel: Tensor, scale: float, length: int) -> tuple[Tensor, Tensor, Tensor]:
    """The two samples on either side of a pixel's centre, and how far it lies towards the second, (n, 1)."""
    place = ((pixel + 0.5) * scale - 0.5).clamp(0, length - 1)
    first = place.floor().long()
    return first, (first + 1).clamp(max=length - 1), (place - first)[:, None]


def _batches(train: Sequence[int], size: int) -> Iterator[list[int]]:
    """Shuffled batches without end; tiles of a batch in ascending order, for locality on disk."""
    while True:
        for rows in torch.randperm(len(train)).split(size):
            yield sorted(train[i] for i in rows.tolist())


def _pixel_counts(tiles: CellTiles, train: Sequence[int], outputs: Outputs) -> NDArray[np.int64]:
    """(tiles, K) labelled pixels of each class in each tile."""
    rows = [outputs.targets(tiles.labels([tile])) for tile in train]
    return np.stack([np.bincount(r[r != IGNORED], minlength=len(outputs)) for r in rows])


def _token_blocks(store: TokenMaps, train: Sequence[int]) -> Iterator[NDArray[Any]]:
    for start in range(0, len(train), 32):
        block = store.read(train[start : start + 32])
        yield block.reshape(-1, block.shape[-1])
