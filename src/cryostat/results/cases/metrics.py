"""Metrics of cases, each under the name of what it is, on whole stacks of confusion matrices and probabilities at once.

What CoRe-BT's tables call accuracy is the mean recall of the classes (`balanced_accuracy`); the formula that the paper
prints for it is the mean one-against-rest accuracy (`ovr_accuracy_mean`) and a different number.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

Floats = NDArray[np.floating[Any]]

BINS = 10
"""Bins of equal width of the expected calibration error."""

LEAST_PROBABILITY = float(np.finfo(np.float32).eps)
"""Probabilities are taken as at least this in the log-loss: what single precision can tell from 0."""


@dataclass(frozen=True)
class MetricFacts:
    """What is known of a metric.

    Attributes:
        name: Its name in tables and files.
        about: What it is, in a sentence.
        higher_is_better: Which way is better.
        needs: What it is computed from: `classes` (named classes) or `probabilities`.
        ordinal_only: It makes sense for ordered classes alone.
        interval: Kind of its interval; a metric that resampling inflates is centred.
    """

    name: str
    about: str
    higher_is_better: bool = True
    needs: str = "classes"
    ordinal_only: bool = False
    interval: str = "percentile"


METRICS: Mapping[str, MetricFacts] = {
    facts.name: facts
    for facts in (
        MetricFacts(
            "balanced_accuracy", "mean recall of the classes that have patients; CoRe-BT's tables call it accuracy"
        ),
        MetricFacts("accuracy", "share of patients that are right"),
        MetricFacts("ovr_accuracy_mean", "mean over classes of (TP + TN) / N, the formula that CoRe-BT prints"),
        MetricFacts("macro_precision", "mean precision of the classes"),
        MetricFacts("macro_recall", "mean recall of the classes"),
        MetricFacts("macro_f1", "mean F1 of the classes"),
        MetricFacts("weighted_precision", "mean precision, classes weighted by their patients"),
        MetricFacts("weighted_recall", "mean recall, classes weighted by their patients: the accuracy"),
        MetricFacts("weighted_f1", "mean F1, classes weighted by their patients"),
        MetricFacts(
            "quadratic_kappa", "agreement beyond chance, errors weighted by squared distance", ordinal_only=True
        ),
        MetricFacts("auroc", "mean area under the ROC curve, one class against the rest", needs="probabilities"),
        MetricFacts("auprc", "mean average precision, one class against the rest", needs="probabilities"),
        MetricFacts("log_loss", "mean −ln p of the true class", higher_is_better=False, needs="probabilities"),
        MetricFacts(
            "brier", "mean over patients of Σ (p − truth)², 0 to 2", higher_is_better=False, needs="probabilities"
        ),
        MetricFacts(
            "ece",
            f"mean gap of confidence and accuracy, over {BINS} bins of the highest probability",
            higher_is_better=False,
            needs="probabilities",
            interval="centred",
        ),
    )
}
"""All metrics by name, the headline first."""


@dataclass(frozen=True)
class Undefined:
    """What stands for a ratio whose denominator is 0; None leaves the class out of the mean.

    Attributes:
        unpredicted: Precision of a class that has patients and is never predicted.
        absent: Precision, recall and F1 of a class without patients.
    """

    unpredicted: float | None = 0.0
    absent: float | None = None


@dataclass(frozen=True, eq=False)
class PerClass:
    """Scores of each class against the rest, (..., C) each; NaN where the class is left out of the mean."""

    precision: Floats
    recall: Floats
    f1: Floats
    support: Floats


def per_class(confusion: NDArray[Any], undefined: Undefined = Undefined()) -> PerClass:
    """Precision, recall and F1 of each class of the task's fixed label set.

    Args:
        confusion: (..., C, C) patients by true class (rows) and predicted class (columns); may be weighted.
        undefined: What stands for ratios whose denominator is 0.
    """
    hits = np.diagonal(confusion, axis1=-2, axis2=-1)
    support, predicted = _sum(confusion), _sum(np.swapaxes(confusion, -1, -2))
    absent = support == 0
    ratios = (
        _ratio(hits, predicted, undefined.unpredicted),
        _ratio(hits, support, undefined.absent),
        _ratio(2 * hits, support + predicted, undefined.absent),
    )
    nothing = _number(undefined.absent)
    precision, recall, f1 = (np.where(absent, nothing, ratio) for ratio in ratios)
    return PerClass(precision, recall, f1, support)


def _number(value: float | None) -> float:
    return np.nan if value is None else value


def _ratio(part: NDArray[Any], whole: NDArray[Any], otherwise: float | None) -> Floats:
    out: Floats = np.full(np.shape(whole), _number(otherwise), np.result_type(part, np.float32))
    np.divide(part, whole, out=out, where=whole > 0)
    return out


def mean_of_known(values: NDArray[Any], weights: NDArray[Any] | None = None) -> Floats:
    """Mean along the last axis of what is not NaN; NaN where nothing is known."""
    known = ~np.isnan(values)
    share = known.astype(values.dtype) if weights is None else np.where(known, weights, 0).astype(values.dtype)
    return _ratio(_sum(np.where(known, values, 0) * share), _sum(share), None)


def _sum(values: NDArray[Any]) -> NDArray[Any]:
    """Sum along the last axis, as a product: numpy's own sum is slow where that axis is short."""
    k = values.shape[-1]
    summed: NDArray[Any] = values.reshape(-1, k) @ np.ones(k, values.dtype)
    return summed.reshape(values.shape[:-1])


