"""Fitting the cell probe: a classifier of pooled features, in seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cryostat.cells.heads.probe import CellProbe
from cryostat.cells.heads.registry import CellProbeSettings
from cryostat.cells.training.common import (
    IGNORED,
    BestKeeper,
    Outputs,
    Standardiser,
    TrainingLog,
    adamw,
    class_weights,
    seeded,
)
from cryostat.core.errors import InputError

Evaluate = Callable[[NDArray[np.float32]], float]
"""Probabilities of the validation nuclei (n, K) to their macro F1."""


@dataclass(frozen=True)
class FittedProbe:
    """A fitted probe with everything needed to apply it."""

    model: CellProbe
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
    x = torch.from_numpy(standardiser(features[keep])).to(device)
    y = torch.from_numpy(targets[keep]).to(device)
    x_valid = torch.from_numpy(standardiser(valid)).to(device)
    weights = class_weights(np.bincount(targets[keep], minlength=len(outputs)), settings.balance).to(device)
    with seeded(seed):
        model = CellProbe(x.shape[1], len(outputs), settings.hidden, settings.dropout).to(device)
        keeper = BestKeeper(model, settings.patience)
        _train(model, keeper, x, y, weights, settings, lambda: evaluate(_probabilities(model, x_valid)))
    keeper.restore()
    keeper.log.optimised = [name for name, _ in model.named_parameters()]
    return FittedProbe(model, standardiser, keeper.log)


def _train(
    model: nn.Module,
    keeper: BestKeeper,
    x: Tensor,
    y: Tensor,
    weights: Tensor,
    settings: CellProbeSettings,
    validate: Callable[[], float],
) -> None:
    optimiser, schedule = adamw(model, settings.lr, settings.weight_decay, settings.steps)
    batches, total = _batches(len(x), settings.batch), 0.0
    for step in range(1, settings.steps + 1):
        rows = next(batches).to(x.device)
        model.train()
        loss = F.cross_entropy(model(x[rows]), y[rows], weights, label_smoothing=settings.label_smoothing)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        total += float(loss.detach())
        if step % settings.validate_every == 0 or step == settings.steps:
            if keeper.look(step, validate(), total / settings.validate_every):
                return
            total = 0.0


def _batches(n: int, size: int) -> Iterator[Tensor]:
    """Shuffled row numbers without end."""
    while True:
        yield from torch.randperm(n).split(size)


@torch.no_grad()
def _probabilities(model: nn.Module, features: Tensor) -> NDArray[np.float32]:
    model.eval()
    blocks = [model(block).softmax(1).cpu() for block in features.split(65_536)]
    return torch.cat(blocks).numpy()
