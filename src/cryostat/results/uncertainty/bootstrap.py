"""The cluster bootstrap from sufficient statistics: resamples are one matrix product, whatever the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError
from cryostat.results.uncertainty.intervals import LEVEL, Estimates, interval
from cryostat.results.uncertainty.resampling import resample

Metric = Callable[[NDArray[np.float64]], NDArray[np.float64]]
"""From summed statistics (..., k) to scores (...) or (..., m)."""

DRAWS = 10_000
"""Resamples by default: the ends of an interval then move by about a hundredth of its width from seed to seed."""


def bootstrap(
    statistics: NDArray[Any],
    metric: Metric,
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    method: str = "percentile",
    seed: int = 0,
) -> Estimates:
    """Score, with intervals from resampled clusters.

    Args:
        statistics: (clusters, k) what each cluster adds to the sums, such as its flattened confusion matrix.
        metric: From the sums to scores.
        draws: How many resamples.
        level: Coverage wanted.
        method: Of `intervals.METHODS`.
        seed: Of the resamples.

    Returns:
        Scores of the whole, and their intervals; NaN intervals for fewer than two clusters.

    Raises:
        InputError: There is no cluster, or the statistics are no matrix.
    """
    check_statistics(statistics)
    total = statistics.sum(0)
    resampled = metric(resample(len(statistics), draws, seed).astype(statistics.dtype) @ statistics)
    left_out = metric(total - statistics) if method == "bca" else None
    return interval(metric(total), resampled, len(statistics), level=level, method=method, jackknife=left_out)


def check_statistics(*tables: NDArray[Any]) -> None:
    """Refuse statistics that are no matrices, are empty, or are not of the same clusters.

    Raises:
        InputError: One of them is so.
    """
    shapes = {table.shape for table in tables}
    if len(shapes) != 1 or any(len(shape) != 2 or shape[0] == 0 for shape in shapes):
        raise InputError(
            f"has the shape{'s' * (len(shapes) > 1)} {', '.join(map(str, sorted(shapes)))}",
            where="statistics of clusters",
            remedy="Give one row a cluster, at least one, and the same rows for everything that is compared",
        )
