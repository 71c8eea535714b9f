"""Scores of cases: every ablation, subset offered and population of patients, each metric with its interval."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.core.errors import InputError, SettingError
from cryostat.results.cases.flags import Flag, find_flags
from cryostat.results.cases.metrics import METRICS
from cryostat.results.cases.panel import FULL, ArmKey, Panel, read_panel
from cryostat.results.cases.sample import Samples, measure, measure_resampled
from cryostat.results.cases.subsets import ALL_PATIENTS
from cryostat.results.uncertainty import LEVEL, interval, resample

FORMAT = 1
"""Version of the scores of cases in `scores.json`."""

DRAWS = 2000
"""Resamples of patients for each population."""


@dataclass(frozen=True)
class MetricScore:
    """One metric; None is undefined.

    Attributes:
        value: Mean over repeats and seeds.
        low: Lower end of the 95 % interval from resampled patients, the models being what they are.
        high: Upper end.
        sd_repeats: Standard deviation over repeats, each the mean of its seeds; None for a single repeat.
        sd_seeds: Standard deviation over seeds, each the mean of its repeats; None for a single seed.
    """

    value: float | None
    low: float | None = None
    high: float | None = None
    sd_repeats: float | None = None
    sd_seeds: float | None = None


@dataclass(frozen=True)
class ArmScore:
    """One ablation and subset offered, on one population.

    Attributes:
        ablation: What taking a modality away means.
        offered: The modalities offered, joined by `+`.
        population: `all`, or the modalities that the patients have at least.
        n: Distinct patients.
        supports: Patients of each class.
        metrics: By name.
        confusion: Patients by true and predicted class, summed over repeats and seeds.
    """

    ablation: str
    offered: str
    population: str
    n: int
    supports: tuple[int, ...]
    metrics: Mapping[str, MetricScore]
    confusion: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class CaseScores:
    """Scores of one predictions table of cases.

    Attributes:
        classes: Class names in order.
        modalities: Modalities in the order of the cohort.
        ordinal: The classes are ordered.
        patients: Labelled patients, who were scored.
        unlabelled: Patients who were not, their class being unknown.
        repeats: Number of repeats.
        seeds: Number of seeds.
        draws: Resamples behind each interval.
        arms: Every ablation, subset and population with at least one patient.
        flags: What a reader must know before believing a number.
    """

    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    ordinal: bool
    patients: int
    unlabelled: int
    repeats: int
    seeds: int
    draws: int
    arms: tuple[ArmScore, ...]
    flags: tuple[Flag, ...]

    def of(self, offered: str | None = None, *, ablation: str = FULL, population: str = ALL_PATIENTS) -> ArmScore:
        """One of the arms; by default with everything offered, on everybody.

        Raises:
            SettingError: There is no such arm.
        """
        wanted = (ablation, "+".join(self.modalities) if offered is None else offered, population)
        for arm in self.arms:
            if (arm.ablation, arm.offered, arm.population) == wanted:
                return arm
        raise SettingError(
            f"there are no scores with ablation {wanted[0]!r}, {wanted[1]!r} offered, of population {wanted[2]!r}",
            remedy=f"Choose populations of {', '.join(dict.fromkeys(arm.population for arm in self.arms))}, offers of "
            f"{', '.join(dict.fromkeys(arm.offered for arm in self.arms))}",
        )

    def table(self) -> pd.DataFrame:
        """One row an arm and metric: ablation, offered, population, n, metric, and what `MetricScore` holds."""
        rows = [
            {"ablation": a.ablation, "offered": a.offered, "population": a.population, "n": a.n, "metric": name}
            | asdict(score)
            for a in self.arms
            for name, score in a.metrics.items()
        ]
        return pd.DataFrame(rows)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; what is undefined is None."""
        return {"format": FORMAT, "benchmark": "cases", **asdict(self)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any], where: str | PathLike[str] = "scores") -> CaseScores:
        """The inverse of `to_dict`.

        Raises:
            InputError: The data are not scores of cases, or of another version.
        """
        if not isinstance(facts, Mapping) or (facts.get("format"), facts.get("benchmark")) != (FORMAT, "cases"):
            raise InputError(
                f"does not hold scores of cases of version {FORMAT}", where=where, remedy="Score the run again"
            )
        try:
            plain = {name: facts[name] for name in cls.__dataclass_fields__}
            plain |= {name: tuple(facts[name]) for name in ("classes", "modalities")}
            plain["arms"] = tuple(map(_arm_from, facts["arms"]))
            plain["flags"] = tuple(Flag(**flag) for flag in facts["flags"])
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(
                f"holds incomplete scores ({error!r})", where=where, remedy="Score the run again"
            ) from error
        return cls(**plain)


def _arm_from(facts: Mapping[str, Any]) -> ArmScore:
    metrics = {name: MetricScore(**score) for name, score in facts["metrics"].items()}
    lists = {"supports": tuple(facts["supports"]), "confusion": tuple(map(tuple, facts["confusion"]))}
    return ArmScore(**{**facts, **lists, "metrics": metrics})


