"""Linear discriminant analysis with a shrunk covariance; what is missing is integrated out exactly."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting, number
from cryostat.cases.methods.experts import masked
from cryostat.cases.methods.nearest_mean import class_means
from cryostat.cases.methods.patterns import has_pattern, occurring, prior_where_nothing
from cryostat.cases.methods.temperature import cooled, held_out, temperature

_FLOOR = 1e-3


def within_covariance(residuals: Tensor, there: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Covariance within classes from the pairs of modalities that patients have, and how far to shrink it.

    S_ab = Σ_i w_i r_ia r_ib / n_ab over the patients with both; the share is that of Ledoit & Wolf (2004) towards the
    mean variance times the identity, each entry with the number n_ab it was estimated from. On complete data both are
    scikit-learn's `empirical_covariance` and `ledoit_wolf_shrinkage` with assume_centered=True.

    Args:
        residuals: (F, n, D) distances from the class means, 0 where missing.
        there: (F, n, D) 1 where the number is there, else 0.
        weight: (F, n).

    Returns:
        S (F, D, D) and the share (F,) from 0 to 1.
    """
    count = (there * weight[..., None]).mT @ there
    products = (residuals * weight[..., None]).mT @ residuals
    covariance = products / count.clamp(min=1)
    squares = (residuals.square() * weight[..., None]).mT @ residuals.square()
    variance = (squares / count.clamp(min=1) - covariance.square()) / count.clamp(min=1)
    apart = covariance - _sphere(covariance)
    share = variance.sum((1, 2)) / apart.square().sum((1, 2)).clamp(min=1e-12)
    return covariance, share.clamp(0, 1)


def shrunk(covariance: Tensor, share: Tensor, widths: tuple[int, ...], independence: Tensor) -> Tensor:
    """(F, D, D) positive definite: (1 − s) S + s · mean variance · I, the blocks between modalities weakened.

    Args:
        covariance: (F, D, D).
        share: (F,) s.
        widths: d_m of each modality.
        independence: (F,) 0 keeps what modalities share, 1 takes them as independent given the class.
    """
    owner = torch.repeat_interleave(torch.arange(len(widths)), torch.tensor(widths)).to(covariance.device)
    kept = torch.where(owner[:, None] == owner, 1.0, 1 - independence[:, None, None])
    mixed = (covariance * kept) * (1 - share)[:, None, None] + share[:, None, None] * _sphere(covariance)
    # Entries from different patients need not form a covariance; only then are there directions to lift.
    value, vector = torch.linalg.eigh(mixed)
    lifted = value.clamp(min=_FLOOR * value.amax(-1, keepdim=True).clamp(min=1e-6))
    definite: Tensor = (vector * lifted[:, None]) @ vector.mT
    return definite


def _sphere(covariance: Tensor) -> Tensor:
    mean = covariance.diagonal(dim1=1, dim2=2).mean(-1)
    return mean[:, None, None] * torch.eye(covariance.shape[-1], device=covariance.device)


@dataclass(frozen=True, eq=False)
class Discriminant(Fitted):
    """Gaussian classes of one covariance.

    Attributes:
        means: (F, C, D) of the classes, all modalities side by side.
        covariance: (F, D, D), positive definite.
        share: (F,) how far it was shrunk.
        log_prior: (F, C).
        heat: (F,) temperature.
    """

    means: Tensor
    covariance: Tensor
    share: Tensor
    log_prior: Tensor
    heat: Tensor

    def raw(self, offer: Offer) -> Tensor:
        """(F, n, C) log-likelihoods of what is there, up to what classes share: μᵀΣ⁻¹x − ½ μᵀΣ⁻¹μ."""
        x = torch.cat(masked(offer.blocks, offer.present), -1)
        sizes = torch.tensor(offer.widths, device=x.device)
        score = torch.zeros(*x.shape[:2], self.log_prior.shape[-1], device=x.device)
        for pattern in occurring(offer.present):
            place = torch.repeat_interleave(pattern, sizes).nonzero()[:, 0]
            mean = self.means[..., place]
            solved = torch.cholesky_solve(mean.mT, torch.linalg.cholesky(self.covariance[:, place][:, :, place]))
            said = x[..., place] @ solved - 0.5 * (mean * solved.mT).sum(-1)[:, None]
            score = torch.where(has_pattern(offer.present, pattern)[..., None], said, score)
        return score

    def log_probabilities(self, offer: Offer) -> Tensor:
        """The posterior given what is there."""
        return prior_where_nothing(cooled(self.raw(offer), self.log_prior, self.heat), offer.present, self.log_prior)

    def facts(self) -> Mapping[str, Any]:
        """How far the covariance was shrunk, and the temperature."""
        return {"shrinkage": self.share.tolist(), "temperature": self.heat.tolist()}


