"""How certain a model is of each patient: calibration, and what is gained by answering only where it is certain."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.core.errors import SettingError
from cryostat.results.cases.metrics import BINS, log_losses
from cryostat.results.cases.panel import FULL, Arm, ArmKey, Panel, read_panel
from cryostat.results.cases.subsets import ALL_PATIENTS
from cryostat.results.uncertainty import Estimates, interval, resample

SHARES = tuple(i / 20 for i in range(21))
"""Shares of the patients by default."""

CURVES = ("balanced_accuracy", "accuracy", "log_loss")
"""What is followed along a curve; all are means over patients (of a class)."""


def entropy(p: NDArray[np.float32]) -> NDArray[np.float64]:
    """Uncertainty of (..., C) probabilities, 0 for certainty to 1 for all classes alike."""
    sure = np.clip(p.astype(np.float64), 1e-12, 1)
    found: NDArray[np.float64] = -(sure * np.log(sure)).sum(-1) / np.log(p.shape[-1])
    return found


def chances_of(panel: Panel, key: ArmKey) -> tuple[Arm, NDArray[np.float32]]:
    """An arm and its (R, n, C) probabilities, 0 where a replicate does not test the patient.

    Raises:
        SettingError: The table lacks the arm, or its probabilities.
    """
    arm = panel.arm(key)
    if arm.p is None or np.isnan(arm.p[panel.tested]).any():
        raise SettingError(
            f"the predictions with {key[1]!r} offered have no probabilities",
            remedy="Choose a method that gives probabilities",
        )
    return arm, np.nan_to_num(arm.p)


def outcomes(panel: Panel, key: ArmKey) -> dict[str, NDArray[np.float64]]:
    """What an arm achieved of each patient: (R, n) hits under both accuracies, −ln p under `log_loss`."""
    arm, p = chances_of(panel, key)
    right = (arm.predicted == panel.true).astype(np.float64)
    return {"balanced_accuracy": right, "accuracy": right, "log_loss": log_losses(panel.true, p)}


def uncertainty_ranks(uncertainty: NDArray[np.float64], tested: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Share of a replicate's patients that are less certain, and half of the patient itself.

    Args:
        uncertainty: (R, n).
        tested: (R, n) whom a replicate tests.

    Returns:
        (R, n) between 0 (least certain) and 1; ties in the order of patients; infinite where not tested.
    """
    order = np.argsort(np.where(tested, -uncertainty, np.inf), axis=1, kind="stable")
    ranks = np.empty(order.shape)
    np.put_along_axis(ranks, order, np.arange(order.shape[1])[None] + 0.5, 1)
    return np.where(tested, ranks / np.maximum(tested.sum(1, keepdims=True), 1), np.inf)


def curve(
    part: NDArray[np.float64], whole: NDArray[np.float64], weights: NDArray[np.float32], groups: NDArray[np.int64]
) -> Estimates:
    """Ratios along a curve, each a mean over groups of patients, with intervals from resampled patients.

    Args:
        part: (n, Q) numerators of each patient.
        whole: (n, Q) denominators.
        weights: (B, n) how often each patient is drawn.
        groups: (n,) the class of each patient for a balanced mean, zeros for a plain one.
    """
    rows = np.concatenate([np.ones((1, weights.shape[1]), np.float32), weights])
    ratios = []
    for group in np.unique(groups):
        chosen = groups == group
        with np.errstate(invalid="ignore", divide="ignore"):
            ratios.append((rows[:, chosen] @ part[chosen]) / (rows[:, chosen] @ whole[chosen]))
    stacked = np.stack(ratios)
    known = (~np.isnan(stacked)).sum(0)
    means = np.where(known > 0, np.nansum(stacked, 0) / np.maximum(known, 1), np.nan)
    return interval(means[0], means[1:], weights.shape[1])


def groups_of(metric: str, true: NDArray[np.int64]) -> NDArray[np.int64]:
    """The groups over which a metric is averaged: classes for the balanced one, everybody for the others."""
    return true if metric == "balanced_accuracy" else np.zeros_like(true)


