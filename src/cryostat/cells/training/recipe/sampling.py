"""Which tiles a step sees: weights that favour tiles of rare classes, and seeded draws."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import SettingError


def pixel_counts(masks: Iterable[NDArray[Any]], outputs: int) -> NDArray[np.int64]:
    """Pixels of each class in each tile.

    Args:
        masks: One integer mask a tile, of any shape, with values 0 to outputs − 1 (negative ones are not counted).
        outputs: K, number of classes with background.

    Returns:
        (n, K) counts.

    Raises:
        SettingError: A mask holds a value of K or more.
    """
    rows = []
    for number, mask in enumerate(masks):
        values = np.asarray(mask).ravel().astype(np.int64)
        counts = np.bincount(values[values >= 0], minlength=outputs)
        if len(counts) > outputs:
            raise SettingError(
                f"mask {number} holds class {len(counts) - 1}, but there are {outputs} outputs",
                remedy="Map class ids to outputs first, or raise the number of outputs",
            )
        rows.append(counts)
    return np.stack(rows).astype(np.int64) if rows else np.zeros((0, outputs), np.int64)


def tile_weights(counts: NDArray[Any], *, background: bool = False) -> NDArray[np.float64]:
    """Weight of each tile: over the classes, its share of all pixels of that class, summed.

    Args:
        counts: (n, K) pixels of each class in each tile; column 0 is background.
        background: Whether background counts as a class, as in the published configurations.

    Returns:
        (n,) weights; they sum to the number of classes that occur.
    """
    used = np.asarray(counts, np.float64)[:, 0 if background else 1 :]
    totals = used.sum(axis=0)
    weights: NDArray[np.float64] = (used[:, totals > 0] / totals[totals > 0]).sum(axis=1)
    return weights


class WeightedSampler:
    """Seeded draws with replacement; each step has draws of its own, so a resumed training sees the same tiles.

    Args:
        weights: (n,) not negative, not all 0; equal weights draw uniformly.
        seed: Parts the draws of one run from those of another.

    Raises:
        SettingError: The weights cannot be drawn from.
    """

    def __init__(self, weights: NDArray[Any], seed: int) -> None:
        weights = np.asarray(weights, np.float64)
        if weights.ndim != 1 or not np.isfinite(weights).all() or (weights < 0).any() or weights.sum() <= 0:
            raise SettingError(
                "the weights of the tiles are not finite, negative or all 0",
                remedy="Check that the training tiles hold nuclei of known class",
            )
        self.probabilities = weights / weights.sum()
        self.seed = seed

    def draw(self, step: int, size: int) -> NDArray[np.int64]:
        """(size,) tile numbers of a step; the same for the same seed, step and size."""
        chance = np.random.default_rng((self.seed, step))
        drawn: NDArray[np.int64] = chance.choice(len(self.probabilities), size, p=self.probabilities)
        return drawn
