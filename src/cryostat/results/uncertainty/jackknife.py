"""Intervals for clusters of unlike sizes: the bootstrap's shape, the jackknife's width."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from cryostat.results.uncertainty.intervals import LEVEL, Estimates

FEW = 6
"""Below as many clusters there are too few different resamples to tell a shape: the interval is Student's."""


def influences(left_out: NDArray[Any]) -> NDArray[np.float64]:
    """By how much each cluster moves a score, so that the sum is 0 and the sum of squares the jackknife's variance.

    Args:
        left_out: (clusters, m) scores with one cluster left out, none undefined.

    Returns:
        (clusters, m).
    """
    number = max(1, len(left_out))
    moved: NDArray[np.float64] = np.sqrt((number - 1) / number) * (left_out.mean(0) - left_out)
    return moved


def standard_error(left_out: NDArray[Any]) -> NDArray[np.float64]:
    """Jackknife standard errors.

    Args:
        left_out: (clusters, m) scores with one cluster left out; undefined ones are passed over.

    Returns:
        (m,) NaN where fewer than two are defined.
    """
    known = ~np.isnan(left_out)
    number = known.sum(0)
    enough = number > 1
    mean = np.where(known, left_out, 0).sum(0) / np.maximum(1, number)
    squares = np.where(known, (left_out - mean) ** 2, 0).sum(0)
    return np.where(enough, np.sqrt((number - 1) / np.maximum(1, number) * squares), np.nan)


def jackknife_interval(
    value: NDArray[Any],
    draws: NDArray[Any],
    left_out: NDArray[Any],
    effective: ArrayLike,
    *,
    level: float = LEVEL,
    bounds: tuple[float, float] = (-np.inf, np.inf),
    freedom: ArrayLike | None = None,
) -> Estimates:
    """Percentiles of resampled values, moved onto the value, at the width that the jackknife and Student's t ask for.

    Where few clusters hold most of the cells, resamples are too narrow and lie to one side, and the number of clusters
    says too much; the effective number stands in for it (Carter, Schnepel and Steigerwald, Review of Economics and
    Statistics 2017). Resamples are stretched rather than read further out, as those of few clusters end soon.

    Args:
        value: (m,) what was measured.
        draws: (B, m) the same on each resample of the clusters; undefined ones are passed over.
        left_out: (clusters, m) the same with one cluster left out.
        effective: (m,) or one for all, the effective number of clusters.
        level: Coverage wanted.
        bounds: Least and largest value there is.
        freedom: (m,) or one for all, degrees of freedom; by default one less than the effective number.

    Returns:
        The intervals; NaN where the value is undefined or rests on one cluster.
    """
    numbers = np.broadcast_to(np.asarray(effective, np.float64), value.shape)
    degrees = np.broadcast_to(np.asarray(numbers - 1 if freedom is None else freedom, np.float64), value.shape)
    errors = standard_error(left_out)
    ends = np.full((2, len(value)), np.nan)
    for i in np.flatnonzero(~np.isnan(value) & ~np.isnan(errors) & (numbers > 1 + 1e-9)):
        reach = stdtrit(max(1.0, degrees[i]), (1 + level) / 2) * errors[i]
        shape = _shape(draws[:, i], reach, level) if len(left_out) >= FEW else (-reach, reach)
        ends[:, i] = np.clip(value[i] + np.array(shape), *bounds)
    return Estimates(np.asarray(value, np.float64), ends[0], ends[1], len(left_out), level)


def _shape(draws: NDArray[Any], reach: float, level: float) -> tuple[float, float]:
    """How far an interval reaches below and above the median of resamples, were these as wide as they should be."""
    known = draws[~np.isnan(draws)]
    spread = float(known.std()) if len(known) else 0.0
    if not spread:
        return 0.0, 0.0
    low, middle, high = np.quantile(known, [(1 - level) / 2, 0.5, (1 + level) / 2])
    stretch = reach / (spread * ndtri((1 + level) / 2))
    return float(stretch * (low - middle)), float(stretch * (high - middle))
