"""Patterns of availability: which modalities are there, and which parts of them a method may practise on."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from cryostat.cases.methods.base import Offer
from cryostat.cases.methods.experts import masked

_ALL_UP_TO = 4


def parts(modalities: int) -> Tensor:
    """(K, M) bool: the subsets that are practised on, the empty one left out.

    All of them for up to four modalities; of more, those of one, two, all but one and all.
    """
    sizes = range(1, modalities + 1)
    chosen = sizes if modalities <= _ALL_UP_TO else (1, 2, modalities - 1, modalities)
    subsets = [subset for size in chosen for subset in combinations(range(modalities), size)]
    table = torch.zeros(len(subsets), modalities, dtype=torch.bool)
    for row, subset in enumerate(subsets):
        table[row, list(subset)] = True
    return table


def views(present: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """What each patient is shown as, and how much each showing counts.

    Args:
        present: (F, n, M) bool.
        own: (F,) share of all that a patient has; the rest is spread evenly over the `parts` that hold less.

    Returns:
        (K, F, n, M) bool, all that a patient has first, and (K, F, n) weights that sum to 1 for each patient with
        anything at all, 0 where a part is not wholly there.
    """
    subsets = parts(present.shape[-1]).to(present.device)[:, None, None, :]
    within = (~subsets | present).all(-1) & (subsets != present).any(-1)
    count = within.sum(0)
    share = torch.where(count > 0, own[:, None], 1.0) * present.any(-1)
    rest = (1 - own)[:, None] / count.clamp(min=1) * within
    return torch.cat([present[None], subsets.expand(-1, *present.shape)]), torch.cat([share[None], rest])


def side_by_side(offer: Offer) -> Tensor:
    """(F, n, Σ d_m + M): all blocks, 0 where missing, and the mask, so that missing is not the same as average."""
    return torch.cat([*masked(offer.blocks, offer.present), offer.present.float()], -1)


@dataclass(frozen=True, eq=False)
class Rows:
    """What is practised on: a row for each showing of each patient that counts.

    Attributes:
        patient: (F, R) which of n patients.
        present: (F, R, M) what is shown.
        share: (F, R) of `views`; 0 for filling.
    """

    patient: Tensor
    present: Tensor
    share: Tensor

    def of(self, values: Tensor) -> Tensor:
        """(F, n, …) of the patients to (F, R, …) of the rows."""
        return values[torch.arange(len(values), device=values.device)[:, None], self.patient]

    def offer(self, offer: Offer) -> Offer:
        """The patients as they are shown."""
        return Offer(masked(tuple(self.of(block) for block in offer.blocks), self.present), self.present)


def practice(present: Tensor, own: Tensor) -> Rows:
    """Rows of all `views`, those that count for nothing left out."""
    shown, share = (part.transpose(0, 1).flatten(1, 2) for part in views(present, own))
    counts = share > 0
    order = counts.int().argsort(dim=-1, descending=True, stable=True)[:, : max(1, int(counts.sum(-1).max()))]
    fit = torch.arange(len(present), device=present.device)[:, None]
    return Rows(order % present.shape[1], shown[fit, order], share[fit, order])


def occurring(present: Tensor) -> Tensor:
    """(P, M) bool: the patterns of an offer, that of nothing at all left out."""
    distinct = torch.unique(present.reshape(-1, present.shape[-1]), dim=0)
    known: Tensor = distinct[distinct.any(-1)]
    return known


def has_pattern(present: Tensor, pattern: Tensor) -> Tensor:
    """(F, n) bool: who has exactly this pattern (M,)."""
    return (present == pattern).all(-1)


def prior_where_nothing(log_probabilities: Tensor, present: Tensor, log_prior: Tensor) -> Tensor:
    """(F, n, C): the training prior (F, C) of those that have nothing, what was computed for the others."""
    return torch.where(present.any(-1, keepdim=True), log_probabilities, log_prior[:, None])
