"""Ordered classes: one score over all that is there, and the cuts between the classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting, number
from cryostat.cases.methods.batched import balanced_weight, partial_loss
from cryostat.cases.methods.minimise import minimise
from cryostat.cases.methods.patterns import Rows, practice, prior_where_nothing, side_by_side
from cryostat.core.errors import SettingError

_LEAST_GAP = 1e-3
# Holds the cuts of a modality that nobody has, and hardly those of others.
_CUT_PENALTY = 0.02


def cumulative_log_probabilities(score: Tensor, cuts: Tensor) -> Tensor:
    """(F, n, C) log-probabilities of ordered classes.

    P(y > k) = σ(f − θ_k), so that P(y = k) = σ(f − θ_{k−1}) − σ(f − θ_k) with θ_{−1} = −∞ and θ_{C−1} = ∞, computed as
    σ(a) σ(−b) (1 − e^{b − a}), which keeps its precision where both are near 0 or 1.

    Args:
        score: (F, n) f.
        cuts: (F, n, C − 1) θ, rising; n may be 1.
    """
    above = score[..., None] - cuts
    first, last = functional.logsigmoid(-above[..., :1]), functional.logsigmoid(above[..., -1:])
    gap = torch.log(-torch.expm1(-cuts.diff(dim=-1)))
    middle = functional.logsigmoid(above[..., :-1]) + functional.logsigmoid(-above[..., 1:]) + gap
    return torch.cat([first, middle, last], -1)


def _cuts(raw: Tensor) -> Tensor:
    """Any numbers to rising ones: the first cut, and gaps through a softplus."""
    gaps = functional.softplus(raw[..., 1:]) + _LEAST_GAP
    return torch.cat([raw[..., :1], raw[..., :1] + gaps.cumsum(-1)], -1)


def _start(prior: Tensor) -> Tensor:
    """Parameters of the cuts that give the prior where the score is 0."""
    cuts = prior.cumsum(-1)[:, :-1].logit()
    gaps = (cuts.diff(dim=-1) - _LEAST_GAP).clamp(min=1e-3)
    return torch.cat([cuts[:, :1], torch.log(torch.expm1(gaps))], -1)


@dataclass(frozen=True, eq=False)
class _Head:
    """The score's slopes (F, D), and what the cuts are made of: (F, 1 + M, C − 1), at nothing and for each modality."""

    slope: Tensor
    raw: Tensor

    @staticmethod
    def of(flat: Tensor, modalities: int, cuts: int) -> _Head:
        """From parameters side by side."""
        slope, raw = flat.split([flat.shape[1] - (1 + modalities) * cuts, (1 + modalities) * cuts], 1)
        return _Head(slope, raw.reshape(len(flat), 1 + modalities, cuts))

    def log_probabilities(self, x: Tensor, modalities: int) -> Tensor:
        """(F, n, C) of blocks and mask side by side."""
        width = x.shape[-1] - modalities
        score = (x[..., :width] @ self.slope[..., None])[..., 0]
        return cumulative_log_probabilities(
            score, _cuts(torch.baddbmm(self.raw[:, :1], x[..., width:], self.raw[:, 1:]))
        )


@dataclass(frozen=True, eq=False)
class _Ordered(Fitted):
    head: _Head
    log_prior: Tensor

    def log_probabilities(self, offer: Offer) -> Tensor:
        said = self.head.log_probabilities(side_by_side(offer).double(), offer.present.shape[-1]).float()
        return prior_where_nothing(said, offer.present, self.log_prior)

    def facts(self) -> Mapping[str, Any]:
        everything = _cuts(self.head.raw.sum(1))
        return {"cuts_with_all_modalities": everything.tolist()}


class OrdinalHead(Method):
    """Cumulative logits over fused features.

    One score f = Σ_m m_m w_mᵀ x_m for all classes and C − 1 rising cuts: P(y > k) = σ(f − θ_k(m)). The more modalities
    there are the further the classes lie apart on the score, so that the cuts depend on the mask: the first is linear
    in it, and the gaps between them are softplus of what is linear in it. Fitted by minimising
    Σ_i w_i Σ_S λ_iS · −log P(y_i | x_iS) + λ/2 ‖w‖² over all that patients have and its
    parts (see `all-subsets`). For classes with an order alone, such as the WHO grade.
    """

    name = "ordinal"
    about = "One score with rising cuts between ordered classes (cumulative logits)"
    source = "Proportional odds model (McCullagh 1980)"
    settings: Mapping[str, Setting] = {
        "strength": Setting(15.0, "L2 penalty of the score, 1/C", (5.0, 15.0, 50.0)),
        "own": Setting(0.3, "Weight of all that a patient has; the rest goes evenly to the parts of it"),
        "balanced": Setting(False, "Every class weighs the same in training"),
    }

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """A smooth problem in D + C − 1 numbers a fit.

        Raises:
            SettingError: The classes have no order.
        """
        if not lesson.ordinal:
            raise SettingError(
                "needs classes with an order",
                where="method ordinal",
                remedy="Set ordinal = true for the task, or use another",
            )
        rows = practice(lesson.offer.present, number(lesson, choice, "own"))
        weight = rows.of(balanced_weight(lesson) if choice["balanced"] else lesson.weight) * rows.share
        head = _fit(lesson, rows, weight, number(lesson, choice, "strength"))
        return _Ordered(head, lesson.prior().log())


def _fit(lesson: Lesson, rows: Rows, weight: Tensor, strength: Tensor) -> _Head:
    x = side_by_side(rows.offer(lesson.offer)).double()
    modalities, cuts = lesson.offer.present.shape[-1], lesson.classes - 1
    allowed, total = rows.of(lesson.allowed), weight.sum(-1).clamp(min=1e-12)

    def objective(flat: Tensor) -> Tensor:
        head = _Head.of(flat, modalities, cuts)
        loss = (partial_loss(head.log_probabilities(x, modalities), allowed) * weight).sum(-1)
        penalty = strength * head.slope.square().sum(-1) + _CUT_PENALTY * head.raw[:, 1:].square().sum((1, 2))
        return (loss + penalty / 2) / total

    width = x.shape[-1] - modalities
    start = [x.new_zeros(len(x), width), _start(lesson.prior().double()), x.new_zeros(len(x), modalities * cuts)]
    return _Head.of(minimise(objective, torch.cat(start, -1)), modalities, cuts)
