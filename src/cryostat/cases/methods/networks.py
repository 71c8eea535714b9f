"""What the small networks share: they practise on parts of what patients have, and answer from the prior otherwise."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from cryostat.cases.methods.base import Fitted, Lesson, Offer, Setting, number
from cryostat.cases.methods.batched import balanced_weight, partial_loss, train, weighted_mean
from cryostat.cases.methods.experts import masked
from cryostat.cases.methods.patterns import Rows, practice, prior_where_nothing

Encoded = tuple[Tensor, ...]
Mean = Callable[[Tensor, Tensor], Tensor]

PRACTICE: Mapping[str, Setting] = {
    "own": Setting(0.3, "Weight of all that a patient has; the rest goes evenly to the parts of it"),
    "steps": Setting(80, "Steps of training"),
    "rate": Setting(0.03, "Learning rate at the start"),
    "strength": Setting(
        15.0, "L2 penalty λ/2 ‖weights‖² beside the summed loss, 1/C of a regression", (5.0, 15.0, 50.0)
    ),
    "balanced": Setting(False, "Every class weighs the same in training"),
}
"""Settings of every method that practises on parts."""


class Network(nn.Module, ABC):
    """F networks that look at each modality by itself first, so that parts of the evidence cost little more."""

    @abstractmethod
    def encode(self, blocks: tuple[Tensor, ...]) -> Encoded:
        """Blocks (F, n, d_m) to what is made of each modality alone, (F, n, h)."""

    @abstractmethod
    def fuse(self, encoded: Encoded, present: Tensor) -> Tensor:
        """(F, n, C) log-probabilities from what is present (F, n, M); nothing else may have an influence."""

    def auxiliary(self, encoded: Encoded, present: Tensor, lesson: Lesson, weight: Tensor) -> Tensor:
        """(F,): what is added to the loss."""
        return torch.zeros(lesson.fits, device=present.device)

    def forward(self, offer: Offer) -> Tensor:
        """(F, n, C) log-probabilities."""
        return self.fuse(self.encode(masked(offer.blocks, offer.present)), offer.present)


@dataclass(frozen=True, eq=False)
class FittedNetwork(Fitted):
    """Networks after training."""

    network: Network
    log_prior: Tensor
    learnt: Mapping[str, Any] = field(default_factory=dict)

    def log_probabilities(self, offer: Offer) -> Tensor:
        """What the network says; the prior where nothing is there."""
        with torch.no_grad():
            return prior_where_nothing(self.network(offer), offer.present, self.log_prior)

    def facts(self) -> Mapping[str, Any]:
        """What training kept."""
        return self.learnt


def practise(
    network: Network,
    lesson: Lesson,
    choice: Mapping[str, Any],
    rows: Rows | None = None,
    mean: Mean = weighted_mean,
) -> None:
    """Train on all that patients have and on the parts of it.

    Minimises Σ_i w_i Σ_S λ_iS · CE(f(x_iS), y_i) + λ/2 ‖weights‖² with λ_iS from `views`: modality dropout, enumerated.

    Args:
        network: Trained in place.
        lesson: What to learn from.
        choice: Settings of `PRACTICE`.
        rows: What is practised on; None: by the setting `own`.
        mean: From losses (F, R) and weights (F, R) of the rows to (F,).
    """
    rows = rows or practice(lesson.offer.present, number(lesson, choice, "own"))
    weight = balanced_weight(lesson) if choice["balanced"] else lesson.weight
    penalty = number(lesson, choice, "strength") / (2 * weight.sum(-1).clamp(min=1))
    blocks = masked(lesson.offer.blocks, lesson.offer.present)
    allowed, counted = rows.of(lesson.allowed), rows.of(weight) * rows.share

    def loss() -> Tensor:
        encoded = network.encode(blocks)
        said = network.fuse(tuple(rows.of(part) for part in encoded), rows.present)
        extra = network.auxiliary(encoded, lesson.offer.present, lesson, weight)
        return mean(partial_loss(said, allowed), counted) + extra + penalty * size(network)

    # The penalty is part of the loss, so that it means the same for 70 patients and for 400.
    train(network, loss, steps=int(choice["steps"]), rate=float(choice["rate"]), decay=torch.zeros(lesson.fits))


def size(network: nn.Module) -> Tensor:
    """(F,): sum of squares of all weights, biases aside."""
    weights = [p for name, p in network.named_parameters() if not name.endswith("bias")]
    return torch.stack([weight.square().flatten(1).sum(-1) for weight in weights]).sum(0)
