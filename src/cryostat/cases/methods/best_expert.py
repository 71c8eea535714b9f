"""One expert a patient: of those that can speak the one that did best in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting
from cryostat.cases.methods.experts import EXPERT_SETTINGS, Experts, fit_experts
from cryostat.cases.methods.patterns import prior_where_nothing


@dataclass(frozen=True, eq=False)
class _Chosen(Fitted):
    experts: Experts
    loss: Tensor

    def log_probabilities(self, offer: Offer) -> Tensor:
        speaking = self.experts.usable(offer.present)
        rank = torch.where(speaking, self.loss[:, None], torch.inf).argmin(-1)
        said = self.experts.log_probabilities(offer)
        index = rank[..., None, None].expand(*rank.shape, 1, said.shape[-1])
        return prior_where_nothing(said.gather(2, index)[:, :, 0], speaking, self.experts.log_prior)

    def facts(self) -> Mapping[str, Any]:
        return self.experts.facts()


class BestExpert(Method):
    """For each pattern of availability the expert with the lowest inner log-loss: what fusion has to beat.

    With one modality offered it is that modality's linear probe.
    """

    name = "best-expert"
    about = "For each patient the one expert, of those that it has evidence for, that did best in the inner folds"
    settings: Mapping[str, Setting] = EXPERT_SETTINGS

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Experts alone."""
        experts = fit_experts(lesson, choice)
        return _Chosen(experts, torch.stack([probe.inner_loss for probe in experts.probes], -1))
