"""From resampled values to intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri, stdtrit

from cryostat.core.errors import SettingError

LEVEL = 0.95
"""Coverage that an interval is made for."""

METHODS = ("percentile", "centred", "bca")
"""Kinds of intervals: expanded percentiles (the default), the same of draws moved onto the value (for what resampling
inflates, such as calibration errors), bias-corrected and accelerated ones."""


@dataclass(frozen=True)
class Estimate:
    """A value and its interval; NaN where undefined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, eq=False)
class Estimates:
    """Values and their intervals.

    Attributes:
        value: Values of any shape, a scalar included.
        low: Lower ends, same shape.
        high: Upper ends, same shape.
        clusters: How many clusters were resampled.
        level: Coverage that the intervals are made for.
    """

    value: NDArray[np.float64]
    low: NDArray[np.float64]
    high: NDArray[np.float64]
    clusters: int
    level: float = LEVEL

    def at(self, *index: int) -> Estimate:
        """One of them; of a scalar without an index."""
        return Estimate(float(self.value[index]), float(self.low[index]), float(self.high[index]))


def tails(clusters: int, level: float = LEVEL) -> tuple[float, float]:
    """The percentiles that bound an interval, widened for few clusters.

    A resample is too narrow by sqrt((n - 1) / n) and takes the spread as known; the widening undoes both (Hesterberg,
    The American Statistician 2015), and vanishes for many clusters.

    Raises:
        SettingError: The level is not between 0 and 1.
    """
    if not 0 < level < 1:
        raise SettingError(f"level {level} of an interval", remedy="Choose a level between 0 and 1, such as 0.95")
    if clusters < 2:
        return 0.0, 1.0
    reach = np.sqrt(clusters / (clusters - 1)) * stdtrit(clusters - 1, (1 - level) / 2)
    low = float(ndtr(reach))
    return low, 1 - low


def interval(
    value: NDArray[Any],
    draws: NDArray[Any],
    clusters: int,
    *,
    level: float = LEVEL,
    method: str = "percentile",
    jackknife: NDArray[Any] | None = None,
) -> Estimates:
    """Intervals from resampled values. Undefined draws are passed over.

    Args:
        value: (...) what was measured.
        draws: (B, ...) the same on each resample.
        clusters: How many clusters were resampled.
        level: Coverage wanted.
        method: Of `METHODS`.
        jackknife: (clusters, ...) the same with one cluster left out; needed by `bca`.

    Raises:
        SettingError: There is no such method, or it lacks the jackknife values.
    """
    measured = np.asarray(value, np.float64)
    if method == "bca":
        low, high = _bca(measured, draws, clusters, level, jackknife)
    elif method in METHODS:
        at = tails(clusters, level)
        low, middle, high = _quantiles(draws, (at[0], 0.5, at[1]))
    else:
        raise SettingError(f"there is no interval {method!r}", remedy=f"Choose one of: {', '.join(METHODS)}")
    if method == "centred":
        low, high = low + measured - middle, high + measured - middle
    unknown = np.isnan(measured) | (clusters < 2)
    return Estimates(measured, np.where(unknown, np.nan, low), np.where(unknown, np.nan, high), clusters, level)


def _quantiles(draws: NDArray[Any], at: Sequence[float]) -> NDArray[np.float64]:
    """(len(at), ...) quantiles of what is defined; NaN where nothing is."""
    found = np.full((len(at), *draws.shape[1:]), np.nan)
    if not np.isnan(draws).any():
        return np.quantile(draws, at, axis=0) if len(draws) else found
    known = ~np.isnan(draws).all(0)
    found[:, known] = np.nanquantile(draws[:, known], at, axis=0)
    return found


def _bca(
    value: NDArray[np.float64], draws: NDArray[Any], clusters: int, level: float, jackknife: NDArray[Any] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    if jackknife is None:
        raise SettingError("a bca interval needs jackknife values", remedy="Choose the percentile interval")
    # Half of the ties count as below: scores take few values in small samples.
    below = (draws < value).mean(0) + (draws == value).mean(0) / 2
    bias = ndtri(np.clip(below, 1 / (2 * len(draws)), 1 - 1 / (2 * len(draws))))
    change = np.nanmean(jackknife, 0) - jackknife
    scale = 6 * np.nansum(change**2, 0) ** 1.5
    acceleration = np.divide(np.nansum(change**3, 0), scale, out=np.zeros_like(scale), where=scale > 0)
    ends = []
    for tail in tails(clusters, level):
        reach = bias + ndtri(tail)
        ends.append(ndtr(bias + reach / (1 - acceleration * reach)))
    flat = draws.reshape(len(draws), -1)
    found = [[np.nanquantile(column, q) for column, q in zip(flat.T, np.ravel(end), strict=True)] for end in ends]
    low, high = (np.array(end).reshape(value.shape) for end in found)
    return low, high
