"""Metrics over the lattice: every subset of the modalities, on the same patients and the same resamples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import SettingError
from cryostat.results.cases.metrics import METRICS
from cryostat.results.cases.panel import FULL, Panel
from cryostat.results.cases.sample import measure, measure_resampled
from cryostat.results.cases.subsets import all_subsets, subset_bits
from cryostat.results.uncertainty import resample


@dataclass(frozen=True, eq=False)
class Lattice:
    """Metrics of every subset offered. A subset's place is the number whose bit m says that modality m is offered.

    Attributes:
        population: Whom they are of.
        n: Patients.
        values: Metric to (2^M,) means over replicates.
        draws: Metric to (2^M, B) the same on resampled patients.
    """

    population: str
    n: int
    values: Mapping[str, NDArray[np.float64]]
    draws: Mapping[str, NDArray[np.float64]]


def measure_lattice(
    panel: Panel,
    population: str,
    metrics: Sequence[str],
    *,
    ablation: str = FULL,
    draws: int = 2000,
    seed: int = 0,
    ordinal: bool = False,
) -> Lattice:
    """Measure every subset of the modalities.

    Args:
        panel: Predictions under all 2^M offers.
        population: Whom to measure.
        metrics: Which metrics.
        ablation: What taking a modality away means.
        draws: Resamples of patients.
        seed: Of the resamples.
        ordinal: The classes are ordered.

    Raises:
        SettingError: A subset was not evaluated, nobody is of the population, or a metric is unknown or lacks
            probabilities.
    """
    places = _patients(panel, population)
    weights = resample(len(places), draws, seed)
    subsets = all_subsets(panel.modalities)
    values = {name: np.zeros(len(subsets)) for name in metrics}
    resampled = {name: np.zeros((len(subsets), draws)) for name in metrics}
    for subset in subsets:
        at, samples = subset_bits(subset, panel.modalities), panel.samples((ablation, subset), places)
        measured, drawn = measure(samples, ordinal=ordinal), measure_resampled(samples, weights, ordinal=ordinal)
        for name in metrics:
            check_metric(name, measured)
            values[name][at], resampled[name][at] = measured[name].mean(), drawn[name]
    return Lattice(population, len(places), values, resampled)


def _patients(panel: Panel, population: str) -> NDArray[np.int64]:
    places = panel.population(population)
    if not len(places):
        raise SettingError(
            f"no patient has {population!r}", remedy="Choose a smaller set of modalities, or the population 'all'"
        )
    return places


def check_metric(name: str, measured: Mapping[str, object]) -> None:
    """Refuse a metric that is not among those measured.

    Raises:
        SettingError: It is unknown, or cannot be computed from these predictions.
    """
    if name in measured:
        return
    known = name in METRICS
    why = "needs probabilities, or ordered classes, which are not there" if known else "is no metric"
    raise SettingError(f"{name!r} {why}", remedy=f"Choose of {', '.join(measured)}")
