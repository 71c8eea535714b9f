"""Statistics of the grey values of a region."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

BINS = 32
"""Grey levels between the two ends of a brain's grey values."""

ENDS = (0.5, 99.5)
"""Percentiles of the brain taken as these ends."""

STATISTICS = (
    "mean [IQR]",
    "standard deviation [IQR]",
    "skewness",
    "excess kurtosis",
    "percentile 10 [IQR]",
    "percentile 50 [IQR]",
    "percentile 90 [IQR]",
    "interquartile range [IQR]",
    "entropy [bit]",
    "uniformity",
)
"""Names of what `statistics` gives, with their units; IQR: interquartile range of the healthy brain."""


def standardised(data: NDArray[np.float64], brain: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Grey values as distances from the brain's median in its interquartile ranges: free of the scanner's scale.

    Args:
        data: (X, Y, Z) voxels.
        brain: The voxels to compare with; its standard deviation stands in where half of them are equal.
    """
    inside = data[brain]
    low, middle, high = np.percentile(inside, (25, 50, 75))
    scale = (high - low) or inside.std()
    return np.asarray((data - middle) / (scale or 1.0))


def levels(data: NDArray[np.float64], brain: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Grey values as 0 … 31, in equal steps between two percentiles of the brain."""
    low, high = np.percentile(data[brain], ENDS)
    return binned(data, low, high)


def binned(data: NDArray[np.float64], low: float, high: float) -> NDArray[np.intp]:
    """Grey values as 0 … 31, in equal steps from `low` to `high`, those beyond at the ends."""
    scaled = (data - low) / ((high - low) or 1.0)
    return np.clip(np.floor(scaled * BINS), 0, BINS - 1).astype(np.intp)


def statistics(values: NDArray[np.float64], grey: NDArray[np.intp]) -> NDArray[np.float64]:
    """STATISTICS of a region.

    Args:
        values: (N,) standardised grey values, at least one.
        grey: (N,) the same as levels.
    """
    mean, spread = values.mean(), values.std()
    centred = (values - mean) / (spread or 1.0)
    skewness = (centred**3).mean()
    kurtosis = (centred**4).mean() - 3 if spread else 0.0
    p10, p25, p50, p75, p90 = np.percentile(values, (10, 25, 50, 75, 90))
    share = np.bincount(grey, minlength=BINS) / len(grey)
    used = share[share > 0]
    entropy = -(used * np.log2(used)).sum()
    return np.array(
        [mean, spread, skewness, kurtosis, p10, p50, p90, p75 - p25, abs(entropy), (share**2).sum()], dtype=float
    )
