"""Group-robust training: the pattern of availability that fares worst counts most."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.all_subsets import SumNetwork
from cryostat.cases.methods.base import Fitted, Lesson, Method, Setting, number
from cryostat.cases.methods.batched import Chance, balanced_weight
from cryostat.cases.methods.networks import PRACTICE, FittedNetwork, practise
from cryostat.cases.methods.patterns import Rows, parts, practice


def reweighted(groups: Tensor, losses: Tensor, rate: Tensor) -> Tensor:
    """(F, G): q_g · exp(η · L_g) / Σ_g' q_g' · exp(η · L_g'); a group of weight 0 keeps it.

    Args:
        groups: (F, G) weights q that sum to 1.
        losses: (F, G) losses L.
        rate: (F,) step η.
    """
    raised = groups * (rate[:, None] * (losses - losses.amax(-1, keepdim=True))).exp()
    return raised / raised.sum(-1, keepdim=True).clamp(min=1e-12)


class _Groups:
    """Weights of groups during training.

    Args:
        rows: What is practised on; its patterns are the groups.
        weight: (F, R) of the rows.
        rate: (F,) step of the weights.
        adjustment: (F,) C of Sagawa et al.: C / √n_g is added to a group's loss.
    """

    def __init__(self, rows: Rows, weight: Tensor, rate: Tensor, adjustment: Tensor) -> None:
        subsets = parts(rows.present.shape[-1]).to(weight.device)
        self._member = (rows.present == subsets[:, None, None]).all(-1) * (rows.share > 0) * weight
        size = self._member.sum(-1).T
        self._size = size.clamp(min=1e-12)
        self._extra = torch.where(size > 0, adjustment[:, None] / self._size.sqrt(), 0.0)
        occupied = (size > 0).float()
        self.share = occupied / occupied.sum(-1, keepdim=True).clamp(min=1)
        self._rate = rate

    def mean(self, losses: Tensor, _weight: Tensor) -> Tensor:
        """(F,): Σ_g q_g L_g, after the weights q took a step towards the groups that fare worst."""
        by_group = (losses * self._member).sum(-1).T / self._size
        self.share = reweighted(self.share, by_group.detach() + self._extra, self._rate)
        return (self.share * by_group).sum(-1)


class GroupRobust(Method):
    """Group-DRO over patterns of availability.

    min_θ max_q Σ_S q_S L_S(θ), L_S the mean loss of the patients that have at least the modalities S when shown S
    alone, q raised by q_S ← q_S · exp(η (L_S + C/√n_S)) / Z before each step of the network (exponentiated gradient,
    Sagawa et al. 2020, here on all patients at each step). The network is that of `all-subsets`.
    """

    name = "group-robust"
    about = "Group-robust training: the pattern of availability that fares worst counts most (group-DRO)"
    source = "Group-DRO (Sagawa et al. 2020); REMIND (arXiv 2603.00046)"
    settings: Mapping[str, Setting] = {
        **{name: setting for name, setting in PRACTICE.items() if name != "own"},
        "hidden": Setting(16, "Hidden units beside the linear part; 0: linear alone"),
        "group_rate": Setting(0.05, "Step of the groups' weights"),
        "adjustment": Setting(0.0, "C of the adjustment C/√n of a group's loss"),
    }
    chance = True

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Train network and groups' weights together."""
        log_prior = lesson.prior().log()
        rate, adjustment = number(lesson, choice, "group_rate"), number(lesson, choice, "adjustment")
        rows = practice(lesson.offer.present, torch.full_like(rate, 0.5))
        weight = balanced_weight(lesson) if choice["balanced"] else lesson.weight
        groups = _Groups(rows, rows.of(weight), rate, adjustment)
        widths, hidden = lesson.offer.widths, int(choice["hidden"])
        network = SumNetwork(Chance(lesson.seeds), widths, hidden, lesson.classes, log_prior)
        practise(network, lesson, choice, rows, groups.mean)
        names = ["".join("1" if there else "0" for there in row) for row in parts(len(widths)).tolist()]
        return FittedNetwork(network, log_prior, {"patterns": names, "weights": groups.share.tolist()})
