"""The nearest class mean over whatever modalities are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting, number
from cryostat.cases.methods.experts import masked
from cryostat.cases.methods.patterns import prior_where_nothing
from cryostat.cases.methods.temperature import cooled, held_out, temperature


def class_means(block: Tensor, mass: Tensor, extra: Tensor) -> Tensor:
    """(F, C, d): mean of each class, drawn to the mean of all by `extra` patients.

    Args:
        block: (F, n, d) one modality.
        mass: (F, n, C) how much each patient belongs to each class, 0 without the modality.
        extra: (F,) patients added to each class at the mean of all.
    """
    sums, counts = mass.mT @ block, mass.sum(1)[..., None]
    overall = sums.sum(1, keepdim=True) / counts.sum(1, keepdim=True).clamp(min=1e-12)
    added = torch.where(counts > 0, extra[:, None, None], extra[:, None, None].clamp(min=1e-6))
    return (sums + added * overall) / (counts + added).clamp(min=1e-12)


@dataclass(frozen=True, eq=False)
class _Means(Fitted):
    means: tuple[Tensor, ...]
    variance: Tensor
    log_prior: Tensor
    heat: Tensor

    def raw(self, offer: Offer) -> Tensor:
        """(F, n, C) log-likelihoods over 2σ², up to what classes share."""
        score = torch.zeros(*offer.present.shape[:2], self.log_prior.shape[-1], device=offer.present.device)
        for m, (mean, block) in enumerate(zip(self.means, masked(offer.blocks, offer.present), strict=True)):
            square = mean.square().sum(-1)[:, None] - 2 * block @ mean.mT
            score = score - offer.present[..., m, None] * square / (2 * self.variance[:, None, None])
        return score

    def log_probabilities(self, offer: Offer) -> Tensor:
        return prior_where_nothing(cooled(self.raw(offer), self.log_prior, self.heat), offer.present, self.log_prior)

    def facts(self) -> Mapping[str, Any]:
        return {"temperature": self.heat.tolist()}


class NearestMean(Method):
    """The class whose mean is nearest over the modalities that are there.

    log p(c | x) = log π_c − Σ_{m present} ‖x_m − μ_cm‖² / (2 σ² T) + const, with class means μ_cm over the training
    patients that have modality m, σ² the pooled variance within classes and T a temperature found out of fold. With
    equal priors and no shrinkage the answer is scikit-learn's NearestCentroid.
    """

    name = "nearest-mean"
    about = "The nearest class mean over the modalities that are there, with a temperature found out of fold"
    source = "Nearest class mean (Tibshirani et al. 2002 for the shrinkage of means)"
    settings: Mapping[str, Setting] = {
        "extra": Setting(2.0, "Patients added to each class at the mean of all", (0.0, 2.0, 8.0)),
        "prior": Setting("training", "Prior of the classes", options=("training", "uniform")),
    }

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Closed form, and once more per inner fold for the temperature."""
        heat = temperature(held_out(lesson, lambda part: self._means(part, choice).raw), lesson)
        return self._means(lesson, choice, heat)

    def _means(self, lesson: Lesson, choice: Mapping[str, Any], heat: Tensor | None = None) -> _Means:
        targets, extra = lesson.targets() * lesson.weight[..., None], number(lesson, choice, "extra")
        means, apart, count = [], torch.zeros(lesson.fits), torch.zeros(lesson.fits)
        for m, block in enumerate(masked(lesson.offer.blocks, lesson.offer.present)):
            mass = targets * lesson.offer.present[..., m, None]
            means.append(class_means(block, mass, extra))
            # ‖x‖² − 2 x·μ + ‖μ‖², so that no (F, n, C, d) has to be held.
            square = block.square().sum(-1, keepdim=True) + means[-1].square().sum(-1)[:, None]
            apart = apart + ((square - 2 * block @ means[-1].mT) * mass).sum((1, 2))
            count = count + mass.sum((1, 2)) * block.shape[-1]
        prior = lesson.prior() if choice["prior"] == "training" else torch.full_like(lesson.prior(), 1 / lesson.classes)
        variance = (apart / count.clamp(min=1e-12)).clamp(min=1e-6)
        return _Means(tuple(means), variance, prior.log(), torch.ones(lesson.fits) if heat is None else heat)
