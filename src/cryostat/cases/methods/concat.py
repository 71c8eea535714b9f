"""Concatenation: one linear model on everything side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting, number
from cryostat.cases.methods.batched import balanced_weight
from cryostat.cases.methods.patterns import practice, prior_where_nothing, side_by_side
from cryostat.cases.methods.probe import Probe, fit_probe


@dataclass(frozen=True, eq=False)
class FittedProbe(Fitted):
    """F linear probes on something made of an offer.

    Attributes:
        probe: The probes.
        log_prior: (F, C).
    """

    probe: Probe
    log_prior: Tensor

    def features(self, offer: Offer) -> Tensor:
        """(F, n, D): what the probe sees."""
        return side_by_side(offer)

    def log_probabilities(self, offer: Offer) -> Tensor:
        """The probe's words; the prior where nothing is present."""
        said = self.probe.log_probabilities(self.features(offer))
        return prior_where_nothing(said, offer.present, self.log_prior)

    def facts(self) -> Mapping[str, Any]:
        """Strength and loss of the inner folds."""
        return {"strength": self.probe.strength.tolist(), "inner_loss": self.probe.inner_loss.tolist()}


class Concatenation(Method):
    """y = W [m_1 ê_1; …; m_M ê_M; m] + b: missing embeddings are 0, which is the mean; the mask tells them apart."""

    name = "concat"
    about = "One linear probe on all embeddings side by side, missing ones at the mean, and on who has what"
    settings: Mapping[str, Setting] = {
        "own": Setting(1.0, "Weight of all that a patient has; below 1 the rest goes evenly to the parts of it"),
        "strength": Setting(0.0, "L2 penalty; 0: the inner folds choose it"),
        "balanced": Setting(False, "Every class weighs the same in training"),
    }

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """One convex problem a fit."""
        strength = number(lesson, choice, "strength")
        weight = balanced_weight(lesson) if choice["balanced"] else lesson.weight
        chosen = None if bool((strength == 0).all()) else strength
        rows = practice(lesson.offer.present, number(lesson, choice, "own"))
        taught = replace(lesson, allowed=rows.of(lesson.allowed), inner=rows.of(lesson.inner))
        x = side_by_side(rows.offer(lesson.offer))
        return FittedProbe(fit_probe(x, taught, rows.of(weight) * rows.share, chosen), lesson.prior().log())
