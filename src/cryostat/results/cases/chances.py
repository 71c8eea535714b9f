"""Metrics of probabilities on thousands of resamples at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.results.cases.metrics import Floats, calibration_gaps, log_losses, mean_of_known, squared_errors
from cryostat.results.cases.ranking import pair_wins, precision_changes


def resampled_chances(
    true: NDArray[np.int64], p: NDArray[np.float32], weights: NDArray[np.float32]
) -> dict[str, Floats]:
    """Each metric of probabilities on weighted patients, mean over replicates.

    Args:
        true: (n,) index of the true class.
        p: (R, n, C) probabilities.
        weights: (B, n) how often each patient counts.

    Returns:
        Name to (B,) values; NaN where undefined.
    """
    losses = np.stack([log_losses(true, p).mean(0), squared_errors(true, p).mean(0)], 1)
    means = _share(weights @ losses.astype(np.float32), weights.sum(1, keepdims=True))
    return {
        "auroc": _areas(true, p, weights),
        "auprc": _precisions(true, p, weights),
        "log_loss": means[:, 0],
        "brier": means[:, 1],
        "ece": _share(_gaps(true, p, weights), weights.sum(1)),
    }


def _share(part: NDArray[Any], whole: NDArray[Any]) -> Floats:
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = part / whole
    return found


def _areas(true: NDArray[np.int64], p: NDArray[np.float32], weights: NDArray[np.float32]) -> Floats:
    areas = []
    for c in np.unique(true):
        positive = true == c
        ours, others = weights[:, positive], weights[:, ~positive]
        won = ((ours @ pair_wins(p[..., c], positive)) * others).sum(1)
        areas.append(_share(won, ours.sum(1) * others.sum(1)))
    return mean_of_known(np.stack(areas, 1))


def _precisions(true: NDArray[np.int64], p: NDArray[np.float32], weights: NDArray[np.float32]) -> Floats:
    parts = [precision_changes(p[..., c], true == c) for c in np.unique(true)]
    value = np.mean([value for value, _ in parts])
    changes = np.mean([change for _, change in parts], 0).astype(np.float32)
    precisions: Floats = np.clip(value + weights @ changes, 0, 1)
    return precisions


def _gaps(true: NDArray[np.int64], p: NDArray[np.float32], weights: NDArray[np.float32]) -> Floats:
    gaps = calibration_gaps(true, p).astype(np.float32)
    columns = gaps.transpose(1, 0, 2).reshape(len(true), -1)
    summed: Floats = np.abs(weights @ columns[:, columns.any(0)]).sum(1) / len(p)
    return summed
