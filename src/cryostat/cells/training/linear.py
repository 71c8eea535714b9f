"""Fitting the linear head on stored token maps.

The head is linear and so is the enlargement to pixels, hence the logits at a pixel are the head's answer to the
features interpolated there. Labelled pixels are drawn once, their features interpolated, and the head trained on
those vectors.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryostat.cells.heads.linear import LinearHead
from cryostat.cells.heads.settings import LinearSettings
from cryostat.cells.protocols import Protocol as Rules
from cryostat.cells.training.classifier import fit_classifier
from cryostat.cells.training.common import IGNORED, Outputs, Standardiser, TrainingLog
from cryostat.core.errors import InputError


class LabelledTiles(Protocol):
    """Tiles with a class at each pixel."""

    @property
    def tile_size(self) -> int:
        """Side of a tile in px."""
        ...

    @property
    def protocol(self) -> Rules:
        """Rules of the tiles."""
        ...

    def labels(self, tiles: Sequence[int]) -> NDArray[np.int16]:
        """(n, S, S) class ids of the given tiles."""
        ...


class TokenMaps(Protocol):
    """Stored features of one layer."""

    def read(self, tiles: Sequence[int]) -> NDArray[Any]:
        """(n, h, w, C) of the given tiles."""
        ...


@dataclass(frozen=True)
class FittedLinear:
    """A linear head with everything needed to apply it.

    Attributes:
        model: The head.
        maps: Token maps of the final layer.
        standardiser: Of the features.
        tile_size: Side of a tile in px.
        device: Where it runs.
        log: What happened during training.
    """

    model: LinearHead
    maps: TokenMaps
    standardiser: Standardiser
    tile_size: int
    device: torch.device
    log: TrainingLog

    @torch.no_grad()
    def probabilities(self, tiles: Sequence[int]) -> Tensor:
        """(n, K, S, S) softmax maps of the given tiles, on the device."""
        tokens = torch.from_numpy(self.standardiser(self.maps.read(tiles))).to(self.device)
        image = tokens.new_empty(1, 3, self.tile_size, self.tile_size)
        probabilities: Tensor = self.model([tokens.permute(0, 3, 1, 2)], image).softmax(1)
        return probabilities


def fit_linear(
    tiles: LabelledTiles,
    maps: TokenMaps,
    train: Sequence[int],
    evaluate: Callable[[FittedLinear], float],
    outputs: Outputs,
    settings: LinearSettings,
    *,
    seed: int,
    device: torch.device,
) -> FittedLinear:
    """Fit the head and keep the weights that were best on the validation part.

    Args:
        tiles: Labels and geometry.
        maps: Token maps of all tiles.
        train: Training tiles.
        evaluate: Macro F1 of a head on the validation part.
        outputs: The classes to tell apart.
        settings: Of the training.
        seed: Seeds the pixels drawn, initialisation and order.
        device: Where to fit.

    Raises:
        InputError: No training pixel has a class.
    """
    features, targets = draw_pixels(tiles, maps, train, outputs, settings.pixels, seed)
    width = features.shape[1]
    standardised = tiles.protocol.training.standardise
    standardiser = Standardiser.fit([features]) if standardised else Standardiser.none(width)

    def fitted(model: Any, log: TrainingLog) -> FittedLinear:
        head = LinearHead(width, len(outputs)).to(device)
        head.classify = model
        return FittedLinear(head.eval(), maps, standardiser, tiles.tile_size, device, log)

    model, log = fit_classifier(
        lambda: nn.Linear(width, len(outputs)),
        standardiser(features),
        targets,
        len(outputs),
        lambda candidate: evaluate(fitted(candidate, TrainingLog())),
        settings,
        seed=seed,
        device=device,
    )
    return fitted(model, log)


def draw_pixels(
    tiles: LabelledTiles, maps: TokenMaps, train: Sequence[int], outputs: Outputs, most: int, seed: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Labelled pixels drawn evenly from the training tiles, and the features interpolated there.

    Args:
        tiles: Labels.
        maps: Token maps.
        train: Training tiles.
        outputs: The classes.
        most: Pixels to draw; all labelled pixels if there are fewer.
        seed: Of the draw.

    Returns:
        (n, C) features and (n,) output numbers.
    """
    chosen = _choose(tiles, train, outputs, most, seed)
    if not chosen:
        raise InputError("no training pixel has a class", remedy="Choose a larger fraction or another split")
    features = [_interpolate(maps.read([tile])[0], y, x, tiles.tile_size) for tile, y, x, _ in chosen]
    return np.concatenate(features), np.concatenate([targets for *_, targets in chosen])


def _choose(
    tiles: LabelledTiles, train: Sequence[int], outputs: Outputs, most: int, seed: int
) -> list[tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    """Tile, rows, columns and targets of the pixels drawn."""
    draw = np.random.default_rng(seed)
    labelled = [(tile, outputs.targets(tiles.labels([tile])[0])) for tile in train]
    total = sum(int((targets != IGNORED).sum()) for _, targets in labelled)
    share = min(1.0, most / max(total, 1))
    return list(_draw(labelled, share, draw))


def _draw(
    labelled: Sequence[tuple[int, NDArray[np.int64]]], share: float, draw: np.random.Generator
) -> Iterator[tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]]:
    for tile, targets in labelled:
        y, x = np.nonzero(targets != IGNORED)
        kept = np.sort(draw.permutation(len(y))[: int(np.ceil(share * len(y)))])
        if len(kept):
            yield tile, y[kept], x[kept], targets[y[kept], x[kept]]


def _interpolate(tokens: NDArray[Any], y: NDArray[np.int64], x: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """(n, C) features at pixels of a tile of side `size`: bilinear, corners not aligned."""
    top, below, down = _neighbours(y, tokens.shape[0] / size, tokens.shape[0])
    left, right, across = _neighbours(x, tokens.shape[1] / size, tokens.shape[1])
    upper = tokens[top, left] * (1 - across) + tokens[top, right] * across
    lower = tokens[below, left] * (1 - across) + tokens[below, right] * across
    interpolated: NDArray[np.float32] = (upper * (1 - down) + lower * down).astype(np.float32)
    return interpolated


def _neighbours(
    pixel: NDArray[np.int64], scale: float, length: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The two tokens on either side of a pixel's centre, and how far it lies towards the second, (n, 1)."""
    place = np.clip((pixel + 0.5) * scale - 0.5, 0, length - 1)
    first = np.floor(place).astype(np.int64)
    return first, np.minimum(first + 1, length - 1), (place - first)[:, None].astype(np.float32)