class DiscriminantAnalysis(Method):
    """Gaussian classes of one covariance, the missing modalities marginalised.

    x | c ~ N(μ_c, Σ) over all modalities side by side. Of a patient with the modalities S, x_S | c ~ N(μ_cS, Σ_SS):
    missing numbers are integrated out by leaving their rows and columns away, so that
    log p(c | x_S) = log π_c + (μ_cSᵀ Σ_SS⁻¹ x_S − ½ μ_cSᵀ Σ_SS⁻¹ μ_cS) / T + const. μ and Σ come from all patients
    that have the numbers in question (`within_covariance`), shrunk as Ledoit & Wolf do; T is found out of fold.
    """

    name = "lda"
    about = "Linear discriminant analysis with Ledoit-Wolf shrinkage; missing modalities are integrated out"
    source = "Ledoit & Wolf 2004; Schäfer & Strimmer 2005"
    settings: Mapping[str, Setting] = {
        "shrinkage": Setting(-1.0, "Share of the covariance replaced by a sphere; below 0: Ledoit and Wolf's"),
        "independence": Setting(
            0.5, "Weakening of what modalities share within a class: 0 none, 1 all", (0.0, 0.5, 1.0)
        ),
        "extra": Setting(2.0, "Patients added to each class at the mean of all", (0.0, 2.0, 8.0)),
        "calibrated": Setting(True, "Find a temperature out of fold"),
        "prior": Setting("training", "Prior of the classes", options=("training", "uniform")),
    }

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Closed form, and once more per inner fold for the temperature."""
        if not choice["calibrated"]:
            return self._discriminant(lesson, choice, torch.ones(lesson.fits))
        none = torch.ones(lesson.fits)
        said = held_out(lesson, lambda part: self._discriminant(part, choice, none).raw)
        return self._discriminant(lesson, choice, temperature(said, lesson))

    def _discriminant(self, lesson: Lesson, choice: Mapping[str, Any], heat: Tensor) -> Discriminant:
        offer, targets = lesson.offer, lesson.targets() * lesson.weight[..., None]
        extra, blocks = number(lesson, choice, "extra"), masked(offer.blocks, offer.present)
        means = torch.cat(
            [class_means(b, targets * offer.present[..., m, None], extra) for m, b in enumerate(blocks)], -1
        )
        widths = torch.tensor(offer.widths, device=means.device)
        there = offer.present.repeat_interleave(widths, -1).float()
        residuals = (torch.cat(blocks, -1) - lesson.targets() @ means) * there
        covariance, share = within_covariance(residuals, there, lesson.weight * lesson.allowed.any(-1))
        asked = number(lesson, choice, "shrinkage")
        share = torch.where(asked < 0, share, asked)
        mixed = shrunk(covariance, share, offer.widths, number(lesson, choice, "independence"))
        prior = lesson.prior() if choice["prior"] == "training" else torch.full_like(lesson.prior(), 1 / lesson.classes)
        return Discriminant(means, mixed, share, prior.log(), heat)
