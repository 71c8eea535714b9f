"""Performance against missing rate: what to expect when each modality fails to arrive with a given probability.

A modality that is missing at random leaves a patient with each subset of the rest with a known probability, so the
expectation is a weighted sum over the lattice: exact, without simulation, for metrics that are means over patients.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.core.errors import SettingError
from cryostat.results.cases.lattice import measure_lattice
from cryostat.results.cases.panel import FULL, read_panel
from cryostat.results.uncertainty import interval

EXACT = ("balanced_accuracy", "accuracy", "log_loss", "brier")
"""Metrics that are means over patients (of a class), for which the weighted sum is the expectation."""

RATES = tuple(i / 10 for i in range(11))
"""Missing rates by default."""


def subset_chances(
    rates: NDArray[np.float64], modalities: Sequence[str], missing: Collection[str]
) -> NDArray[np.float64]:
    """How likely each subset is to arrive.

    Args:
        rates: (K,) probability that a modality is missing, independently of the others.
        modalities: The M names in order.
        missing: Those that may be missing; the others always arrive.

    Returns:
        (K, 2^M) by the bits of the subset; rows sum to 1.
    """
    chances = np.ones((len(rates), 1))
    for name in modalities:
        lost = rates if name in missing else np.zeros(len(rates))
        chances = np.concatenate([chances * lost[:, None], chances * (1 - lost)[:, None]], 1)
    return chances


def missing_rate_curve(
    frame: pd.DataFrame,
    classes: Sequence[str],
    modalities: Sequence[str],
    *,
    metrics: Sequence[str] = ("balanced_accuracy", "log_loss"),
    rates: Sequence[float] = RATES,
    missing: Collection[str] | None = None,
    population: str | None = None,
    ablation: str = FULL,
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Expected performance against missing rate.

    Args:
        frame: Predictions under all 2^M offers.
        classes: Class names of the task, in order.
        modalities: Modalities of the cohort, in order.
        metrics: Of `EXACT`.
        rates: Probabilities that a modality is missing.
        missing: Those that may be missing, independently of each other; by default all.
        population: On whom; by default those who have every modality. In any other, the rate is of what would be there.
        ablation: What taking a modality away means.
        draws: Resamples of patients.
        seed: Of the resamples.

    Returns:
        A row a metric and rate: `metric`, `rate`, `value`, `low`, `high` (95 %, patients resampled), `n`.

    Raises:
        InputError: As from `read_panel`.
        SettingError: A rate, metric, modality or population cannot be, or a subset was not evaluated.
    """
    lost = set(modalities if missing is None else missing)
    _check(metrics, rates, lost - set(modalities), modalities)
    panel = read_panel(frame, classes, modalities)
    whom = panel.everything if population is None else population
    lattice = measure_lattice(panel, whom, metrics, ablation=ablation, draws=draws, seed=seed)
    chances = subset_chances(np.asarray(rates, np.float64), modalities, lost)
    parts = []
    for name in metrics:
        found = interval(chances @ lattice.values[name], (chances @ lattice.draws[name]).T, lattice.n)
        columns = {"rate": rates, "value": found.value, "low": found.low, "high": found.high}
        parts.append(pd.DataFrame({"metric": name} | columns | {"n": lattice.n}))
    return pd.concat(parts, ignore_index=True)


def _check(metrics: Sequence[str], rates: Sequence[float], strangers: set[str], modalities: Sequence[str]) -> None:
    if inexact := [name for name in metrics if name not in EXACT]:
        raise SettingError(
            f"{inexact[0]!r} has no exact expectation under missing modalities",
            remedy=f"Choose of {', '.join(EXACT)}",
        )
    if outside := [rate for rate in rates if not 0 <= rate <= 1]:
        raise SettingError(f"missing rate {outside[0]}", remedy="Choose rates from 0 to 1")
    if strangers:
        raise SettingError(f"there is no modality {min(strangers)!r}", remedy=f"Choose of {', '.join(modalities)}")
