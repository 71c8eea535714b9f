"""In distribution against shifted: how much is lost, per class and in the mean, and how much of it is the class mix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError
from cryostat.results.comparison import alike
from cryostat.results.evidence import RARE_CLUSTERS, Evidence, draws_for, evidence, rarity
from cryostat.results.intervals import cell_intervals, weights, without_nan
from cryostat.results.predictions import group_columns
from cryostat.results.records import RunRecord
from cryostat.results.uncertainty import Estimate, Estimates, interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ShiftScore:
    """One score, in distribution and shifted, means over seeds.

    Attributes:
        name: `macro_f1`, `accuracy`, or the name of a class.
        base: In distribution.
        shifted: Shifted.
        change: Shifted less base, with its interval; below 0 is a loss.
        matched: Shifted, with its true classes reweighted to the mix in distribution.
        matched_change: `matched` less `base`, with its interval: what is left once prevalence is set aside.
        supports: True cells of the class in distribution and shifted; of all classes for the means.
        rare: Why a class is marked; empty otherwise.
    """

    name: str
    base: float
    shifted: float
    change: Estimate
    matched: float
    matched_change: Estimate
    supports: tuple[int, int]
    rare: str = ""


@dataclass(frozen=True)
class GroupScore:
    """Macro F1 of one group of fields.

    Attributes:
        column: Column of the predictions that makes the group (`site`, `group_stage`).
        group: Its value.
        cells: Cells scored.
        clusters: Patients, else fields.
        macro_f1: Over the classes with a true cell in every group of the column.
        classes: How many these are.
    """

    column: str
    group: str
    cells: int
    clusters: int
    macro_f1: Estimate
    classes: int


@dataclass(frozen=True)
class Shift:
    """One encoder and head, in distribution and shifted.

    Attributes:
        clusters: How many clusters in distribution and shifted.
        shared: How many of them are in both.
        kind: What a cluster is: `patient`, `field`, `patient or field`.
        means: Macro F1 and accuracy over the classes with true cells in both.
        classes: F1 of these classes.
        left_out: Classes with true cells in one part alone; their cells are left out of both.
        groups: Groups of the shifted part, for each column that makes two or more of at least three clusters.
    """

    clusters: tuple[int, int]
    shared: int
    kind: str
    means: tuple[ShiftScore, ...]
    classes: tuple[ShiftScore, ...]
    left_out: tuple[str, ...]
    groups: tuple[GroupScore, ...]

    @property
    def macro_f1(self) -> ShiftScore:
        """The score that rows are ranked by."""
        return self.means[0]

    @property
    def worst(self) -> tuple[GroupScore, ...]:
        """The group with the lowest macro F1 of each column; the lowest of several is low by chance too."""
        columns = dict.fromkeys(group.column for group in self.groups)
        return tuple(min((g for g in self.groups if g.column == c), key=lambda g: g.macro_f1.value) for c in columns)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; what is undefined is None."""
        plain: dict[str, Any] = without_nan(asdict(self))
        return plain


def shift_of_runs(base: Sequence[RunRecord], shifted: Sequence[RunRecord]) -> Shift:
    """The shift between two rows of one encoder and head on two splits of a dataset; see `shift`."""
    return shift(evidence(base), evidence(shifted))


def shift(base: Evidence, shifted: Evidence, *, draws: int | None = None, seed: int = 0) -> Shift:
    """Compare one encoder and head on two test parts.

    Patients in one part alone are resampled within it; those in both are drawn for both at once.

    Args:
        base: Evidence in distribution.
        shifted: Evidence of the shifted part.
        draws: How many resamples; by default `draws_for` the number of clusters.
        seed: Of the resamples.

    Raises:
        InputError: No class has true cells in both.
    """
    one, two = alike(base, shifted)
    there = (one.supports > 0) & (two.supports > 0)
    if not there.any():
        raise InputError("have no class in common", where="parts to compare", remedy="Choose splits of one dataset")
    number = draws or draws_for(max(one.size, two.size))
    drawn, shared = _drawn(one, two, number, seed)
    whole = _scores(one, two, there, (np.ones((1, one.size)), np.ones((1, two.size))))
    measured, resampled = _with_macro(whole, whole)[:, 0], _with_macro(_scores(one, two, there, drawn), whole)
    change, matched = (_interval(measured[i] - measured[0], resampled[i] - resampled[0], one, two) for i in (1, 2))
    names = [name for name, known in zip(one.names.values(), there, strict=True) if known]
    scores = _shift_scores(names, measured, change, matched, *(row.supports[there] for row in (one, two)))
    return Shift(
        clusters=(one.size, two.size),
        shared=shared,
        kind=two.kind,
        means=scores[:2],
        classes=_marked(scores[2:], one, two, there),
        left_out=tuple(
            name
            for name, a, b in zip(one.names.values(), one.supports, two.supports, strict=True)
            if (a > 0) != (b > 0)
        ),
        groups=tuple(group for column in _columns(two) for group in group_scores(two, column)),
    )


def _interval(value: Floats, resampled: Floats, one: Evidence, two: Evidence) -> Estimates:
    """The smaller of the two effective numbers of clusters tells how much to trust the resamples."""
    least = round(min(one.effective[0], two.effective[0]))
    number = max(2, least) if min(one.size, two.size) > 1 else 1
    return interval(value, resampled, number, method="centred")


def _shift_scores(
    names: Sequence[str],
    measured: Floats,
    change: Estimates,
    matched: Estimates,
    first: NDArray[np.int64],
    second: NDArray[np.int64],
) -> tuple[ShiftScore, ...]:
    totals = (int(first.sum()), int(second.sum()))
    supports = [totals, totals, *((int(a), int(b)) for a, b in zip(first, second, strict=True))]
    return tuple(
        ShiftScore(
            name,
            float(measured[0, i]),
            float(measured[1, i]),
            change.at(i),
            float(measured[2, i]),
            matched.at(i),
            supports[i],
        )
        for i, name in enumerate(["macro_f1", "accuracy", *names])
    )


