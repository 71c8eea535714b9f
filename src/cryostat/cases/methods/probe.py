"""A linear probe whose strength the inner folds choose, and what it says of patients that it did not see."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from cryostat.cases.methods.base import Lesson
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
        return Probe(
            self.final.of_splits(index), self.strength[index], self.inner_loss[index], self.out_of_fold[index]
        )

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
    folds = int(lesson.inner.max()) + 1
    grid = _grid(lesson.fits, strength).to(x)
    left_out = torch.arange(folds + 1, device=x.device)
    learnt_from = (lesson.inner[..., None] != left_out) & (lesson.inner >= 0)[..., None]
    counted = (weight[..., None] * learnt_from).repeat_interleave(grid.shape[1], -1)
    prior = _priors(lesson, learnt_from).log().repeat_interleave(grid.shape[1], 1)
    regressions = fit_regressions(x, lesson.allowed, counted, grid.repeat(1, folds + 1), prior)
    unseen = _by_left_out_fold(regressions.log_probabilities(x), lesson.inner, grid.shape[1])
    losses = torch.stack(
        [weighted_mean(partial_loss(unseen[:, :, g], lesson.allowed), weight) for g in range(grid.shape[1])], -1
    )
    inner_loss, best = losses.min(-1)
    place = torch.arange(lesson.fits, device=x.device)
    return Probe(regressions.job(folds * grid.shape[1] + best), grid[place, best], inner_loss, unseen[place, :, best])


def _grid(fits: int, strength: Tensor | None) -> Tensor:
    return torch.tensor(STRENGTHS).expand(fits, -1) if strength is None else strength[:, None]


def _priors(lesson: Lesson, learnt_from: Tensor) -> Tensor:
    """(F, K + 1, C): the prior without each inner fold, and that of all."""
    counts = torch.einsum("fnc,fn,fnk->fkc", lesson.targets(), lesson.weight, learnt_from.float()) + 0.5
    return counts / counts.sum(-1, keepdim=True)


def _by_left_out_fold(said: Tensor, inner: Tensor, strengths: int) -> Tensor:
    """(F, n, J, C) of all jobs to (F, n, G, C) float32 by those that left the row's fold out."""
    by_fold = said.unflatten(2, (-1, strengths))
    index = inner.clamp(min=0)[..., None, None, None].expand(-1, -1, 1, *by_fold.shape[3:])
    return by_fold.gather(2, index)[:, :, 0].float()
