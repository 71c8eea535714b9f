"""One temperature a fit, so that what a generative model is too sure of is said less surely."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from cryostat.cases.methods.base import Lesson, Offer
from cryostat.cases.methods.batched import partial_loss, weighted_mean

_GRID = 2.0 ** torch.arange(-1, 6.01, 0.25)


def held_out(lesson: Lesson, learn: Callable[[Lesson], Callable[[Offer], Tensor]]) -> Tensor:
    """(F, n, C): what is said of each training patient by a model that did not see it.

    Args:
        lesson: Its inner folds are left out in turn.
        learn: From a lesson to what says (F, n, C) of an offer.
    """
    said = torch.zeros(lesson.allowed.shape)
    for fold in range(int(lesson.inner.max()) + 1):
        out = lesson.inner == fold
        model = learn(replace(lesson, weight=lesson.weight * ~out))
        said = torch.where(out[..., None], model(lesson.offer), said)
    return said


def cooled(score: Tensor, log_prior: Tensor, heat: Tensor) -> Tensor:
    """(F, n, C) log-probabilities: log-likelihoods over a temperature (F,), and the prior (F, C) in full."""
    return (score / heat[:, None, None] + log_prior[:, None]).log_softmax(-1)


def temperature(score: Tensor, lesson: Lesson) -> Tensor:
    """(F,): of 29 temperatures from 0.5 to 64 that of the least log-loss of out-of-fold log-likelihoods (F, n, C)."""
    weight = lesson.weight * (lesson.inner >= 0) * lesson.offer.present.any(-1)
    log_prior = lesson.prior().log()
    grid = _GRID.to(score.device)
    losses = [
        weighted_mean(partial_loss(cooled(score, log_prior, heat.expand(lesson.fits)), lesson.allowed), weight)
        for heat in grid
    ]
    return torch.where(weight.any(-1), grid[torch.stack(losses).argmin(0)], 1.0)
