"""One expert a patient: of those that can speak the one that did best in training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting
from cryostat.cases.methods.batched import partial_loss
from cryostat.cases.methods.experts import EXPERT_SETTINGS, Experts, fit_experts
from cryostat.cases.methods.patterns import parts, prior_where_nothing

_BORROWED = 20.0
"""Patients' worth of an expert's general standing in its standing among those with a pattern."""


@dataclass(frozen=True, eq=False)
class _Chosen(Fitted):
    experts: Experts
    patterns: Tensor
    gain: Tensor

    def log_probabilities(self, offer: Offer) -> Tensor:
        speaking = self.experts.usable(offer.present)
        best = _standing(self.gain, self.patterns, speaking).argmax(-1)
        said = self.experts.log_probabilities(offer)
        index = best[..., None, None].expand(*best.shape, 1, said.shape[-1])
        return prior_where_nothing(said.gather(2, index)[:, :, 0], speaking, self.experts.log_prior)

    def facts(self) -> Mapping[str, Any]:
        """Besides those of the experts: for each of `patterns` what each expert gains, in nats."""
        return {**self.experts.facts(), "patterns": self.patterns.tolist(), "gain": self.gain.tolist()}


class BestExpert(Method):
    """For each pattern of availability the expert with the best log-loss out of fold: what fusion has to beat.

    Experts of different modalities learn from different patients, whose classes may be easier to guess. They are
    compared by what they gain over the prior, among the training patients that have all of the pattern; where those are
    few, by what they gain in general as well. With one modality offered it is that modality's linear probe.
    """

    name = "best-expert"
    about = "For each patient the one expert, of those that it has evidence for, that did best in the inner folds"
    settings: Mapping[str, Setting] = EXPERT_SETTINGS

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Experts, then their standing in each pattern."""
        experts = fit_experts(lesson, choice)
        speaking, patterns = experts.usable(lesson.offer.present), parts(lesson.offer.present.shape[-1])
        loss = torch.stack([partial_loss(said, lesson.allowed) for said in experts.out_of_fold.unbind(2)], -1)
        by_prior = partial_loss(experts.log_prior[:, None].expand_as(experts.out_of_fold[:, :, 0]), lesson.allowed)
        counted = speaking * lesson.weight[..., None]
        return _Chosen(experts, patterns, _gains(by_prior[..., None] - loss, counted, speaking, patterns))


def _gains(gain: Tensor, counted: Tensor, speaking: Tensor, patterns: Tensor) -> Tensor:
    """(F, P, M): mean gain of each expert among patients with all of a pattern, its mean gain in general mixed in."""
    general = (gain * counted).sum(1) / counted.sum(1).clamp(min=1e-12)
    whole = (~patterns | speaking[:, :, None]).all(-1).float()
    among = torch.einsum("fnp,fnm->fpm", whole, gain * counted)
    number = torch.einsum("fnp,fnm->fpm", whole, counted)
    return (among + _BORROWED * general[:, None]) / (number + _BORROWED)


def _standing(gain: Tensor, patterns: Tensor, speaking: Tensor) -> Tensor:
    """(F, n, M): each expert's gain in the patient's pattern, or the largest of `patterns` within it; −∞ if mute."""
    within = (~patterns | speaking[:, :, None]).all(-1)
    size = torch.where(within, patterns.sum(-1), -1)
    place = size.argmax(-1)
    of_patient = gain.gather(1, place[..., None].expand(*place.shape, gain.shape[-1]))
    return torch.where(speaking, of_patient, -torch.inf)
