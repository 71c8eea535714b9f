"""Two runs, or two arms of one run, on the same patients."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.core.errors import InputError
from cryostat.results.cases.metrics import METRICS, Floats
from cryostat.results.cases.panel import FULL, Arm, ArmKey, Panel, read_panel
from cryostat.results.cases.sample import Samples, measure, measure_resampled
from cryostat.results.cases.scores import DRAWS
from cryostat.results.cases.subsets import ALL_PATIENTS
from cryostat.results.uncertainty import exchange_p, exchanges, interval, resample
from cryostat.results.uncertainty.resampling import can_enumerate

NOT_EXCHANGED = ("auprc",)
"""Metrics that are resampled linearly, which is too coarse for exchanges: they have an interval and no p-value."""


@dataclass(frozen=True)
class PairedScore:
    """One metric of two arms.

    Attributes:
        first: Value of the first.
        second: Value of the second.
        difference: First less second.
        low: Lower end of the 95 % interval of the difference, patients resampled.
        high: Upper end.
        p_value: Two-sided, from exchanging the two arms' predictions of patients; NaN where it is not tested.
    """

    first: float
    second: float
    difference: float
    low: float
    high: float
    p_value: float


@dataclass(frozen=True)
class CaseComparison:
    """Two arms on the same patients.

    Attributes:
        first: Ablation and offer of the first.
        second: Those of the second.
        population: Whom they are compared on.
        n: Patients.
        replicates: Pairs of repeat and seed that both have.
        metrics: By name.
    """

    first: ArmKey
    second: ArmKey
    population: str
    n: int
    replicates: int
    metrics: Mapping[str, PairedScore]

    def table(self) -> pd.DataFrame:
        """One row a metric: first, second, difference, low, high, p_value."""
        return pd.DataFrame({name: vars(score) for name, score in self.metrics.items()}).T.rename_axis("metric")


def compare(
    frame_a: pd.DataFrame,
    frame_b: pd.DataFrame,
    classes: Sequence[str],
    modalities: Sequence[str],
    *,
    arm_a: ArmKey | None = None,
    arm_b: ArmKey | None = None,
    population: str = ALL_PATIENTS,
    ordinal: bool = False,
    draws: int = DRAWS,
    seed: int = 0,
) -> CaseComparison:
    """Compare two runs, or two arms of one run, on the same patients.

    Args:
        frame_a: Predictions of the first run.
        frame_b: Those of the second; the same table, to compare two arms of a run.
        classes: Class names of the task, in order.
        modalities: Modalities of the cohort, in order.
        arm_a: Ablation and offer of the first; by default everything offered.
        arm_b: Those of the second; by default those of the first.
        population: `all`, or the modalities that patients have at least in either run.
        ordinal: The classes are ordered.
        draws: How many resamples, and how many exchanges.
        seed: Of both.

    Raises:
        InputError: The runs test different patients or tell different truths, or share no repeat and seed.
        SettingError: A run lacks the arm.
    """
    one, two = read_panel(frame_a, classes, modalities), read_panel(frame_b, classes, modalities)
    _check_alike(one, two)
    shared = tuple(r for r in one.replicates if r in two.replicates)
    if not shared:
        raise InputError(
            "have no repeat and seed in common",
            where="two predictions tables",
            remedy="Run both with the same splits, and at least one common seed",
        )
    one, two = _of_replicates(one, shared), _of_replicates(two, shared)
    if not np.array_equal(one.tested, two.tested):
        raise InputError(
            "test different patients in the same repeat",
            where="two predictions tables",
            remedy="Run both with the same splits",
        )
    first = arm_a or (FULL, one.everything)
    second = arm_b or first
    both = replace(one, have=one.have | two.have)
    places = both.population(population)
    places = places[one.tested[:, places].any(0)]
    scores = _paired(one.samples(first, places), two.samples(second, places), len(places), ordinal, draws, seed)
    return CaseComparison(first, second, population, len(places), len(shared), scores)


def _check_alike(one: Panel, two: Panel) -> None:
    if one.patients != two.patients:
        differ = sorted(set(one.patients) ^ set(two.patients))
        raise InputError(
            f"test different patients: {len(differ)} are in one alone ({', '.join(differ[:3])})",
            where="two predictions tables",
            remedy="Compare runs of the same cohort and task, or keep the rows of the patients that both have",
        )
    if not np.array_equal(one.true, two.true):
        patient = one.patients[int(np.argmax(one.true != two.true))]
        raise InputError(
            f"tell different true classes of patient {patient!r}",
            where="two predictions tables",
            remedy="Compare runs of the same task",
        )


def _of_replicates(panel: Panel, wanted: Sequence[tuple[int, int]]) -> Panel:
    index = [panel.replicates.index(replicate) for replicate in wanted]
    arms = {key: Arm(arm.predicted[index], None if arm.p is None else arm.p[index]) for key, arm in panel.arms.items()}
    return replace(panel, replicates=tuple(wanted), arms=arms)


def _paired(first: Samples, second: Samples, n: int, ordinal: bool, draws: int, seed: int) -> dict[str, PairedScore]:
    ones, twos = measure(first, ordinal=ordinal), measure(second, ordinal=ordinal)
    names = [name for name in METRICS if name in ones and name in twos]
    weights = resample(n, draws, seed)
    resampled = _less(
        measure_resampled(first, weights, ordinal=ordinal), measure_resampled(second, weights, ordinal=ordinal), names
    )
    exchanged = _less(*_exchanged(first, second, exchanges(n, draws, seed + 1), ordinal), names)
    means = np.array([[values[name].mean() for name in names] for values in (ones, twos)])
    difference = means[0] - means[1]
    ends = interval(difference, resampled, n)
    p = exchange_p(difference, exchanged, complete=can_enumerate(n, draws), slack=SLACK)
    p[[name in NOT_EXCHANGED for name in names]] = np.nan
    columns = np.stack([*means, difference, ends.low, ends.high, p], 1)
    return {name: PairedScore(*map(float, row)) for name, row in zip(names, columns, strict=True)}


SLACK = 1e-5
"""Differences closer than this are the same: resampled metrics are computed in single precision."""


def _less(first: Mapping[str, Floats], second: Mapping[str, Floats], names: Sequence[str]) -> NDArray[np.float64]:
    return np.stack([first[name].astype(np.float64) - second[name] for name in names], 1)


def _exchanged(
    first: Samples, second: Samples, swapped: NDArray[np.float32], ordinal: bool
) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Metrics of two arms that exchanged patients: both stand beside each other, and one of the two counts."""
    n = swapped.shape[1]
    beside = [
        (one.beside(two), np.concatenate([inside, inside + n]))
        for (one, inside), (two, _) in zip(first, second, strict=True)
    ]
    kept = 1 - swapped
    sides = np.concatenate([kept, swapped], 1), np.concatenate([swapped, kept], 1)
    one, two = (measure_resampled(beside, side, ordinal=ordinal) for side in sides)
    return one, two
