"""Intervals of a row of results: clusters resampled, the spread over seeds kept apart."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError
from cryostat.results.evidence import HEADS, Evidence, draws_for, evidence
from cryostat.results.kept import kept
from cryostat.results.records import RunRecord
from cryostat.results.uncertainty import (
    LEVEL,
    Estimate,
    Estimates,
    Shares,
    mean_interval,
    resample,
    share_draws,
    share_intervals,
)

FEW_CLUSTERS = 10
"""With fewer clusters, or effective clusters of a class, intervals may hold the truth in less than 93 of 100 studies
(`benchmarks/coverage.py`)."""


@dataclass(frozen=True)
class ClassInterval:
    """One class.

    Attributes:
        id: Class id.
        name: Class name.
        support: True cells.
        clusters: Clusters with a true cell.
        rare: Why the class is marked (`12 cells`, `2 patients`); empty where it is not.
        f1: Mean over seeds; NaN where the class does not count in every seed.
        effective: How many clusters with equally many true cells are worth as much.
    """

    id: int
    name: str
    support: int
    clusters: int
    rare: str
    f1: Estimate
    effective: float = math.nan

    @property
    def doubtful(self) -> bool:
        """Whether so few clusters hold most of the class that its interval is likely too narrow."""
        return self.effective < FEW_CLUSTERS and not math.isnan(self.f1.low)


@dataclass(frozen=True)
class CellIntervals:
    """Scores of one row, means over seeds, with intervals from resampled clusters.

    The intervals are about other patients (or fields) for the same trained heads; how much the heads differ from seed
    to seed is told by the standard deviations alone.

    Attributes:
        seeds: How many.
        cells: Cells scored.
        clusters: How many clusters were resampled.
        kind: What a cluster is: `patient`, `field`, `patient or field`.
        effective_clusters: How many clusters of equal size are worth as much: (Σ cells)² / Σ cells².
        design_effect: Variance of the macro F1 over that which it would have, were each cell drawn by itself; NaN for
            fewer than two clusters.
        draws: How many resamples.
        level: Coverage of the intervals.
        macro_f1: Mean over the classes that count.
        macro_f1_common: The same without the rare ones; NaN where none is left.
        accuracy: Share of right cells.
        macro_f1_sd: Standard deviation (n − 1) over seeds; NaN for one.
        accuracy_sd: The same of accuracy.
        classes: All classes, ids ascending.
    """

    seeds: int
    cells: int
    clusters: int
    kind: str
    effective_clusters: float
    design_effect: float
    draws: int
    level: float
    macro_f1: Estimate
    macro_f1_common: Estimate
    accuracy: Estimate
    macro_f1_sd: float
    accuracy_sd: float
    classes: tuple[ClassInterval, ...]

    @property
    def effective_cells(self) -> float:
        """How many cells drawn one by one would be worth as much."""
        return self.cells / self.design_effect if self.design_effect else math.nan

    @property
    def rare(self) -> tuple[ClassInterval, ...]:
        """The marked classes."""
        return tuple(c for c in self.classes if c.rare)

    @property
    def doubt(self) -> str:
        """Why the intervals are likely too narrow; empty where they are not."""
        return doubt(self.clusters, self.kind)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; what is undefined is None."""
        plain: dict[str, Any] = without_nan(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> CellIntervals:
        """The inverse of `to_dict`."""
        plain = with_nan(facts)
        plain |= {name: Estimate(**plain[name]) for name in HEADS}
        classes = tuple(ClassInterval(**{**c, "f1": Estimate(**c["f1"])}) for c in plain.pop("classes"))
        return cls(**plain, classes=classes)


def intervals_of(records: Sequence[RunRecord]) -> CellIntervals:
    """The intervals of one row, kept in the folder of its first run.

    Args:
        records: Its runs: folds and seeds (`evidence` says what belongs together).

    Raises:
        InputError: As from `evidence`.
    """
    return kept_intervals(evidence(records), records[0])


def kept_intervals(row: Evidence, record: RunRecord) -> CellIntervals:
    """`cell_intervals`, kept in the folder of a run."""
    facts = {"what": "intervals", "of": row.key, "names": list(row.names.values())}
    found = kept(record.folder, facts, lambda: cell_intervals(row).to_dict())
    return CellIntervals.from_dict(found)


def cell_intervals(row: Evidence, *, draws: int | None = None, level: float = LEVEL, seed: int = 0) -> CellIntervals:
    """Score a row, with intervals from resampled clusters.

    Args:
        row: Its evidence.
        draws: How many resamples; by default `draws_for` the number of clusters.
        level: Coverage wanted.
        seed: Of the resamples.

    Raises:
        InputError: No cell was scored.
    """
    if not row.cells:
        raise InputError("holds no cell with a true class", where="predictions table", remedy="Score labelled cells")
    number = draws or draws_for(row.size)
    found = score_intervals(row, weights(row.size, number, seed), level=level, seed=seed)
    by_seed = row.score_seeds(row.statistics.sum(0))
    heads = {name: found.at(i) for i, name in enumerate(HEADS)}
    return CellIntervals(
        seeds=row.seeds,
        cells=row.cells,
        clusters=row.size,
        kind=row.kind,
        effective_clusters=float(row.effective[0]),
        design_effect=design_effect(row),
        draws=number,
        level=level,
        macro_f1=heads["macro_f1"],
        macro_f1_common=heads["macro_f1_common"],
        accuracy=heads["accuracy"],
        macro_f1_sd=_sd(by_seed[:, 0]),
        accuracy_sd=_sd(by_seed[:, 2]),
        classes=_classes(row, found),
    )


def score_intervals(row: Evidence, drawn: NDArray[np.float64], *, level: float = LEVEL, seed: int = 0) -> Estimates:
    """The scores of `Evidence.total` with their intervals.

    Accuracy and the F1 of classes have Student's intervals of log-odds. Means over classes come from resampled
    clusters, in which each class is as unsure as its own interval says: a class that one or two clusters hold widens
    the mean, however alike its cells are. Degrees of freedom are the effective numbers of clusters, not one less: where
    clusters are unlike, the jackknife errs on the wide side, and false finds in other clusters tell of a class too.

    Args:
        row: The evidence.
        drawn: (draws, clusters) how often each cluster is drawn, as `weights`.
        level: Coverage wanted.
        seed: Of what is drawn besides.

    Returns:
        (3 + k) as `Evidence.total`; NaN ends where undefined or resting on one cluster.
    """
    value, left_out, heads = row.total(), row.left_out(), len(HEADS)
    shares = _class_shares(row)
    weighted = _class_weights(row)
    draws = share_draws(shares, drawn, level=level, seed=seed)
    ends = np.full((2, len(value)), np.nan)
    for i in np.flatnonzero(~np.isnan(value[:2])) if row.size > 1 else []:
        offset = value[i] - weighted[i] @ shares.value
        ends[:, i] = mean_interval(value[i], draws + offset, weighted[i], level)
    right = slice(heads - 1, heads)
    accuracy = Shares(value[right], left_out[:, right], row.effective[right], row.effective[right])
    for part, place in ((accuracy, right), (shares, slice(heads, None))):
        found = share_intervals(part, level)
        ends[:, place] = found.low, found.high
    ends[:, np.isnan(value)] = np.nan
    return Estimates(value, ends[0], ends[1], row.size, level)


def _class_shares(row: Evidence) -> Shares:
    """The F1 of each class, the mean over the seeds in which it counts; 0 where it counts in none.

    A class that is left out with its only cluster keeps its F1.
    """
    use = row.counted / np.maximum(1, row.counted.sum(0))
    without = row.score_seeds(row.statistics.sum(0) - row.statistics)[..., len(HEADS) :]
    kept = np.where(np.isnan(without), row.measured, without)
    effective = row.effective[len(HEADS) :]
    return Shares((use * row.measured).sum(0), (use * kept).sum(1), effective, effective)


def _class_weights(row: Evidence) -> NDArray[np.float64]:
    """(2, k) weight of each class in the macro F1 and in that without rare classes, the mean over seeds."""
    common = row.counted & (np.array(row.rare) == "")
    chosen = np.stack([row.counted, common]).astype(np.float64)
    weighted: NDArray[np.float64] = (chosen / np.maximum(1, chosen.sum(2, keepdims=True))).mean(1)
    return weighted


def doubt(clusters: int, kind: str) -> str:
    """Why intervals over so many clusters are likely too narrow; empty where they are not."""
    many = kind.replace(" or ", "s or ") + "s"
    return f"fewer than {FEW_CLUSTERS} {many}" if clusters < FEW_CLUSTERS else ""


def _classes(row: Evidence, found: Estimates) -> tuple[ClassInterval, ...]:
    return tuple(
        ClassInterval(
            key,
            name,
            int(row.supports[i]),
            int(row.spread[i]),
            row.rare[i],
            found.at(len(HEADS) + i),
            float(row.effective[len(HEADS) + i]),
        )
        for i, (key, name) in enumerate(row.names.items())
    )


def _sd(values: NDArray[np.float64]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else math.nan


@lru_cache(maxsize=4)
def weights(clusters: int, draws: int, seed: int = 0) -> NDArray[np.float64]:
    """(draws, clusters) how often each cluster is drawn; all rows of a table are scored on the same resamples."""
    drawn = resample(clusters, draws, seed).astype(np.float64)
    drawn.flags.writeable = False
    return drawn


def design_effect(row: Evidence) -> float:
    """Variance of the macro F1 with clusters drawn over that with cells drawn, both linearised, the mean over seeds.

    With b = support + predicted, a cell of true class t predicted as p moves the mean of F1 over K classes by
    −F_t / (K b_t) − F_p / (K b_p), and by 2 / (K b_t) more where t = p.
    """
    if row.size < 2:
        return math.nan
    by_cluster, by_cell = 0.0, 0.0
    for seed, (matrices, counted) in enumerate(zip(row.by_cluster, row.counted, strict=True)):
        change = _influence(matrices.sum(0), row.measured[seed], counted)
        by_cluster += row.size / (row.size - 1) * float((np.tensordot(matrices, change, 2) ** 2).sum())
        by_cell += float((matrices.sum(0) * change**2).sum())
    return by_cluster / by_cell if by_cell else math.nan


def _influence(matrix: NDArray[np.float64], f1: NDArray[np.float64], counted: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(k + 1, k + 1) by how much one more cell in each place moves the macro F1."""
    both = (matrix.sum(0) + matrix.sum(1))[1:]
    use = counted & (both > 0)
    share = np.divide(1.0, both * max(1, counted.sum()), out=np.zeros_like(both), where=use)
    loss, gain = np.append(0, share * f1), np.append(0, 2 * share)
    change: NDArray[np.float64] = np.diag(gain) - loss[:, None] - loss[None, :]
    return change


def without_nan(value: Any) -> Any:
    """Plain data with None for NaN."""
    if isinstance(value, float):
        return None if math.isnan(value) else value
    if isinstance(value, Mapping):
        return {key: without_nan(item) for key, item in value.items()}
    return [without_nan(item) for item in value] if isinstance(value, list | tuple) else value


def with_nan(value: Any) -> Any:
    """Plain data with NaN for None."""
    if value is None:
        return math.nan
    if isinstance(value, Mapping):
        return {key: with_nan(item) for key, item in value.items()}
    return [with_nan(item) for item in value] if isinstance(value, list | tuple) else value
