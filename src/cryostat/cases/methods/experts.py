"""One expert a modality: a linear probe on its standardised embedding, trained on the patients that have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.base import Lesson, Offer, Setting, number
from cryostat.cases.methods.batched import balanced_weight, on_threads
from cryostat.cases.methods.probe import Probe, alike, fit_probe
from cryostat.core.errors import SettingError

EXPERT_SETTINGS: Mapping[str, Setting] = {
    "strength": Setting(0.0, "L2 penalty of the experts; 0: the inner folds choose it for each modality"),
    "balanced": Setting(False, "Every class weighs the same in training the experts"),
}
"""Settings of every method that stands on experts."""


@dataclass(frozen=True, eq=False)
class Experts:
    """M experts for each of F fits.

    Attributes:
        probes: One a modality.
        log_prior: (F, C): what is said where an expert has nothing to look at, or never learnt anything.
        out_of_fold: (F, n, M, C) log-probabilities of the training rows by experts that did not see them; the prior
            where the modality is missing.
    """

    probes: tuple[Probe, ...]
    log_prior: Tensor
    out_of_fold: Tensor

    def of_fits(self, index: Tensor) -> Experts:
        """The same for chosen fits."""
        probes = tuple(probe.of_fits(index) for probe in self.probes)
        return Experts(probes, self.log_prior[index], self.out_of_fold[index])

    @property
    def learnt(self) -> Tensor:
        """(F, M) bool: which experts had at least two classes to learn from."""
        return torch.stack([probe.learnt for probe in self.probes], -1)

    @property
    def strength(self) -> Tensor:
        """(F, M): of the L2 penalty."""
        return torch.stack([probe.strength for probe in self.probes], -1)

    def usable(self, present: Tensor) -> Tensor:
        """(F, n, M) bool: there, and with an expert that has learnt something."""
        return present & self.learnt[:, None]

    def log_probabilities(self, offer: Offer) -> Tensor:
        """(F, n, M, C): what each expert says; the prior where its modality is missing."""
        blocks = masked(offer.blocks, offer.present)
        said = torch.stack([probe.log_probabilities(x) for probe, x in zip(self.probes, blocks, strict=True)], 2)
        return torch.where(self.usable(offer.present)[..., None], said, self.log_prior[:, None, None])

    def facts(self) -> Mapping[str, Any]:
        """Strengths and losses, a row a fit, an entry a modality."""
        losses = torch.stack([probe.inner_loss for probe in self.probes], -1)
        return {"expert_strength": self.strength.tolist(), "expert_inner_loss": losses.tolist()}


def masked(blocks: tuple[Tensor, ...], present: Tensor) -> tuple[Tensor, ...]:
    """Blocks (F, n, d_m) that are exactly 0 where not present (F, n, M), whatever stood there."""
    return tuple(torch.where(present[..., m, None], block, 0.0) for m, block in enumerate(blocks))


def fit_experts(lesson: Lesson, choice: Mapping[str, Any]) -> Experts:
    """Fit the experts of all fits; those of the same split and strength are fitted once.

    Args:
        lesson: What to learn from.
        choice: Settings of `EXPERT_SETTINGS`.

    Raises:
        SettingError: A strength below 0, or 0 in some fits alone.
    """
    few, place = alike(lesson, choice, ("strength",))
    strength = number(few, choice, "strength")
    chosen = None if bool((strength == 0).all()) else strength
    if chosen is not None and bool((chosen <= 0).any()):
        raise SettingError(
            "is no penalty for all fits of a batch",
            where=f"setting strength = {float(chosen.min()):g}",
            remedy="Give a number above 0, or 0 in every fit to let the inner folds choose",
        )
    return _fit(few, chosen, bool(choice["balanced"])).of_fits(place)


def _fit(lesson: Lesson, strength: Tensor | None, balanced: bool) -> Experts:
    blocks = masked(lesson.offer.blocks, lesson.offer.present)
    there = lesson.offer.present

    def fit_one(m: int) -> Probe:
        return _fit_one(blocks[m], lesson, there[..., m], strength, balanced)

    probes = tuple(on_threads(fit_one, range(len(blocks))))
    log_prior = lesson.prior().log()
    said = torch.stack([probe.out_of_fold for probe in probes], 2)
    spoke = there & torch.stack([probe.learnt for probe in probes], -1)[:, None]
    return Experts(probes, log_prior, torch.where(spoke[..., None], said, log_prior[:, None, None]))


def _fit_one(x: Tensor, lesson: Lesson, there: Tensor, strength: Tensor | None, balanced: bool) -> Probe:
    seen = replace(lesson, weight=lesson.weight * there)
    return fit_probe(x, lesson, balanced_weight(seen) if balanced else seen.weight, strength)
