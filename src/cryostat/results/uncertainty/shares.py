"""Scores between 0 and 1 from few, unequal clusters: intervals of log-odds, and of means of such scores."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, expit, logit, stdtrit

from cryostat.results.uncertainty.intervals import LEVEL, Estimates
from cryostat.results.uncertainty.jackknife import influences

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Shares:
    """Scores between 0 and 1, such as the F1 of classes, and how far each cluster moves them.

    Attributes:
        value: (m,) the scores.
        left_out: (clusters, m) the scores with one cluster left out, none undefined.
        effective: (m,) effective number of clusters that each rests on; NaN where it rests on none.
        freedom: (m,) degrees of freedom of each standard error.
    """

    value: Floats
    left_out: Floats
    effective: Floats
    freedom: Floats

    @property
    def moved(self) -> Floats:
        """(clusters, m) by how much each cluster moves each score, as `influences`."""
        return influences(self.left_out)

    @property
    def error(self) -> Floats:
        """(m,) jackknife standard errors; 0 where clusters are alike, or where there is but one."""
        found = np.sqrt((self.moved**2).sum(0))
        # What is left of equal numbers in the last bits is no spread.
        return np.where(found > 1e-12, found, 0.0)

    @property
    def alone(self) -> NDArray[np.bool_]:
        """(m,) which rest on one cluster, so that nothing tells how clusters differ."""
        return self.effective <= 1 + 1e-9

    @property
    def edge(self) -> NDArray[np.bool_]:
        """(m,) which are 0 or 1, but for the last bits, over some clusters."""
        near: NDArray[np.bool_] = np.minimum(self.value, 1 - self.value) < 1e-9
        return near & ~np.isnan(self.effective)

    def reach(self, level: float) -> Floats:
        """(m,) half the width of each interval in log-odds; 0 where there is no spread."""
        steep = self.value * (1 - self.value)
        known = (self.error > 0) & ~self.edge & ~self.alone
        t = stdtrit(np.where(known, np.maximum(1.0, self.freedom), 1.0), (1 + level) / 2)
        reach: Floats = np.divide(t * self.error, steep, out=np.zeros_like(steep), where=known)
        return reach


def share_intervals(shares: Shares, level: float = LEVEL) -> Estimates:
    """Student's intervals of log-odds at the jackknife's width.

    The log-odds of an F1 are the logarithm of a ratio, of hits to errors: they are skewed less than the F1, and their
    intervals stay between 0 and 1. At 0 and at 1 clusters are alike whatever the truth: the interval is then that of
    Clopper and Pearson for as many observations as there are clusters (after Korn and Graubard, Survey Methodology
    1998, who count observations so in clustered samples). Clusters that are alike elsewhere leave no width.

    Returns:
        The intervals; NaN for what is undefined or rests on one cluster or on none.
    """
    reach, value = shares.reach(level), shares.value
    low, high = (expit(_log_odds(value) + side * reach) for side in (-1, 1))
    tails = np.array([[(1 - level) / 2], [(1 + level) / 2]])
    least, most = _binomial(np.broadcast_to(tails, (2, len(value))), shares)
    ends = np.where(shares.edge, least, low), np.where(shares.edge, most, high)
    unknown = np.isnan(value) | shares.alone | np.isnan(shares.effective)
    low, high = (np.where(unknown, np.nan, end) for end in ends)
    return Estimates(np.asarray(value, np.float64), low, high, len(shares.left_out), level)


def share_draws(shares: Shares, drawn: NDArray[Any], *, level: float = LEVEL, seed: int = 0) -> Floats:
    """Scores of resamples, stretched in log-odds so that they are as wide as the interval of each score.

    Resamples of few clusters are too narrow, and miss what one cluster holds. What rests on one cluster varies as
    widely as one observation allows, by itself.

    Args:
        shares: The scores.
        drawn: (B, clusters) how often each cluster is drawn.
        level: Coverage of the intervals that they are made for.
        seed: Of what is drawn besides.

    Returns:
        (B, m); the value itself of scores that rest on no cluster.
    """
    reach, moves = shares.reach(level), (drawn - 1) @ shares.moved
    low, high = np.quantile(moves, [(1 - level) / 2, (1 + level) / 2], axis=0)
    stretch = np.divide(2 * reach, high - low, out=np.zeros_like(reach), where=(reach > 0) & (high > low))
    found: Floats = expit(_log_odds(shares.value) + moves * stretch)
    flat = ~(reach > 0)
    found[:, flat] = shares.value[flat]
    loose = np.flatnonzero(shares.edge | shares.alone)
    part = Shares(shares.value[loose], shares.left_out[:, loose], shares.effective[loose], shares.freedom[loose])
    found[:, loose] = _binomial(np.random.default_rng(seed).random((len(drawn), len(loose))), part)
    return found


def mean_interval(value: float, draws: Floats, weights: Floats, level: float = LEVEL) -> tuple[float, float]:
    """The interval of a weighted mean of scores.

    Args:
        value: The mean that was measured.
        draws: (B, m) from `share_draws`.
        weights: (m,) of the mean; those of undefined scores are 0.
        level: Coverage wanted.

    Returns:
        Its ends, between 0 and 1 and about the value.
    """
    means = draws[:, weights > 0] @ weights[weights > 0]
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return float(max(0.0, min(low, value))), float(min(1.0, max(high, value)))


def _log_odds(value: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = logit(value)
    return found


def _binomial(chance: Floats, shares: Shares) -> Floats:
    """(B, m) quantiles between Clopper's and Pearson's ends, taking each cluster for one observation."""
    n = np.maximum(1.0, shares.effective)
    hits, misses = n * shares.value, n * (1 - shares.value)
    with np.errstate(invalid="ignore"):
        below = np.where(hits > 0, betaincinv(hits, misses + 1, chance), 0.0)
        above = np.where(misses > 0, betaincinv(hits + 1, misses, chance), 1.0)
    found: Floats = np.where(chance < 0.5, below, above)
    return found
