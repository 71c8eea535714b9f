"""Experts pooled by a rule with one number that is found from what they say of patients that they did not see."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, number
from cryostat.cases.methods.batched import partial_loss, weighted_mean
from cryostat.cases.methods.experts import Experts, fit_experts
from cryostat.cases.methods.patterns import prior_where_nothing

Rule = Callable[[Tensor, Tensor, Experts, Tensor], Tensor]
"""From (F, n, M, C) words of experts, (F, n, M) which of them speak, the experts and (F,) numbers to (F, n, C)."""


@dataclass(frozen=True, eq=False)
class FittedPool(Fitted):
    """F pools of experts."""

    experts: Experts
    rule: Rule
    found: Tensor
    name: str

    def log_probabilities(self, offer: Offer) -> Tensor:
        """What the experts of what is there say together; the prior where none can speak."""
        speaking = self.experts.usable(offer.present)
        said = self.rule(self.experts.log_probabilities(offer), speaking, self.experts, self.found)
        return prior_where_nothing(said, speaking, self.experts.log_prior)

    def facts(self) -> Mapping[str, Any]:
        """Strengths of the experts, and the number."""
        return {**self.experts.facts(), self.name: self.found.tolist()}


class Pool(Method):
    """Experts and a rule.

    Attributes:
        parameter: Name of the setting that is the rule's number; below 0: found out of fold.
        tried: What it is found among; of equals the first.
    """

    parameter: str
    tried: tuple[float, ...]

    @abstractmethod
    def rule(self, said: Tensor, speaking: Tensor, experts: Experts, value: Tensor) -> Tensor:
        """(F, n, C) log-probabilities where at least one expert speaks."""

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> FittedPool:
        """Experts, then the rule's number."""
        experts, given = fit_experts(lesson, choice), number(lesson, choice, self.parameter)
        found = torch.where(given < 0, self._best(lesson, experts), given)
        return FittedPool(experts, self.rule, found, self.parameter)

    def _best(self, lesson: Lesson, experts: Experts) -> Tensor:
        """(F,): the number under which words on unseen training patients lose least."""
        speaking = experts.usable(lesson.offer.present)
        weight = lesson.weight * speaking.any(-1)
        losses = []
        for value in self.tried:
            said = self.rule(experts.out_of_fold, speaking, experts, torch.full((lesson.fits,), value))
            losses.append(weighted_mean(partial_loss(said, lesson.allowed), weight))
        return torch.tensor(self.tried)[torch.stack(losses, -1).argmin(-1)]
