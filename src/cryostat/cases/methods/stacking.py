"""Stacking: a linear model on what experts say of patients that they did not see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting, number
from cryostat.cases.methods.experts import EXPERT_SETTINGS, Experts, fit_experts
from cryostat.cases.methods.patterns import practice, prior_where_nothing
from cryostat.cases.methods.probe import Probe, fit_probe


def evidence(said: Tensor, speaking: Tensor, log_prior: Tensor) -> Tensor:
    """(F, n, M·C + M): log p_m − log π of the experts that speak, 0 of the others, and who speaks."""
    excess = (said - log_prior[:, None, None]) * speaking[..., None]
    return torch.cat([excess.flatten(2), speaking.float()], -1)


@dataclass(frozen=True, eq=False)
class _Stack(Fitted):
    experts: Experts
    probe: Probe

    def log_probabilities(self, offer: Offer) -> Tensor:
        speaking = self.experts.usable(offer.present)
        x = evidence(self.experts.log_probabilities(offer), speaking, self.experts.log_prior)
        return prior_where_nothing(self.probe.log_probabilities(x), speaking, self.experts.log_prior)

    def facts(self) -> Mapping[str, Any]:
        return {**self.experts.facts(), "strength": self.probe.strength.tolist()}


class Stacking(Method):
    """A multinomial model on [m_i (log p_i − log π); m], taught by out-of-fold words of the experts.

    One set of weights serves every pattern, so that it is taught parts of what patients have as well: else an expert
    that mostly spoke beside a better one would hardly be heard alone.
    """

    name = "stacking"
    about = "A linear model on what the experts say, taught by their words on patients that they did not see"
    source = "Stacked generalisation (Wolpert 1992)"
    settings: Mapping[str, Setting] = {
        **EXPERT_SETTINGS,
        "own": Setting(0.5, "Weight of all that a patient has; the rest goes evenly to the parts of it"),
    }

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Experts, then one convex problem a fit."""
        experts = fit_experts(lesson, choice)
        rows = practice(experts.usable(lesson.offer.present), number(lesson, choice, "own"))
        x = evidence(rows.of(experts.out_of_fold), rows.present, experts.log_prior)
        taught = replace(lesson, allowed=rows.of(lesson.allowed), inner=rows.of(lesson.inner))
        return _Stack(experts, fit_probe(x, taught, rows.of(lesson.weight) * rows.share))
