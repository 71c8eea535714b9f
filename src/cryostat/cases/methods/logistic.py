"""Multinomial logistic regressions by the hundred: many weights and strengths of the same patients in one product.

All jobs of a split (each inner fold left out, each strength) share its embeddings, so that their parameters stand side
by side in one matrix product. Double precision throughout: what is found does not depend on what else is in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_ROOM = 400_000
_FALL = 1e-4
_SHORTEST = 1e-6


@dataclass(frozen=True, eq=False)
class Regressions:
    """J regressions of each of S splits.

    Attributes:
        weight: (S, D, J, C) float64.
        bias: (S, J, C) float64, of mean 0 over the classes that occur.
        occurring: (S, J, C) bool: classes that anybody with weight may have; the others have no parameters.
        log_prior: (S, J, C) float64: what a class that does not occur keeps.
    """

    weight: Tensor
    bias: Tensor
    occurring: Tensor
    log_prior: Tensor

    def log_probabilities(self, x: Tensor) -> Tensor:
        """(S, n, D) to (S, n, J, C) float64; a class that does not occur keeps its prior, whatever is seen."""
        logits = torch.einsum("snd,sdjc->snjc", x.double(), self.weight) + self.bias[:, None]
        return with_prior(logits, self.occurring[:, None], self.log_prior[:, None])

    def of_splits(self, index: Tensor) -> Regressions:
        """The same for chosen splits."""
        return Regressions(self.weight[index], self.bias[index], self.occurring[index], self.log_prior[index])

    def job(self, index: Tensor) -> Regressions:
        """One job of each split: (S,) to J = 1."""
        split = torch.arange(len(index), device=index.device)
        chosen = (self.bias, self.occurring, self.log_prior)
        return Regressions(
            self.weight[split, :, index, :][:, :, None], *(part[split, index][:, None] for part in chosen)
        )


def with_prior(logits: Tensor, occurring: Tensor, log_prior: Tensor) -> Tensor:
    """Log-probabilities (…, C) of logits; a class that does not occur keeps its prior, the others share the rest.

    Where fewer than two classes occur, that is the prior.
    """
    hidden = torch.where(occurring, logits, torch.where(occurring.any(-1, keepdim=True), -torch.inf, 0.0))
    rest = torch.where(occurring, log_prior.exp(), 0.0).sum(-1, keepdim=True).clamp(min=1e-30).log()
    return torch.where(occurring, hidden.log_softmax(-1) + rest, log_prior)


def fit_regressions(x: Tensor, allowed: Tensor, weight: Tensor, strength: Tensor, log_prior: Tensor) -> Regressions:
    """Minimise Σ_i w_i · −log Σ_{c allowed} p_ic + λ/2 · ‖W‖² for each job; the intercept is not penalised.

    For certain labels this is scikit-learn's LogisticRegression with C = 1/λ (2/λ of two classes, where it has one
    vector of coefficients and not two). For partial labels it descends by the same steps to where EM would end: what
    is allowed only takes curvature away, so that the same measure bounds it.

    Args:
        x: (S, n, D).
        allowed: (S, n, C) bool; rows that allow all or nothing say nothing.
        weight: (S, n, J) ≥ 0.
        strength: (S, J) λ > 0.
        log_prior: (S, J, C): see `Regressions`.
    """
    said = allowed.any(-1) & ~allowed.all(-1)
    weight = weight.double() * said[..., None]
    spread = allowed.double() / allowed.sum(-1, keepdim=True).clamp(min=1)
    occurring = torch.einsum("snj,snc->sjc", weight, spread) > 0
    room = max(1, _ROOM // max(1, x.shape[1] * occurring[0].numel()))
    parts = [
        _descend(x[s].double(), weight[s], strength[s].double(), allowed[s], occurring[s])
        for s in torch.arange(len(x)).split(room)
    ]
    found = torch.cat(parts).mT
    return Regressions(found[:, :-1], _centred(found[:, -1], occurring), occurring, log_prior.double())


def _centred(bias: Tensor, occurring: Tensor) -> Tensor:
    mean = (bias * occurring).sum(-1, keepdim=True) / occurring.sum(-1, keepdim=True).clamp(min=1)
    return (bias - mean) * occurring


class _Objective:
    """Value and gradient of all jobs at (S, D + 1, C, J); jobs come last, where processors like the long dimension."""

    def __init__(self, x: Tensor, weight: Tensor, strength: Tensor, allowed: Tensor, occurring: Tensor) -> None:
        self.x = torch.cat([x, torch.ones_like(x[..., :1])], -1)
        self.weight = weight
        self.allowed = allowed.double()[..., None]
        # A job of nobody has no classes at all; its weights are 0, so any mask will do.
        possible = occurring | ~occurring.any(-1, keepdim=True)
        self.mask = torch.where(possible, 0.0, -torch.inf).double().mT[:, None]
        self.penalty = strength[:, None, None].repeat(1, self.x.shape[-1], 1, 1)
        self.penalty[:, -1] = 0
        self.metric = self._inverse_curvature(strength, occurring.shape[-1])

    def _inverse_curvature(self, strength: Tensor, classes: int) -> Tensor:
        """(S, J, D + 1, D + 1) of the curvature where every class is as likely."""
        x, share = self.x, (classes - 1) / classes**2
        gram = torch.stack([(x * self.weight[..., j, None]).mT @ x for j in range(self.weight.shape[-1])], 1) * share
        ridge = strength[..., None].repeat(1, 1, x.shape[-1])
        ridge[..., -1] = 1e-6
        inverse: Tensor = torch.linalg.inv(gram + torch.diag_embed(ridge))
        return inverse

    def __call__(self, point: Tensor) -> tuple[Tensor, Tensor]:
        """(S, J) values and gradients of the shape of the point."""
        logits = (self.x @ point.flatten(2)).unflatten(-1, point.shape[2:]) + self.mask
        p = logits.softmax(2)
        within = p * self.allowed
        known = within.sum(2).clamp(min=1e-300)
        value = -(known.log() * self.weight).sum(1) + (point.square() * self.penalty).sum((1, 2)) / 2
        residual = (p - within / known[:, :, None]) * self.weight[:, :, None]
        slope = (self.x.mT @ residual.flatten(2)).unflatten(-1, point.shape[2:])
        return value, slope + point * self.penalty

    def natural(self, slope: Tensor) -> Tensor:
        """The slope in units of the curvature."""
        steepest: Tensor = torch.einsum("sjde,secj->sdcj", self.metric, slope)
        return steepest


def _descend(
    x: Tensor,
    weight: Tensor,
    strength: Tensor,
    allowed: Tensor,
    occurring: Tensor,
    *,
    tolerance: float = 1e-9,
    steps: int = 300,
    memory: int = 8,
) -> Tensor:
    """(S, D + 1, C, J): L-BFGS in the metric of the curvature; each job goes on until its expected fall is nothing."""
    objective = _Objective(x, weight, strength, allowed, occurring)
    point = torch.zeros(len(x), x.shape[-1] + 1, *occurring.mT.shape[1:], dtype=torch.float64, device=x.device)
    value, slope = objective(point)
    direction, length = -objective.natural(slope), torch.ones_like(value)
    pairs: list[tuple[Tensor, Tensor, Tensor]] = []
    for _ in range(steps):
        along = _dot(direction, slope)
        going = (along < -tolerance) & (length > _SHORTEST)
        if not bool(going.any()):
            break
        trial = point + _wide(torch.where(going, length, 0.0)) * direction
        trial_value, trial_slope = objective(trial)
        taken = going & (trial_value <= value + _FALL * length * along + 1e-12 * value.abs())
        step = torch.where(_wide(taken), trial - point, 0.0)
        change = torch.where(_wide(taken), trial_slope - slope, 0.0)
        point, value = point + step, torch.where(taken, trial_value, value)
        slope = slope + change
        curvature = _dot(step, change)
        inverse = torch.where(curvature > 1e-300, 1 / curvature.clamp(min=1e-300), 0.0)
        pairs = [*pairs, (step, change, inverse)][-memory:]
        direction = torch.where(_wide(taken), -_quasi_newton(slope, pairs, objective), direction)
        length = torch.where(taken, 1.0, length / 2)
    return point


def _quasi_newton(slope: Tensor, pairs: list[tuple[Tensor, Tensor, Tensor]], objective: _Objective) -> Tensor:
    """The two loops of L-BFGS; pairs of steps that were not taken have inverse curvature 0 and change nothing."""
    q, shares = slope, []
    for step, change, inverse in reversed(pairs):
        share = inverse * _dot(step, q)
        q = q - _wide(share) * change
        shares.append(share)
    q = objective.natural(q)
    for (step, change, inverse), share in zip(pairs, reversed(shares), strict=True):
        q = q + _wide(share - inverse * _dot(change, q)) * step
    return q


def _dot(a: Tensor, b: Tensor) -> Tensor:
    return (a * b).sum((1, 2))


def _wide(job: Tensor) -> Tensor:
    return job[:, None, None]
