"""Texture of a region: how grey levels lie beside one another, in three dimensions."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from cryostat.encoders.volume.stats.intensity import BINS

TEXTURE = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation", "entropy [bit]")
"""Names of what `haralick` gives."""

DIRECTIONS = tuple(d for d in itertools.product((-1, 0, 1), repeat=3) if d > (0, 0, 0))
"""The thirteen directions from a voxel to its neighbours, each with its opposite counted once."""


def cooccurrence(
    grey: NDArray[np.intp], mask: NDArray[np.bool_], distance: int = 1, bins: int = BINS
) -> NDArray[np.float64]:
    """(bins, bins) symmetric share of the pairs of grey levels at a distance, over the thirteen directions.

    Args:
        grey: (X, Y, Z) levels from 0 to bins − 1, voxels of equal spacing.
        mask: True inside the region; both voxels of a pair must be.
        distance: Voxels between the two, along each axis of the direction.
        bins: Number of levels.

    Returns:
        Its sum is 1, or 0 where the region holds no pair.
    """
    counts = np.zeros(bins * bins)
    for direction in DIRECTIONS:
        here, there = _shifted(grey.shape, [d * distance for d in direction])
        both = mask[here] & mask[there]
        counts += np.bincount(grey[here][both] * bins + grey[there][both], minlength=bins * bins)
    pairs = counts.reshape(bins, bins)
    pairs = pairs + pairs.T
    return np.asarray(pairs / max(pairs.sum(), 1.0))


def _shifted(shape: tuple[int, ...], offset: list[int]) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Where the first and the second voxel of every pair lie."""
    here = tuple(slice(max(-o, 0), max(n - max(o, 0), 0)) for n, o in zip(shape, offset, strict=True))
    there = tuple(slice(max(o, 0), max(n - max(-o, 0), 0)) for n, o in zip(shape, offset, strict=True))
    return here, there


def haralick(pairs: NDArray[np.float64]) -> NDArray[np.float64]:
    """TEXTURE of a co-occurrence matrix; zeros where it is empty, correlation 1 where all levels are equal."""
    if not pairs.any():
        return np.zeros(len(TEXTURE))
    first, second = np.indices(pairs.shape)
    gap = first - second
    mean = (first * pairs).sum()
    variance = ((first - mean) ** 2 * pairs).sum()
    covariance = ((first - mean) * (second - mean) * pairs).sum()
    used = pairs[pairs > 0]
    return np.array(
        [
            (gap**2 * pairs).sum(),
            (abs(gap) * pairs).sum(),
            (pairs / (1 + gap**2)).sum(),
            np.sqrt((pairs**2).sum()),
            covariance / variance if variance > 0 else 1.0,
            abs((used * np.log2(used)).sum()),
        ]
    )