def reliability(
    frame: pd.DataFrame,
    classes: Sequence[str],
    modalities: Sequence[str],
    *,
    offered: str | None = None,
    population: str = ALL_PATIENTS,
    ablation: str = FULL,
    bins: int = BINS,
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """Whether a probability means what it says: confidence against the share that is right.

    Args:
        frame: Predictions of one run.
        classes: Class names of the task, in order.
        modalities: Modalities of the cohort, in order.
        offered: What is offered; by default everything.
        population: `all`, or the modalities that patients have at least.
        ablation: What taking a modality away means.
        bins: Bins of equal width of the highest probability.
        draws: Resamples of patients.
        seed: Of the resamples.

    Returns:
        A row a bin that holds anybody: `from`, `to`, `share` of the patients, `confidence` (mean highest probability),
        `accuracy` of the class that has it, `low` and `high` of the accuracy (95 %, patients resampled).
    """
    panel = read_panel(frame, classes, modalities)
    places = panel.population(population)
    _, p = chances_of(panel, (ablation, panel.everything if offered is None else offered))
    tested, confidence = panel.tested[:, places], p[:, places].max(-1)
    right = p[:, places].argmax(-1) == panel.true[places]
    bin_of = np.clip((confidence * bins).astype(int), 0, bins - 1)
    inside = (bin_of[..., None] == np.arange(bins)) & tested[..., None]
    count = inside.sum(0).astype(np.float64)
    hits, trust = (inside & right[..., None]).sum(0), (inside * confidence[..., None]).sum(0)
    found = curve(hits.astype(np.float64), count, resample(len(places), draws, seed), np.zeros(len(places), np.int64))
    filled = count.sum(0) > 0
    edges = np.arange(bins + 1) / bins
    rows = {
        "from": edges[:-1],
        "to": edges[1:],
        "share": count.sum(0) / max(count.sum(), 1),
        "confidence": trust.sum(0) / np.maximum(count.sum(0), 1),
        "accuracy": found.value,
        "low": found.low,
        "high": found.high,
    }
    return pd.DataFrame(rows)[filled].reset_index(drop=True)


def abstention(
    frame: pd.DataFrame,
    classes: Sequence[str],
    modalities: Sequence[str],
    *,
    offered: str | None = None,
    population: str = ALL_PATIENTS,
    ablation: str = FULL,
    shares: Sequence[float] = SHARES[1:],
    draws: int = 2000,
    seed: int = 0,
) -> pd.DataFrame:
    """How good the answers are when only the most certain share of the patients is answered.

    The thresholds are those of the whole sample; resampling leaves them where they are.

    Args:
        frame: Predictions of one run.
        classes: Class names of the task, in order.
        modalities: Modalities of the cohort, in order.
        offered: What is offered; by default everything.
        population: `all`, or the modalities that patients have at least.
        ablation: What taking a modality away means.
        shares: Shares of the patients that are answered, above 0.
        draws: Resamples of patients.
        seed: Of the resamples.

    Returns:
        A row a metric of `CURVES` and share: `metric`, `answered`, `value`, `low`, `high`. The balanced accuracy is
        over the classes that have an answered patient.

    Raises:
        SettingError: A share is not between 0 and 1, or the arm or its probabilities are not there.
    """
    check_shares(shares)
    panel = read_panel(frame, classes, modalities)
    places, key = panel.population(population), (ablation, panel.everything if offered is None else offered)
    tested, achieved = panel.tested[:, places], outcomes(panel, key)
    ranks = uncertainty_ranks(entropy(chances_of(panel, key)[1][:, places]), tested)
    answered = tested[..., None] & (ranks[..., None] >= 1 - np.asarray(shares))
    weights, parts = resample(len(places), draws, seed), []
    for metric in CURVES:
        part = (answered * achieved[metric][:, places, None]).sum(0)
        found = curve(part, answered.sum(0).astype(np.float64), weights, groups_of(metric, panel.true[places]))
        columns = {"answered": shares, "value": found.value, "low": found.low, "high": found.high}
        parts.append(pd.DataFrame({"metric": metric} | columns))
    return pd.concat(parts, ignore_index=True)


def check_shares(shares: Sequence[float]) -> None:
    """Refuse shares outside 0 … 1.

    Raises:
        SettingError: One of them is.
    """
    if outside := [share for share in shares if not 0 <= share <= 1]:
        raise SettingError(f"share {outside[0]} of the patients", remedy="Choose shares from 0 to 1")
