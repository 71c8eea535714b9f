"""How sure a score is: cluster bootstrap, paired differences. Knows no benchmark; needs no torch."""

from __future__ import annotations

from cryostat.results.uncertainty.bootstrap import DRAWS, Metric, bootstrap
from cryostat.results.uncertainty.clusters import cluster_codes, cluster_confusions, cluster_sums
from cryostat.results.uncertainty.intervals import LEVEL, METHODS, Estimate, Estimates, interval
from cryostat.results.uncertainty.jackknife import jackknife_interval, standard_error
from cryostat.results.uncertainty.paired import Difference, exchange_p, paired_difference
from cryostat.results.uncertainty.resampling import exchanges, resample

__all__ = [
    "DRAWS",
    "LEVEL",
    "METHODS",
    "Difference",
    "Estimate",
    "Estimates",
    "Metric",
    "bootstrap",
    "cluster_codes",
    "cluster_confusions",
    "cluster_sums",
    "exchange_p",
    "exchanges",
    "interval",
    "jackknife_interval",
    "paired_difference",
    "resample",
    "standard_error",
]
