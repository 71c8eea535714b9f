"""What a modality contributes: its Shapley value over the lattice, for the cohort and for each patient.

The Shapley value of a modality is what it adds on average over all orders in which the modalities could arrive. The
values of all modalities add up to the gain from nothing to everything.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import factorial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.core.errors import SettingError
from cryostat.results.cases.lattice import measure_lattice
from cryostat.results.cases.metrics import METRICS, log_losses
from cryostat.results.cases.panel import FULL, Panel, read_panel
from cryostat.results.cases.subsets import all_subsets, subset_bits
from cryostat.results.uncertainty import interval


@dataclass(frozen=True)
class Contribution:
    """What one modality adds to a metric; above 0 is better, whichever way the metric runs.

    Attributes:
        modality: Its name.
        value: Its Shapley value.
        low: Lower end of the 95 % interval, patients resampled.
        high: Upper end.
        first: What it adds to nothing.
        last: What it adds to all the others.
    """

    modality: str
    value: float
    low: float
    high: float
    first: float
    last: float


@dataclass(frozen=True)
class Contributions:
    """What each modality adds.

    Attributes:
        metric: To what.
        population: On whom.
        n: Patients.
        nothing: The metric with nothing offered.
        everything: The metric with everything offered.
        modalities: In the order of the cohort; their values add up to the way from nothing to everything.
    """

    metric: str
    population: str
    n: int
    nothing: float
    everything: float
    modalities: tuple[Contribution, ...]

    def table(self) -> pd.DataFrame:
        """One row a modality."""
        return pd.DataFrame(map(asdict, self.modalities))


def shapley_weights(modalities: int) -> NDArray[np.float64]:
    """(M, 2^M) weights that turn the values of all subsets, numbered by their bits, into Shapley values."""
    weights = np.zeros((modalities, 2**modalities))
    for bits in range(2**modalities):
        size = bits.bit_count()
        for m in range(modalities):
            if not bits >> m & 1:
                share = factorial(size) * factorial(modalities - size - 1) / factorial(modalities)
                weights[m, bits] -= share
                weights[m, bits | 1 << m] += share
    return weights


def contributions(
    frame: pd.DataFrame,
    classes: Sequence[str],
    modalities: Sequence[str],
    *,
    metric: str = "balanced_accuracy",
    population: str | None = None,
    ablation: str = FULL,
    draws: int = 2000,
    seed: int = 0,
) -> Contributions:
    """What each modality adds to a metric.

    Args:
        frame: Predictions under all 2^M offers.
        classes: Class names of the task, in order.
        modalities: Modalities of the cohort, in order.
        metric: Of `METRICS`.
        population: On whom; by default those who have every modality, since what is not there adds nothing.
        ablation: What taking a modality away means.
        draws: Resamples of patients.
        seed: Of the resamples.

    Raises:
        InputError: As from `read_panel`.
        SettingError: A subset was not evaluated, nobody is of the population, or there is no such metric.
    """
    panel = read_panel(frame, classes, modalities)
    whom = panel.everything if population is None else population
    ordinal = metric in METRICS and METRICS[metric].ordinal_only
    lattice = measure_lattice(panel, whom, [metric], ablation=ablation, draws=draws, seed=seed, ordinal=ordinal)
    better = 1 if METRICS[metric].higher_is_better else -1
    values, weights = lattice.values[metric], shapley_weights(len(modalities))
    found = interval(better * weights @ values, (better * weights @ lattice.draws[metric]).T, lattice.n)
    whole = len(values) - 1
    rows = tuple(
        Contribution(
            name,
            value=float(found.value[m]),
            low=float(found.low[m]),
            high=float(found.high[m]),
            first=float(better * (values[1 << m] - values[0])),
            last=float(better * (values[whole] - values[whole ^ 1 << m])),
        )
        for m, name in enumerate(modalities)
    )
    return Contributions(metric, whom, lattice.n, float(values[0]), float(values[whole]), rows)


def patient_contributions(
    frame: pd.DataFrame, classes: Sequence[str], modalities: Sequence[str], *, ablation: str = FULL
) -> pd.DataFrame:
    """What each modality tells of each patient: Shapley values of ln p of the true class, mean over replicates.

    Returns:
        A row a patient: `patient_id`, `y_true`, `nothing` (ln p before), a column for each modality (nats gained; 0 for
        one that the patient lacks, below 0 where it misleads), `everything` (ln p after, the sum of all the others).

    Raises:
        InputError: As from `read_panel`.
        SettingError: A subset was not evaluated, or the predictions have no probabilities.
    """
    panel = read_panel(frame, classes, modalities)
    values = np.zeros((2 ** len(modalities), len(panel.patients)))
    for subset in all_subsets(panel.modalities):
        values[subset_bits(subset, panel.modalities)] = patient_log_p(panel, ablation, subset)
    gains = shapley_weights(len(modalities)) @ values
    names = np.array(panel.classes, object)[panel.true]
    start, end = {"nothing": values[0]}, {"everything": values[-1]}
    return pd.DataFrame(
        {"patient_id": panel.patients, "y_true": names} | start | dict(zip(modalities, gains, strict=True)) | end
    )


def patient_log_p(panel: Panel, ablation: str, offered: str) -> NDArray[np.float64]:
    """(n,) ln p of each patient's true class, mean over the replicates that test it.

    Raises:
        SettingError: The table lacks the arm, or has no probabilities.
    """
    p = panel.arm((ablation, offered)).p
    if p is None or np.isnan(p[panel.tested]).any():
        raise SettingError(
            "the predictions have no probabilities", remedy="Choose a metric of named classes, such as accuracy"
        )
    logs = np.where(panel.tested, -log_losses(panel.true, np.nan_to_num(p)), 0)
    mean: NDArray[np.float64] = logs.sum(0) / panel.tested.sum(0)
    return mean