def confusion_metrics(
    confusion: NDArray[Any], *, ordinal: bool = False, undefined: Undefined = Undefined()
) -> dict[str, Floats]:
    """All metrics that follow from named classes.

    Args:
        confusion: (..., C, C) patients by true and predicted class, floats for weighted counts.
        ordinal: The classes are ordered: quadratic kappa too.
        undefined: What stands for ratios whose denominator is 0. Balanced accuracy and everything else but the
            macro means do not depend on it.

    Returns:
        Name to (...) values; NaN where there is no patient.
    """
    counts = np.asarray(confusion, np.result_type(confusion, np.float32))
    scores = per_class(counts, undefined)
    total, hits = _sum(scores.support), _sum(np.diagonal(counts, axis1=-2, axis2=-1))
    accuracy = _ratio(hits, total, None)
    recall = scores.recall if undefined.absent is None else per_class(counts).recall
    found = {
        "balanced_accuracy": mean_of_known(recall),
        "accuracy": accuracy,
        "ovr_accuracy_mean": 1 - 2 * (1 - accuracy) / counts.shape[-1],
        "macro_precision": mean_of_known(scores.precision),
        "macro_recall": mean_of_known(scores.recall),
        "macro_f1": mean_of_known(scores.f1),
        "weighted_precision": mean_of_known(scores.precision, scores.support),
        "weighted_recall": accuracy,
        "weighted_f1": mean_of_known(scores.f1, scores.support),
    }
    return found | ({"quadratic_kappa": quadratic_kappa(counts)} if ordinal else {})


def quadratic_kappa(confusion: NDArray[Any]) -> Floats:
    """Cohen's kappa with quadratic weights of (..., C, C) counts; NaN where chance leaves nothing to disagree on."""
    classes = np.arange(confusion.shape[-1])
    distance = ((classes[:, None] - classes) ** 2).astype(confusion.dtype)
    true, called = _sum(confusion), _sum(np.swapaxes(confusion, -1, -2))
    found = confusion.reshape(*confusion.shape[:-2], -1) @ distance.ravel()
    by_chance = _sum((true @ distance) * called)
    return 1 - _ratio(found * _sum(true), by_chance, None)


def probability_metrics(true: NDArray[Any], p: NDArray[Any]) -> dict[str, Floats]:
    """All metrics that follow from probabilities.

    Args:
        true: (n,) index of the true class.
        p: (..., n, C) probabilities.

    Returns:
        Name to (...) values; NaN where undefined.
    """
    return {
        "auroc": mean_of_known(np.stack([auroc(true == c, p[..., c]) for c in range(p.shape[-1])], -1)),
        "auprc": mean_of_known(np.stack([average_precision(true == c, p[..., c]) for c in range(p.shape[-1])], -1)),
        "log_loss": log_losses(true, p).mean(-1),
        "brier": squared_errors(true, p).mean(-1),
        "ece": np.abs(calibration_gaps(true, p).sum(-2)).sum(-1) / len(true),
    }


def auroc(positive: NDArray[np.bool_], score: NDArray[Any]) -> Floats:
    """Area under the ROC curve of (..., n) scores, ties half; NaN where one side is empty."""
    count = int(positive.sum())
    rest = len(positive) - count
    if not count or not rest:
        return np.full(score.shape[:-1], np.nan)
    ranks = rankdata(score, axis=-1)[..., positive].sum(-1)
    area: Floats = (ranks - count * (count + 1) / 2) / (count * rest)
    return area


def average_precision(positive: NDArray[np.bool_], score: NDArray[Any]) -> Floats:
    """Average precision of (..., n) scores, one threshold for all that tie; NaN where there is no positive."""
    if not positive.any():
        return np.full(score.shape[:-1], np.nan)
    above = len(positive) + 1 - rankdata(score, "min", axis=-1)[..., positive]
    own = positive.sum() + 1 - rankdata(score[..., positive], "min", axis=-1)
    precision: Floats = (own / above).mean(-1)
    return precision


def log_losses(true: NDArray[Any], p: NDArray[Any]) -> Floats:
    """(..., n) −ln p of each patient's true class."""
    chosen = np.take_along_axis(p, np.broadcast_to(true[:, None], (*p.shape[:-1], 1)), -1)[..., 0]
    losses: Floats = -np.log(np.clip(chosen.astype(np.float64), LEAST_PROBABILITY, 1))
    return losses


def squared_errors(true: NDArray[Any], p: NDArray[Any]) -> Floats:
    """(..., n) sum over classes of the squared distance of each patient's probabilities from the truth."""
    truth = np.eye(p.shape[-1])[true]
    errors: Floats = ((p - truth) ** 2).sum(-1)
    return errors


def calibration_gaps(true: NDArray[Any], p: NDArray[Any], bins: int = BINS) -> Floats:
    """(..., n, bins) confidence less correctness of each patient, in the bin of its highest probability."""
    confidence = p.max(-1)
    gap = confidence - (p.argmax(-1) == true)
    bin_of = np.clip((confidence * bins).astype(int), 0, bins - 1)
    gaps: Floats = (bin_of[..., None] == np.arange(bins)) * gap[..., None]
    return gaps
