"""How sure a score is: cluster bootstrap, paired differences. Knows no benchmark; needs no torch."""

from __future__ import annotations

from cryostat.results.uncertainty.bootstrap import DRAWS, Metric, bootstrap
from cryostat.results.uncertainty.clusters import cluster_codes, cluster_confusions, cluster_sums
from cryostat.results.uncertainty.intervals import LEVEL, METHODS, Estimate, Estimates, interval
from cryostat.results.uncertainty.jackknife import influences, jackknife_interval, standard_error
from cryostat.results.uncertainty.paired import Difference, exchange_p, paired_difference
from cryostat.results.uncertainty.resampling import exchanges, resample
from cryostat.results.uncertainty.shares import Shares, mean_interval, share_draws, share_intervals

__all__ = [
    "DRAWS",
    "LEVEL",
    "METHODS",
    "Difference",
    "Estimate",
    "Estimates",
    "Metric",
    "Shares",
    "bootstrap",
    "cluster_codes",
    "cluster_confusions",
    "cluster_sums",
    "exchange_p",
    "exchanges",
    "influences",
    "interval",
    "jackknife_interval",
    "mean_interval",
    "paired_difference",
    "resample",
    "share_draws",
    "share_intervals",
    "standard_error",
]