def score_cases(
    frame: pd.DataFrame,
    classes: Sequence[str],
    modalities: Sequence[str],
    *,
    ordinal: bool = False,
    draws: int = DRAWS,
    expected: Collection[str] | None = None,
    seed: int = 0,
) -> CaseScores:
    """Score a predictions table of cases.

    All arms of a population are resampled alike. A patient has the modalities that it was ever seen with.

    Args:
        frame: Predictions of one run.
        classes: Class names of the task, in order.
        modalities: Modalities of the cohort, in order.
        ordinal: The classes are ordered: quadratic kappa too.
        draws: Resamples of patients.
        expected: Ids of all patients who should have been scored.
        seed: Of the resamples.

    Raises:
        InputError: The table contradicts the contract, its arms test different patients, or the patients with a true
            class are not those expected.
    """
    panel = read_panel(frame, classes, modalities)
    if expected is not None:
        check_expected(panel.patients, expected)
    arms = []
    for population, places in panel.populations().items():
        if not len(places):
            continue
        weights = resample(len(places), draws, seed)
        arms += [_score_arm(panel, key, population, places, weights, ordinal) for key in panel.arms]
    repeats, seeds = (len({r[i] for r in panel.replicates}) for i in range(2))
    return CaseScores(
        panel.classes,
        panel.modalities,
        ordinal,
        len(panel.patients),
        panel.unlabelled,
        repeats,
        seeds,
        draws,
        tuple(arms),
        find_flags(panel),
    )


def check_expected(found: Collection[str], expected: Collection[str]) -> None:
    """Refuse scores of other patients than those declared.

    Raises:
        InputError: Patients are missing or surplus; some are named.
    """
    missing, surplus = sorted(set(map(str, expected)) - set(found)), sorted(set(found) - set(map(str, expected)))
    if not missing and not surplus:
        return
    parts = [
        f"{len(ids)} {what} ({', '.join(ids[:3])}{' …' if len(ids) > 3 else ''})"
        for ids, what in ((missing, "missing"), (surplus, "not expected"))
        if ids
    ]
    raise InputError(
        f"evaluates {len(found)} patients where {len(set(expected))} are expected: {', '.join(parts)}",
        where="predictions table",
        remedy="Predict every labelled patient of the cohort, or declare the patients that are meant",
    )


def _score_arm(
    panel: Panel,
    key: ArmKey,
    population: str,
    places: NDArray[np.int64],
    weights: NDArray[np.float32],
    ordinal: bool,
) -> ArmScore:
    samples = panel.samples(key, places)
    confusion = np.sum([sample.confusion.sum(0) for sample, _ in samples], 0)
    supports = np.bincount(panel.true[places], minlength=len(panel.classes))
    metrics = score_metrics(samples, panel.replicates, weights, ordinal=ordinal)
    return ArmScore(
        *key, population, len(places), tuple(supports.tolist()), metrics, tuple(map(tuple, confusion.tolist()))
    )


def score_metrics(
    samples: Samples,
    replicates: Sequence[tuple[int, int]],
    weights: NDArray[np.float32],
    *,
    ordinal: bool = False,
) -> dict[str, MetricScore]:
    """All metrics of one arm: means over replicates, intervals from resampled patients, spreads over replicates.

    Args:
        samples: The arm on its patients.
        replicates: (repeat, seed) of each replicate, in the order of the samples.
        weights: (B, n) how often each patient is drawn.
        ordinal: The classes are ordered.
    """
    values = measure(samples, ordinal=ordinal)
    resampled = measure_resampled(samples, weights, ordinal=ordinal)
    found = {}
    for kind in ("percentile", "centred"):
        names = [name for name in values if METRICS[name].interval == kind]
        if not names:
            continue
        means = np.array([_mean(values[name]) for name in names])
        draws = np.stack([resampled[name] for name in names], 1)
        ends = interval(means, draws, weights.shape[1], level=LEVEL, method=kind)
        for i, name in enumerate(names):
            spreads = (spread(values[name], [replicate[side] for replicate in replicates]) for side in range(2))
            low, high = max(ends.low[i], _floor(name)), ends.high[i]
            found[name] = MetricScore(*map(_plain, (means[i], low, high, *spreads)))
    return {name: found[name] for name in METRICS if name in found}


def _floor(name: str) -> float:
    return 0.0 if METRICS[name].interval == "centred" else -np.inf


def _mean(values: NDArray[Any]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


def spread(values: NDArray[Any], groups: Sequence[int]) -> float:
    """Standard deviation (n − 1) of the means of groups; NaN for a single group."""
    _, place = np.unique(groups, return_inverse=True)
    known = ~np.isnan(values)
    counts = np.bincount(place[known])
    means = np.bincount(place[known], values[known])[counts > 0] / counts[counts > 0]
    return float(means.std(ddof=1)) if len(means) > 1 else np.nan


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else float(value)
