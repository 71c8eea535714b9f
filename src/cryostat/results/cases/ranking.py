"""What ranking metrics need to be resampled without sorting again."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def pair_wins(score: NDArray[Any], positive: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How often a positive stands above a negative, over replicates.

    Args:
        score: (R, n).
        positive: (n,), the same in all replicates.

    Returns:
        (P, N) share of replicates, ties half. With weights u of positives and v of negatives the mean area under the
        ROC curve is u · wins · v / (Σu · Σv).
    """
    wins = np.zeros((int(positive.sum()), int((~positive).sum())), np.float32)
    for one in score:
        above, below = one[positive][:, None], one[~positive]
        wins += above > below
        wins += 0.5 * (above == below)
    return wins / np.float32(len(score))


def precision_changes(score: NDArray[Any], positive: NDArray[np.bool_]) -> tuple[float, NDArray[np.float64]]:
    """Average precision and its derivative by each row's weight, at equal weights.

    With T and A the weights of positives and of all at or above a positive's score, the average precision is the mean
    of T / A over the P positives. Raising the weight of a row k changes it through its own term, through P, and through
    T and A of each positive at or below k.

    Args:
        score: (R, n).
        positive: (n,), the same in all replicates, at least one.

    Returns:
        Mean over replicates of the average precision, and (n,) of its derivatives, which sum to 0.
    """
    count = int(positive.sum())
    every = len(positive) + 1 - rankdata(score, "min", axis=-1)
    own = np.full(score.shape, np.nan)
    own[:, positive] = count + 1 - rankdata(score[:, positive], "min", axis=-1)
    ratio = own / every
    value = ratio[:, positive].mean(1, keepdims=True)
    through_all = _sum_at_or_below(score, np.where(positive, own / every**2, 0.0))
    through_hits = _sum_at_or_below(score, np.where(positive, 1 / every, 0.0))
    change = -through_all + np.where(positive, through_hits + ratio - value, 0.0)
    return float(value.mean()), change.mean(0) / count


def _sum_at_or_below(score: NDArray[Any], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(R, n) for each row the sum of `values` over the rows whose score is not higher."""
    order = np.argsort(score, axis=-1, kind="stable")
    sums = np.cumsum(np.take_along_axis(values, order, -1), -1)
    last = rankdata(score, "max", axis=-1).astype(np.int64) - 1
    found: NDArray[np.float64] = np.take_along_axis(sums, last, -1)
    return found
