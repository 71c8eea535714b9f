"""The seeds of one row on the same nuclei, as sums by cluster: what is resampled, and how sums become scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.core.errors import InputError
from cryostat.core.identity import digest
from cryostat.results.records import RunRecord
from cryostat.results.scores import CLASS_SETS
from cryostat.results.tallies import Tallies, pooled, tallies_of
from cryostat.results.uncertainty import DRAWS, cluster_codes

RARE_CELLS, RARE_CLUSTERS = 20, 3
"""A class with fewer true cells, or true cells in fewer clusters, is marked: its interval says little."""

HEADS = ("macro_f1", "macro_f1_common", "accuracy")
"""What `Evidence.score` gives before the F1 of the classes."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """One row of results: one or more seeds, folds pooled, all tested on the same nuclei.

    Attributes:
        names: Class id to name, ids ascending, without background.
        class_set: Name of the rule by which classes count.
        fields: A row a field of view, as in `Tallies`.
        clusters: (fields,) number of each field's cluster.
        kind: What a cluster is: `patient`, `field`, or `patient or field` where some patients are unknown.
        confusions: (seeds, fields, k + 1, k + 1) cells by true and predicted class, background first; unlabelled
            cells are left out where the class set does not count them.
        counted: (seeds, k) which classes the macro mean of each seed is taken over.
        key: Hash of all predictions that went in, and of the class set.
    """

    names: Mapping[int, str]
    class_set: str
    fields: pd.DataFrame
    clusters: NDArray[np.int64]
    kind: str
    confusions: NDArray[np.int64]
    counted: NDArray[np.bool_]
    key: str

    @property
    def seeds(self) -> int:
        """How many seeds."""
        return len(self.confusions)

    @property
    def classes(self) -> int:
        """k, the number of classes."""
        return len(self.names)

    @cached_property
    def nuclei(self) -> str:
        """Hash of the nuclei and their true classes: rows with the same one can be paired."""
        return digest(sorted(_by_field(self.fields).items()))

    @property
    def size(self) -> int:
        """How many clusters."""
        return int(self.clusters.max(initial=-1)) + 1

    @cached_property
    def by_cluster(self) -> NDArray[np.float64]:
        """(seeds, clusters, k + 1, k + 1) confusion matrices of the clusters."""
        found = np.zeros((self.size, self.seeds, *self.confusions.shape[2:]))
        np.add.at(found, self.clusters, self.confusions.swapaxes(0, 1))
        return found.swapaxes(0, 1)

    @cached_property
    def cells(self) -> int:
        """How many cells are scored."""
        return int(self.confusions[0].sum())

    @cached_property
    def supports(self) -> NDArray[np.int64]:
        """(k,) true cells by class."""
        cells: NDArray[np.int64] = self.confusions[0].sum((0, 2))[1:]
        return cells

    @cached_property
    def spread(self) -> NDArray[np.int64]:
        """(k,) clusters that have a true cell of the class."""
        clusters: NDArray[np.int64] = (self.by_cluster[0].sum(2)[:, 1:] > 0).sum(0)
        return clusters

    @cached_property
    def rare(self) -> tuple[str, ...]:
        """(k,) why a class is marked; empty for those that are not, and for those without a true cell."""
        return tuple(rarity(int(s), int(c), self.kind) for s, c in zip(self.supports, self.spread, strict=True))

    @cached_property
    def statistics(self) -> NDArray[np.float64]:
        """(clusters, seeds · (3k + 2)) what each cluster adds: hits, support, both; right cells, all cells."""
        return np.concatenate([summed(seed) for seed in self.by_cluster], 1)

    @cached_property
    def measured(self) -> NDArray[np.float64]:
        """(seeds, k) F1 of the whole; 0 where undefined."""
        hits, _, both, *_ = _parts(self.statistics.sum(0), self.seeds, self.classes)
        return np.divide(2 * hits, both, out=np.zeros_like(hits), where=both > 0)

    def score(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores from summed statistics, the mean over seeds.

        Where a resample holds no cell of a class it says nothing of it: the class keeps its measured F1 in the macro
        means, whose classes stay the same, and its own F1 is undefined.

        Args:
            sums: (..., seeds · (3k + 2)).

        Returns:
            (..., 3 + k) macro F1, macro F1 without rare classes, accuracy, F1 of each class.
        """
        scores: NDArray[np.float64] = self.score_seeds(sums).mean(-2)
        return scores

    def score_seeds(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """As `score`, (..., seeds, 3 + k)."""
        hits, support, both, right, cells = _parts(sums, self.seeds, self.classes)
        kept = np.broadcast_to(self.measured, hits.shape).copy()
        f1 = np.divide(2 * hits, both, out=kept, where=support > 0)
        common = self.counted & (np.array(self.rare) == "")
        accuracy = np.divide(right, cells, out=np.full_like(right, np.nan), where=cells > 0)
        heads = [_mean_over(f1, self.counted), _mean_over(f1, common), accuracy]
        unknown = (support == 0) & (self.supports > 0) | ~self.counted
        return np.concatenate([np.stack(heads, -1), np.where(unknown, np.nan, f1)], -1)

    @cached_property
    def effective(self) -> NDArray[np.float64]:
        """(3 + k) effective number of clusters: of cells for the means, of its true cells for each class."""
        cells = self.by_cluster[0].sum((1, 2))
        by_class = self.by_cluster[0].sum(2)[:, 1:]
        return np.array([effective_number(sizes) for sizes in (*[cells] * len(HEADS), *by_class.T)])

    def left_out(self) -> NDArray[np.float64]:
        """(clusters, 3 + k) scores with one cluster left out."""
        return self.score(self.statistics.sum(0) - self.statistics)

    def total(self) -> NDArray[np.float64]:
        """(3 + k) scores of the whole, the mean over seeds."""
        return self.score(self.statistics.sum(0))

    def of_seeds(self, seeds: Sequence[int]) -> Evidence:
        """The same with chosen seeds, also several times."""
        chosen = list(seeds)
        return replace(self, confusions=self.confusions[chosen], counted=self.counted[chosen])

    def of_fields(self, wanted: NDArray[np.bool_]) -> Evidence:
        """The part on some fields; a class counts in it if it has a true cell there and counted before."""
        _, clusters = np.unique(self.clusters[wanted], return_inverse=True)
        confusions = self.confusions[:, wanted]
        there = confusions[0].sum((0, 2))[1:] > 0
        fields = self.fields[wanted].reset_index(drop=True)
        key = digest([self.key, fields["fov_id"].tolist()])
        return replace(
            self, fields=fields, clusters=clusters, confusions=confusions, counted=self.counted & there, key=key
        )


def effective_number(sizes: NDArray[np.float64]) -> float:
    """Kish's effective number of clusters: as many as there are when they are of equal size."""
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if sizes.any() else float("nan")


def rarity(support: int, clusters: int, kind: str) -> str:
    """Why a class is marked; empty for a common class and for one without a true cell."""
    if not support:
        return ""
    if support < RARE_CELLS:
        return f"{support} cell{'s' * (support > 1)}"
    return f"{clusters} {kind}{'s' * (clusters > 1)}" if clusters < RARE_CLUSTERS else ""


def draws_for(clusters: int) -> int:
    """How many resamples: 10,000, less for thousands of clusters, where they are slow and intervals are narrow."""
    return min(DRAWS, max(2_000, 5_000_000 // max(1, clusters)))


def summed(confusions: NDArray[np.float64]) -> NDArray[np.float64]:
    """(n, 3k + 2) hits, support and support + predicted by class, right and all cells, of (n, k + 1, k + 1)."""
    hits, support, predicted = (
        np.diagonal(confusions, axis1=1, axis2=2)[:, 1:],
        confusions.sum(2)[:, 1:],
        confusions.sum(1)[:, 1:],
    )
    right, cells = np.trace(confusions, axis1=1, axis2=2), confusions.sum((1, 2))
    return np.column_stack([hits, support, support + predicted, right, cells])


def _parts(sums: NDArray[np.float64], seeds: int, k: int) -> tuple[NDArray[np.float64], ...]:
    """Hits, support, both: (..., seeds, k); right, cells: (..., seeds)."""
    by_seed = sums.reshape(*sums.shape[:-1], seeds, 3 * k + 2)
    by_class = (by_seed[..., i * k : (i + 1) * k] for i in range(3))
    return (*by_class, by_seed[..., -2], by_seed[..., -1])


def _mean_over(f1: NDArray[np.float64], classes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(..., seeds) mean over the classes chosen for each seed; NaN over none."""
    number = classes.sum(-1)
    sums = np.where(classes, f1, 0).sum(-1)
    known = np.broadcast_to(number > 0, sums.shape)
    mean: NDArray[np.float64] = np.divide(sums, number, out=np.full_like(sums, np.nan), where=known)
    return mean


def evidence(records: Sequence[RunRecord]) -> Evidence:
    """What the runs of one row found: folds of a seed are pooled, seeds stand beside each other.

    Args:
        records: Finished runs of cells that differ in seed and fold alone.

    Raises:
        InputError: Predictions are damaged, or the seeds were tested on different nuclei.
    """
    by_seed: dict[str, list[RunRecord]] = {}
    for record in records:
        by_seed.setdefault(digest(record.settings.get("seed")), []).append(record)
    tallies = [pooled([tallies_of(record) for record in group]) for group in by_seed.values()]
    scores = [record.cell_scores() for record in records]
    names = {c.id: c.name for one in scores for c in one.classes}
    return gather(tallies, names, scores[0].class_set)


def gather(seeds: Sequence[Tallies], names: Mapping[int, str], class_set: str = "fixed") -> Evidence:
    """The evidence of tallies, one a seed.

    Raises:
        InputError: They are not of the same nuclei.
    """
    for other in seeds[1:]:
        check_same_nuclei(seeds[0].fields, other.fields)
    fields, names = seeds[0].fields, {key: names[key] for key in sorted(names) if key}
    scores = [tallies.scores(names, class_set) for tallies in seeds]
    names = {c.id: c.name for one in scores for c in one.classes}
    counted = np.array([[c in {one.id for one in s.counted} for c in names] for s in scores], bool)
    known = fields["patient_id"].notna()
    return Evidence(
        names={key: names[key] for key in names},
        class_set=class_set,
        fields=fields,
        clusters=cluster_codes(fields["patient_id"], fields["fov_id"]),
        kind="patient" if known.all() else "patient or field" if known.any() else "field",
        confusions=np.stack([_confusions(tallies, [0, *names], class_set) for tallies in seeds]),
        counted=counted.reshape(len(scores), len(names)),
        key=digest([class_set, [tallies.source for tallies in seeds]]),
    )


def _confusions(tallies: Tallies, ids: Sequence[int], class_set: str) -> NDArray[np.int64]:
    """(fields, k + 1, k + 1) cells by true and predicted class."""
    counts = tallies.counts if CLASS_SETS[class_set].unlabelled else tallies.counts[tallies.counts[:, 1] != 0]
    field, true, predicted, number = counts.T
    found = np.zeros((len(tallies.fields), len(ids), len(ids)), np.int64)
    np.add.at(found, (field, np.searchsorted(ids, true), np.searchsorted(ids, predicted)), number)
    return found


def check_same_nuclei(one: pd.DataFrame, other: pd.DataFrame) -> None:
    """Refuse to pair what was not tested on the same nuclei with the same true classes.

    Raises:
        InputError: The fields, or the nuclei in them, differ.
    """
    if same_nuclei(one, other):
        return
    ours, theirs = _by_field(one), _by_field(other)
    alone = sorted(set(ours) ^ set(theirs))
    if alone:
        problem = f"were tested on different fields: {len(alone)} are in one alone ({', '.join(alone[:3])})"
    else:
        field = next(name for name, nuclei in ours.items() if theirs[name] != nuclei)
        problem = f"were tested on different nuclei, or have other true classes, in field {field!r}"
    raise InputError(problem, where="runs to compare", remedy="Compare runs of the same dataset, split and protocol")


def same_nuclei(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    """Whether two tables of fields are of the same nuclei with the same true classes."""
    return _by_field(one) == _by_field(other)


def _by_field(fields: pd.DataFrame) -> dict[Any, Any]:
    return dict(zip(fields["fov_id"], fields["nuclei"], strict=True))
