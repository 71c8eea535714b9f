"""Two rows on the same nuclei: the difference with its interval, a test, and what such a test could have found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from cryostat.results.evidence import HEADS, Evidence, check_same_nuclei, draws_for, evidence
from cryostat.results.intervals import weights, with_nan, without_nan
from cryostat.results.kept import kept
from cryostat.results.records import RunRecord
from cryostat.results.uncertainty import LEVEL, Estimate, exchange_p, exchanges, jackknife_interval, standard_error
from cryostat.results.uncertainty.resampling import can_enumerate

POWER = 0.8
"""How often a test should find the smallest difference that it is said to find."""

MOST_PAIRS = 5
"""Seeds up to which rows with unlike numbers of seeds exchange every seed with every other; beyond, the first ones."""


@dataclass(frozen=True)
class PairedScore:
    """One score of two rows, means over seeds.

    Attributes:
        name: `macro_f1`, `macro_f1_common` (without rare classes), `accuracy`, or the name of a class.
        first: Of the first row.
        second: Of the second.
        difference: First less second, with the interval from resampled clusters.
        p_value: Two-sided, from exchanging the two rows' predictions cluster by cluster; NaN where undefined.
        adjusted: The same after Holm's correction over the classes of the comparison; as `p_value` for the means.
        detectable: Smallest true difference that a test of 5 % on as many clusters finds four times out of five; NaN
            where no difference, however large, would be significant.
        rare: Why a class is marked; empty otherwise.
    """

    name: str
    first: float
    second: float
    difference: Estimate
    p_value: float
    adjusted: float
    detectable: float
    rare: str = ""


@dataclass(frozen=True)
class CellComparison:
    """Two rows on the same nuclei.

    Attributes:
        clusters: How many clusters were resampled and exchanged.
        kind: What a cluster is: `patient`, `field`, `patient or field`.
        cells: Cells scored.
        seeds: Seeds of the first and of the second row.
        seed_sd: Standard deviation of the macro F1 over the seeds of each; NaN for one seed.
        least_p: The smallest p-value that so few clusters allow.
        means: Macro F1, macro F1 without rare classes, accuracy.
        classes: F1 of the classes that count in both.
    """

    clusters: int
    kind: str
    cells: int
    seeds: tuple[int, int]
    seed_sd: tuple[float, float]
    least_p: float
    means: tuple[PairedScore, ...]
    classes: tuple[PairedScore, ...]

    @property
    def macro_f1(self) -> PairedScore:
        """The score that rows are ranked by."""
        return self.means[0]

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; what is undefined is None."""
        plain: dict[str, Any] = without_nan(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> CellComparison:
        """The inverse of `to_dict`."""
        plain: dict[str, Any] = with_nan(facts)
        plain |= {name: tuple(map(_paired_score, plain[name])) for name in ("means", "classes")}
        plain |= {name: tuple(plain[name]) for name in ("seeds", "seed_sd")}
        return cls(**plain)


def _paired_score(facts: Mapping[str, Any]) -> PairedScore:
    return PairedScore(**{**facts, "difference": Estimate(**facts["difference"])})


def compare_runs(first: Sequence[RunRecord], second: Sequence[RunRecord]) -> CellComparison:
    """Compare two rows: each of one or more runs that differ in seed and fold alone.

    Raises:
        InputError: The rows were tested on different nuclei, or as from `evidence`.
    """
    return kept_comparison(evidence(first), evidence(second), first[0])


def kept_comparison(first: Evidence, second: Evidence, record: RunRecord) -> CellComparison:
    """`compare`, kept in the folder of a run."""
    facts = {"what": "comparison", "of": [first.key, second.key], "names": list(first.names.values())}
    return CellComparison.from_dict(kept(record.folder, facts, lambda: compare(first, second).to_dict()))


def compare(first: Evidence, second: Evidence, *, draws: int | None = None, seed: int = 0) -> CellComparison:
    """Compare two rows on the same nuclei.

    The heads are taken as they are trained: other seeds might differ by more, which `seed_sd` tells.

    Args:
        first: Evidence of the first row.
        second: Evidence of the second.
        draws: How many resamples, and how many exchanges; by default `draws_for` the number of clusters.
        seed: Of both.

    Raises:
        InputError: The rows were tested on different nuclei, or their true classes differ.
    """
    check_same_nuclei(first.fields, second.fields)
    one, two = alike(first, second)
    number = draws or draws_for(one.size)
    resampled = _difference(one, two, weights(one.size, number, seed))
    measured = np.stack([one.total(), two.total()])
    left_out = one.left_out() - two.left_out()
    found = jackknife_interval(
        measured[0] - measured[1], resampled, left_out, one.effective, bounds=(-1.0, 1.0), freedom=_freedom(one)
    )
    p = exchange_p(found.value, _exchanged(one, two, number, seed + 1), complete=can_enumerate(one.size, number))
    least = least_p(one.size, number)
    reach = detectable(standard_error(left_out), one.effective) if least <= 1 - LEVEL else np.full(len(p), np.nan)
    marks = [""] * len(HEADS) + [*one.rare]
    scores = [
        PairedScore(
            name,
            float(measured[0, i]),
            float(measured[1, i]),
            found.at(i),
            float(p[i]),
            float(p[i]),
            float(reach[i]),
            mark,
        )
        for i, (name, mark) in enumerate(zip([*HEADS, *one.names.values()], marks, strict=True))
    ]
    classes = [score for score in scores[len(HEADS) :] if not np.isnan(score.difference.value)]
    adjusted = holm([score.p_value for score in classes])
    return CellComparison(
        clusters=one.size,
        kind=one.kind,
        cells=one.cells,
        seeds=(first.seeds, second.seeds),
        seed_sd=(_seed_sd(first), _seed_sd(second)),
        least_p=least,
        means=tuple(scores[: len(HEADS)]),
        classes=tuple(replace(score, adjusted=p) for score, p in zip(classes, adjusted, strict=True)),
    )


def alike(first: Evidence, second: Evidence) -> tuple[Evidence, Evidence]:
    """Two rows with the same classes, fields in the same order.

    A class that one of them alone lists, as published protocols do with what was predicted, has no true cell: it has no
    cell at all in the other.
    """
    names = dict(sorted({**first.names, **second.names}.items()))
    return _with_classes(first, names), _with_classes(second, names)


def _with_classes(row: Evidence, names: Mapping[int, str]) -> Evidence:
    if list(names) == list(row.names):
        return row
    at = [i for i, key in enumerate([0, *names]) if key == 0 or key in row.names]
    confusions = np.zeros((*row.confusions.shape[:2], len(names) + 1, len(names) + 1), np.int64)
    confusions[np.ix_(range(row.seeds), range(len(row.fields)), at, at)] = row.confusions
    counted = np.zeros((row.seeds, len(names)), bool)
    counted[:, np.array(at[1:], int) - 1] = row.counted
    return replace(row, names=names, confusions=confusions, counted=counted)


def _difference(one: Evidence, two: Evidence, drawn: NDArray[np.float64]) -> NDArray[np.float64]:
    """(draws, 3 + k) by how much the first is better on each resample."""
    return one.score(drawn @ one.statistics) - two.score(drawn @ two.statistics)


def _freedom(row: Evidence) -> NDArray[np.float64]:
    """(3 + k) degrees of freedom: of classes one more than of means (see `intervals.score_intervals`)."""
    freedom: NDArray[np.float64] = row.effective - np.repeat([1, 0], [len(HEADS), row.classes])
    return freedom


def _exchanged(one: Evidence, two: Evidence, draws: int, seed: int) -> NDArray[np.float64]:
    """(draws, 3 + k) the same after the rows exchanged clusters, seed by seed; all pairs where they are unlike."""
    if one.seeds != two.seeds:
        pairs = [(i, j) for i in range(min(one.seeds, MOST_PAIRS)) for j in range(min(two.seeds, MOST_PAIRS))]
        one, two = one.of_seeds([i for i, _ in pairs]), two.of_seeds([j for _, j in pairs])
    moved = exchanges(one.size, draws, seed).astype(np.float64) @ (two.statistics - one.statistics)
    return one.score(one.statistics.sum(0) + moved) - two.score(two.statistics.sum(0) - moved)


def _seed_sd(row: Evidence) -> float:
    macro = row.score_seeds(row.statistics.sum(0))[:, 0]
    return float(np.std(macro, ddof=1)) if row.seeds > 1 else float("nan")


def detectable(error: NDArray[np.float64], effective: NDArray[np.float64], level: float = LEVEL) -> NDArray[np.float64]:
    """Smallest true difference that a two-sided test finds with a power of `POWER`.

    Args:
        error: (m,) standard errors of the difference.
        effective: (m,) effective numbers of clusters.
        level: One less the level of the test.

    Returns:
        (m,) NaN for fewer than two clusters.
    """
    freedom = np.maximum(1.0, effective - 1)
    reach = stdtrit(freedom, (1 + level) / 2) + stdtrit(freedom, POWER)
    return np.where(effective > 1 + 1e-9, reach * error, np.nan)


def least_p(clusters: int, draws: int) -> float:
    """The smallest two-sided p-value: of 2ⁿ exchanges, none and all make the same difference."""
    return 2.0 ** (1 - clusters) if can_enumerate(clusters, draws) else 1 / (draws + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction for several tests; undefined p-values stay so and do not count.

    Args:
        p_values: One a test.

    Returns:
        Adjusted p-values in the same order: those below 0.05 are significant at a family-wise level of 5 %.
    """
    p = np.asarray(p_values, np.float64)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted = np.full(len(p), np.nan)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(p[order] * factors)) if len(order) else []
    return [float(value) for value in adjusted]
