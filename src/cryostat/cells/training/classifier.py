"""The one training loop of classifiers of feature vectors: nuclei for the probe, pixels for the linear head."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from cryostat.cells.heads.settings import ClassifierSettings
from cryostat.cells.training.common import BestKeeper, TrainingLog, adamw, class_weights, one_thread, seeded


def fit_classifier(
    build: Callable[[], nn.Module],
    features: NDArray[np.float32],
    targets: NDArray[np.int64],
    outputs: int,
    validate: Callable[[nn.Module], float],
    settings: ClassifierSettings,
    *,
    seed: int,
    device: torch.device,
) -> tuple[nn.Module, TrainingLog]:
    """Fit a classifier and keep the weights that were best on the validation part.

    Args:
        build: Makes the model, from (n, C) features to (n, K) logits.
        features: (n, C) standardised features.
        targets: (n,) output numbers.
        outputs: K.
        validate: Validation macro F1 of a model.
        settings: Of the training.
        seed: Seeds initialisation, order and dropout.
        device: Where to fit.

    Returns:
        The model with its best weights, in eval mode, and what happened.
    """
    x, y = torch.from_numpy(features).to(device), torch.from_numpy(targets).to(device)
    weights = class_weights(np.bincount(targets, minlength=outputs), settings.balance).to(device)
    with seeded(seed):
        model = build().to(device)
        keeper = BestKeeper(model, settings.patience)
        _train(model, keeper, x, y, weights, settings, validate)
    keeper.restore()
    keeper.log.optimised = [name for name, _ in model.named_parameters()]
    return model.eval(), keeper.log


def _train(
    model: nn.Module,
    keeper: BestKeeper,
    x: Tensor,
    y: Tensor,
    weights: Tensor,
    settings: ClassifierSettings,
    validate: Callable[[nn.Module], float],
) -> None:
    optimiser, schedule = adamw(model, settings.lr, settings.weight_decay, settings.steps)
    batches, total, since = _batches(len(x), settings.batch), 0.0, 0
    for step in range(1, settings.steps + 1):
        rows = next(batches).to(x.device)
        model.train()
        with one_thread():
            loss = F.cross_entropy(model(x[rows]), y[rows], weights, label_smoothing=settings.label_smoothing)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
        schedule.step()
        total, since = total + float(loss.detach()), since + 1
        if step % settings.validate_every == 0 or step == settings.steps:
            model.eval()
            if keeper.look(step, validate(model), total / since):
                return
            total, since = 0.0, 0


def _batches(n: int, size: int) -> Iterator[Tensor]:
    """Shuffled row numbers without end."""
    while True:
        yield from torch.randperm(n).split(size)
