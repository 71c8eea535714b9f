"""Two models on the same clusters: the interval of their difference, and an exchange test of whether there is one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.results.uncertainty.bootstrap import DRAWS, Metric, check_statistics
from cryostat.results.uncertainty.intervals import LEVEL, Estimates, interval
from cryostat.results.uncertainty.resampling import can_enumerate, exchanges, resample


@dataclass(frozen=True, eq=False)
class Difference:
    """How much one model scores above another.

    Attributes:
        first: Scores of the first model.
        second: Scores of the second.
        difference: First less second, with the interval from resampled clusters.
        p_value: Share of exchanges with a difference at least as large, two-sided; NaN where undefined.
    """

    first: NDArray[np.float64]
    second: NDArray[np.float64]
    difference: Estimates
    p_value: NDArray[np.float64]


def paired_difference(
    first: NDArray[Any],
    second: NDArray[Any],
    metric: Metric,
    *,
    draws: int = DRAWS,
    level: float = LEVEL,
    seed: int = 0,
) -> Difference:
    """Compare two models on the same clusters.

    Args:
        first: (clusters, k) statistics of the first model.
        second: (clusters, k) of the second, same clusters in the same order.
        metric: From the sums to scores.
        draws: How many resamples, and how many exchanges.
        level: Coverage of the interval.
        seed: Of both.

    Raises:
        InputError: The statistics are not of the same clusters.
    """
    check_statistics(first, second)
    total, other = first.sum(0), second.sum(0)
    one, two = np.asarray(metric(total)), np.asarray(metric(other))
    weights = resample(len(first), draws, seed).astype(first.dtype)
    resampled = metric(weights @ first) - metric(weights @ second)
    moved = exchanges(len(first), draws, seed + 1).astype(first.dtype) @ (second - first)
    exchanged = metric(total + moved) - metric(other - moved)
    return Difference(
        one,
        two,
        interval(one - two, resampled, len(first), level=level),
        exchange_p(one - two, exchanged, complete=can_enumerate(len(first), draws)),
    )


def exchange_p(
    difference: NDArray[Any], exchanged: NDArray[Any], *, complete: bool = False, slack: float = 1e-9
) -> NDArray[np.float64]:
    """Two-sided p-value: how often an exchange makes a difference at least as large as the one found.

    Args:
        difference: (...) what was found.
        exchanged: (B, ...) the same after each exchange.
        complete: All exchanges are among them, and so is the one that changes nothing; else it is added, as it must
            be for the test to hold its level.
        slack: Differences that are closer are the same: sums in another order may differ in the last bits.
    """
    as_large = (np.abs(exchanged) >= np.abs(difference) - slack).sum(0)
    p = as_large / len(exchanged) if complete else (as_large + 1) / (len(exchanged) + 1)
    return np.where(np.isnan(difference), np.nan, p)
