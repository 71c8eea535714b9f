"""A linear probe whose strength the inner folds choose, and what it says of patients that it did not see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.base import Lesson, number
from cryostat.cases.methods.batched import partial_loss, weighted_mean
from cryostat.cases.methods.logistic import Regressions, fit_regressions

STRENGTHS = (1000.0, 300.0, 100.0, 30.0, 10.0, 3.0, 1.0)
"""What the inner folds choose from, strongest first, so that equals go to the stronger."""


@dataclass(frozen=True, eq=False)
class Probe:
    """One probe for each of F fits.

    Attributes:
        final: Learnt from all training patients (J = 1).
        strength: (F,) of the L2 penalty.
        inner_loss: (F,) mean log-loss of the inner folds.
        out_of_fold: (F, n, C) log-probabilities of the training rows by probes that did not see them.
    """

    final: Regressions
    strength: Tensor
    inner_loss: Tensor
    out_of_fold: Tensor

    def of_fits(self, index: Tensor) -> Probe:
        """The same for chosen fits."""
        return Probe(self.final.of_splits(index), self.strength[index], self.inner_loss[index], self.out_of_fold[index])

    @property
    def learnt(self) -> Tensor:
        """(F,) bool: at least two classes were there to be told apart."""
        return self.final.occurring[:, 0].sum(-1) > 1

    def log_probabilities(self, x: Tensor) -> Tensor:
        """(F, n, D) to (F, n, C) float32."""
        return self.final.log_probabilities(x)[:, :, 0].float()


def fit_probe(x: Tensor, lesson: Lesson, weight: Tensor, strength: Tensor | None = None) -> Probe:
    """Fit one probe a fit, and one more for each inner fold left out and each strength on trial.

    Args:
        x: (F, n, D) of the lesson's rows.
        lesson: Its labels and inner folds.
        weight: (F, n): what each row counts.
        strength: (F,) if given; else the inner folds choose from `STRENGTHS`.
    """
    # Rows that count come first and alone: a modality that few patients have costs little.
    counting = weight > 0
    order = counting.int().argsort(dim=-1, descending=True, stable=True)[:, : max(1, int(counting.sum(-1).max()))]
    fit = torch.arange(lesson.fits, device=x.device)[:, None]
    labels = _Labels(lesson.allowed[fit, order], lesson.inner[fit, order], weight[fit, order])
    probe = _fit_rows(x[fit, order], labels, _grid(lesson.fits, strength).to(x))
    unseen = x.new_zeros(lesson.allowed.shape).log_softmax(-1)
    unseen[fit, order] = probe.out_of_fold
    return replace(probe, out_of_fold=unseen)


@dataclass(frozen=True, eq=False)
class _Labels:
    allowed: Tensor
    inner: Tensor
    weight: Tensor


def _fit_rows(x: Tensor, labels: _Labels, grid: Tensor) -> Probe:
    """Jobs are all pairs of a fold left out (the last: none) and a strength (F, G)."""
    fits, strengths = grid.shape
    folds = int(labels.inner.max()) + 1
    left_out = torch.arange(folds + 1, device=x.device)
    counted = labels.weight[..., None] * (labels.inner[..., None] != left_out)
    prior = _priors(labels.allowed, counted).log().repeat_interleave(strengths, 1)
    jobs = counted.repeat_interleave(strengths, -1)
    regressions = fit_regressions(x, labels.allowed, jobs, grid.repeat(1, folds + 1), prior)
    unseen = _by_left_out_fold(regressions.log_probabilities(x), labels.inner, strengths)
    said = [partial_loss(unseen[:, :, g], labels.allowed) for g in range(strengths)]
    losses = torch.stack([weighted_mean(loss, labels.weight) for loss in said], -1)
    inner_loss, best = losses.min(-1)
    fit = torch.arange(fits, device=x.device)
    return Probe(regressions.job(folds * strengths + best), grid[fit, best], inner_loss, unseen[fit, :, best])


def _grid(fits: int, strength: Tensor | None) -> Tensor:
    return torch.tensor(STRENGTHS).expand(fits, -1) if strength is None else strength[:, None]


def _priors(allowed: Tensor, counted: Tensor) -> Tensor:
    """(F, K + 1, C): shares of the classes without each inner fold, and of all, half a patient added to each."""
    spread = allowed.float() / allowed.sum(-1, keepdim=True).clamp(min=1)
    counts = counted.mT @ spread + 0.5
    return counts / counts.sum(-1, keepdim=True)


def _by_left_out_fold(said: Tensor, inner: Tensor, strengths: int) -> Tensor:
    """(F, n, J, C) of all jobs to (F, n, G, C) float32 by those that left the row's fold out."""
    by_fold: Tensor = said.unflatten(2, (-1, strengths))
    index = inner.clamp(min=0)[..., None, None, None].expand(-1, -1, 1, *by_fold.shape[3:])
    return by_fold.gather(2, index)[:, :, 0].float()


def alike(lesson: Lesson, choice: Mapping[str, Any], names: Sequence[str]) -> tuple[Lesson, Tensor]:
    """One fit for each split and values of these settings, and for each fit the place of the one that is like it."""
    numbers = [number(lesson, choice, name).double() for name in names]
    kinds, place = torch.unique(torch.stack([lesson.split.double(), *numbers]), dim=1, return_inverse=True)
    first = torch.stack([(place == kind).nonzero()[0, 0] for kind in range(kinds.shape[1])])
    return lesson.of_fits(first), place