def _marked(
    scores: Sequence[ShiftScore], one: Evidence, two: Evidence, there: NDArray[np.bool_]
) -> tuple[ShiftScore, ...]:
    marks = [
        rarity(int(one.supports[i]), int(one.spread[i]), one.kind)
        or rarity(int(two.supports[i]), int(two.spread[i]), two.kind)
        for i in np.flatnonzero(there)
    ]
    return tuple(replace(score, rare=mark) for score, mark in zip(scores, marks, strict=True))


def _drawn(one: Evidence, two: Evidence, draws: int, seed: int) -> tuple[tuple[Floats, Floats], int]:
    """How often each cluster of either part is drawn, and how many clusters are in both."""
    ours, theirs = _labels(one), _labels(two)
    shared = {label: i for i, label in enumerate(sorted(set(ours) & set(theirs)))}
    together = weights(len(shared), draws, seed + 2) if shared else np.zeros((draws, 0))
    found = []
    for part, labels in enumerate((ours, theirs)):
        alone = np.array([label not in shared for label in labels])
        drawn = np.zeros((draws, len(labels)))
        drawn[:, alone] = weights(int(alone.sum()), draws, seed + part) if alone.any() else 0
        drawn[:, ~alone] = together[:, [shared[label] for label in labels if label in shared]]
        found.append(drawn)
    return (found[0], found[1]), len(shared)


def _labels(row: Evidence) -> list[str]:
    """Name of each cluster."""
    named = {}
    for code, patient, field in zip(row.clusters, row.fields["patient_id"], row.fields["fov_id"], strict=True):
        named[int(code)] = f"field {field}" if patient is None else f"patient {patient}"
    return [named[code] for code in range(row.size)]


def _scores(one: Evidence, two: Evidence, there: NDArray[np.bool_], drawn: tuple[Floats, Floats]) -> Floats:
    """(3, draws, 1 + shared classes) base, shifted and shifted with the class mix of base: means over seeds."""
    base = [_sums(drawn[0], one.by_cluster[s], there) for s in range(one.seeds)]
    mix = base[0].sum(2)
    shifted = [_sums(drawn[1], two.by_cluster[s], there) for s in range(two.seeds)]
    found = [
        np.mean([_accuracy_and_f1(sums, there) for sums in base], 0),
        np.mean([_accuracy_and_f1(sums, there) for sums in shifted], 0),
        np.mean([_accuracy_and_f1(_reweighted(sums, mix), there) for sums in shifted], 0),
    ]
    return np.stack(found)


def _sums(drawn: Floats, by_cluster: Floats, there: NDArray[np.bool_]) -> Floats:
    """(draws, shared classes, k + 1) summed confusion matrices, rows of the shared classes alone."""
    rows = by_cluster[:, 1:][:, there]
    sums: Floats = (drawn @ rows.reshape(len(rows), -1)).reshape(len(drawn), *rows.shape[1:])
    return sums


def _reweighted(sums: Floats, mix: Floats) -> Floats:
    """The same, rows scaled to sum to `mix`; a row without a cell stays empty."""
    support = sums.sum(2)
    scale: Floats = np.divide(mix, support, out=np.zeros_like(mix), where=support > 0)
    return sums * scale[..., None]


def _accuracy_and_f1(sums: Floats, there: NDArray[np.bool_]) -> Floats:
    """(draws, 1 + shared classes) accuracy, and the F1 of each class; NaN where it is not drawn."""
    columns = np.flatnonzero(there) + 1
    hits = sums[:, np.arange(len(columns)), columns]
    support, predicted = sums.sum(2), sums.sum(1)[:, columns]
    f1 = np.divide(2 * hits, support + predicted, out=np.full_like(hits, np.nan), where=support > 0)
    return np.column_stack([hits.sum(1) / np.maximum(1, support.sum(1)), f1])


def _with_macro(scores: Floats, whole: Floats) -> Floats:
    """(3, draws, 2 + shared classes) the macro F1 before the others; a class that is not drawn keeps its F1 in it."""
    f1 = np.where(np.isnan(scores[..., 1:]), whole[..., 1:], scores[..., 1:])
    return np.concatenate([f1.mean(-1, keepdims=True), scores], -1)


def _columns(row: Evidence) -> list[str]:
    return [name for name in ("site", *group_columns(row.fields.columns)) if row.fields[name].notna().any()]


def group_scores(row: Evidence, column: str) -> tuple[GroupScore, ...]:
    """Macro F1 of the groups that a column makes, over the classes with a true cell in each.

    Args:
        row: What was found.
        column: `site`, or a column of groups.

    Returns:
        The groups of three or more clusters, lowest macro F1 first; none where there are fewer than two.
    """
    values = row.fields[column]
    parts = {str(v): row.of_fields((values == v).to_numpy()) for v in sorted(values.dropna().unique())}
    parts = {name: part for name, part in parts.items() if part.size >= RARE_CLUSTERS}
    if len(parts) < 2:
        return ()
    shared = np.logical_and.reduce([part.supports > 0 for part in parts.values()])
    if not shared.any():
        return ()
    found = []
    for name, part in parts.items():
        scores = cell_intervals(replace(part, counted=np.broadcast_to(shared, part.counted.shape)))
        group = GroupScore(column, name, scores.cells, scores.clusters, scores.macro_f1, int(shared.sum()))
        found.append(group)
    return tuple(sorted(found, key=lambda group: group.macro_f1.value))
