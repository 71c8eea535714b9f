"""How often each cluster is drawn: resamples and exchanges as matrices of weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def resample(clusters: int, draws: int, seed: int = 0) -> NDArray[np.float32]:
    """Draw clusters with replacement, as many as there are.

    Args:
        clusters: How many clusters there are.
        draws: How many resamples to draw.
        seed: The same seed draws the same clusters, so that two models are compared on the same resamples.

    Returns:
        (draws, clusters) how often each is drawn; rows sum to `clusters`.
    """
    rng = np.random.default_rng(seed)
    drawn = rng.integers(clusters, size=(draws, clusters)) if clusters else np.zeros((draws, 0), np.int64)
    drawn += np.arange(draws)[:, None] * clusters
    counts = np.bincount(drawn.ravel(), minlength=draws * clusters)
    return counts.reshape(draws, clusters).astype(np.float32)


def exchanges(clusters: int, draws: int, seed: int = 0) -> NDArray[np.float32]:
    """Toss a coin for each cluster: whether two models exchange their predictions in it.

    Returns:
        (draws, clusters) 0 or 1. Where there are no more than `draws` ways, all of them, each once.
    """
    if can_enumerate(clusters, draws):
        ways = np.arange(2**clusters)[:, None] >> np.arange(clusters)
        return (ways & 1).astype(np.float32)
    rng = np.random.default_rng(seed)
    return rng.integers(2, size=(draws, clusters), dtype=np.int8).astype(np.float32)


def can_enumerate(clusters: int, draws: int) -> bool:
    """Whether there are no more ways to exchange clusters than draws."""
    return clusters < 31 and 2**clusters <= draws
