"""Fitting the cell probe: a classifier of pooled features, in seconds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryostat.cells.heads.probe import CellProbe
from cryostat.cells.heads.settings import CellProbeSettings
from cryostat.cells.training.classifier import fit_classifier
from cryostat.cells.training.common import IGNORED, Outputs, Standardiser, TrainingLog
from cryostat.core.errors import InputError

Evaluate = Callable[[NDArray[np.float32]], float]
"""Probabilities of the validation nuclei (n, K) to their macro F1."""


@dataclass(frozen=True)
class FittedProbe:
    """A fitted probe with everything needed to apply it."""

    model: nn.Module
    standardiser: Standardiser
    log: TrainingLog

    def probabilities(self, features: NDArray[np.float32], device: torch.device) -> NDArray[np.float32]:
        """(n, C) pooled features to (n, K) probabilities."""
        return _probabilities(self.model, torch.from_numpy(self.standardiser(features)).to(device))


def fit_probe(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    valid: NDArray[np.float32],
    evaluate: Evaluate,
    outputs: Outputs,
    settings: CellProbeSettings,
    *,
    seed: int,
    device: torch.device,
) -> FittedProbe:
    """Fit a probe and keep the weights that were best on the validation nuclei.

    Args:
        features: (n, C) pooled features of the training nuclei.
        labels: (n,) class ids; 0 is left out.
        valid: (m, C) pooled features of the validation nuclei.
        evaluate: Scores their (m, K) probabilities.
        outputs: The classes to tell apart.
        settings: Size of the probe and its training.
        seed: Seeds initialisation, order and dropout.
        device: Where to fit.

    Raises:
        InputError: No training nucleus has a class.
    """
    targets = outputs.targets(labels)
    keep = targets != IGNORED
    if not keep.any():
        raise InputError("no training nucleus has a class", remedy="Choose a larger fraction or another split")
    standardiser = Standardiser.fit([features[keep]])
    x, x_valid = standardiser(features[keep]), torch.from_numpy(standardiser(valid)).to(device)
    model, log = fit_classifier(
        lambda: CellProbe(x.shape[1], len(outputs), settings.hidden, settings.dropout),
        x,
        targets[keep],
        len(outputs),
        lambda candidate: evaluate(_probabilities(candidate, x_valid)),
        settings,
        seed=seed,
        device=device,
    )
    return FittedProbe(model, standardiser, log)


@torch.no_grad()
def _probabilities(model: nn.Module, features: Tensor) -> NDArray[np.float32]:
    blocks = [model(block).softmax(1).cpu() for block in features.split(65_536)]
    return torch.cat(blocks).numpy()
