"""Columns of numbers from outside, dirt and all, standardised by the training rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

NORMAL_QUARTILES = 1.349
"""Quartile distance of a normal distribution in standard deviations."""

CONSTANT = 1e-6
"""Spread, relative to the largest value, below which a float32 column does not vary."""


@dataclass(frozen=True, eq=False)
class Columns:
    """How the columns of a modality are used, learnt from training rows.

    Attributes:
        kept: (k,) int: columns that are known and vary in training.
        median: (k,) put in place of unknown numbers.
        low: (k,) values below are set to it.
        high: (k,) values above are set to it.
        mean: (k,) of the training rows after that.
        spread: (k,) their standard deviation.
    """

    kept: NDArray[np.intp]
    median: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    mean: NDArray[np.float64]
    spread: NDArray[np.float64]

    @classmethod
    def learnt(cls, values: NDArray[np.float32], *, clip: float, least_known: float) -> Columns:
        """From training rows.

        Args:
            values: (n, d), unknown numbers NaN or infinite.
            clip: Robust standard deviations from the median beyond which values are drawn in; 0: never.
            least_known: Share of the rows in which a column must be known.
        """
        x = finite(values)
        count = (~np.isnan(x)).sum(0)
        known = np.flatnonzero(count >= max(1.0, least_known * len(x))) if len(x) else np.zeros(0, np.intp)
        x, count = x[:, known], count[known]
        lower, median, upper = quantiles(x, count, (0.25, 0.5, 0.75))
        x = np.where(np.isnan(x), median, x)
        low, high = _limits(x, lower, median, upper, clip)
        x = np.clip(x, low, high)
        mean, spread = (x.mean(0), x.std(0)) if len(x) else (median, median)
        varying = spread > CONSTANT * np.abs(x).max(0, initial=0)
        return cls(known[varying], *(part[varying] for part in (median, low, high, mean, spread)))

    def standardised(self, values: NDArray[np.float32]) -> NDArray[np.float64]:
        """(n, k) of (n, d): 0 is the training mean, 1 its standard deviation."""
        x = finite(values[:, self.kept])
        x = np.clip(np.where(np.isnan(x), self.median, x), self.low, self.high)
        found: NDArray[np.float64] = (x - self.mean) / self.spread
        return found


def finite(values: NDArray[np.float32]) -> NDArray[np.float64]:
    """In double precision, infinities as unknown."""
    x = values.astype(np.float64)
    x[~np.isfinite(x)] = np.nan
    return x


def quantiles(
    x: NDArray[np.float64], count: NDArray[np.intp], shares: tuple[float, ...]
) -> tuple[NDArray[np.float64], ...]:
    """Quantiles of each column, linear between values, unknown numbers passed over; all columns at once.

    Args:
        x: (n, k), NaN where unknown.
        count: (k,) known numbers in each, at least 1.
        shares: Which quantiles.
    """
    ordered, column = np.sort(x, 0), np.arange(x.shape[1])  # NaN is sorted to the end
    places = [share * (count - 1) for share in shares]
    below = [np.floor(place).astype(np.intp) for place in places]
    above = [np.ceil(place).astype(np.intp) for place in places]
    return tuple(
        ordered[b, column] + (p - b) * (ordered[a, column] - ordered[b, column])
        for p, b, a in zip(places, below, above, strict=True)
    )


def _limits(
    x: NDArray[np.float64],
    lower: NDArray[np.float64],
    median: NDArray[np.float64],
    upper: NDArray[np.float64],
    clip: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if clip <= 0 or not len(x):
        return np.full_like(median, -np.inf), np.full_like(median, np.inf)
    robust = (upper - lower) / NORMAL_QUARTILES
    # More than half of the rows alike: quartiles say nothing of the spread.
    width = clip * np.where(robust > 0, robust, x.std(0))
    return median - width, median + width
