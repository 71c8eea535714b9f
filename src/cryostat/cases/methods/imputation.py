"""Cross-modal imputation in closed form, then one linear probe on completed embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting, number
from cryostat.cases.methods.batched import balanced_weight
from cryostat.cases.methods.experts import masked
from cryostat.cases.methods.logistic import Regressions, fit_regressions
from cryostat.cases.methods.patterns import has_pattern, occurring, practice, prior_where_nothing


def ridge_regression(x: Tensor, y: Tensor, weight: Tensor, strength: Tensor) -> tuple[Tensor, Tensor]:
    """Ridge regression with an intercept that is not penalised: P = (XᵀWX + λI)⁻¹ XᵀWY on centred values.

    Args:
        x: (F, n, D).
        y: (F, n, E).
        weight: (F, n); where all are 0 the result is 0.
        strength: (F,) λ > 0.

    Returns:
        P (F, D, E) and the intercept (F, 1, E), float64.
    """
    x, y, weight = x.double(), y.double(), weight.double()
    share = (weight / weight.sum(-1, keepdim=True).clamp(min=1e-12))[..., None]
    x_mean, y_mean = (share * x).sum(1, keepdim=True), (share * y).sum(1, keepdim=True)
    centred = (x - x_mean) * weight[..., None]
    gram = centred.mT @ (x - x_mean) + strength[:, None, None] * torch.eye(x.shape[-1], device=x.device)
    slope = torch.linalg.solve(gram, centred.mT @ (y - y_mean))
    return slope, y_mean - x_mean @ slope


@dataclass(frozen=True, eq=False)
class Imputer:
    """Predicts missing blocks from those that are there; each pattern's regression is solved when first met.

    Attributes:
        blocks: Of the training patients, (F, n, d_m), 0 where missing.
        present: (F, n, M).
        counted: (F, n) bool: rows that are patients, not filling. Labels are not needed.
        strength: (F,) λ.
    """

    blocks: tuple[Tensor, ...]
    present: Tensor
    counted: Tensor
    strength: Tensor
    _solved: dict[tuple[bool, ...], Tensor] = field(default_factory=dict)

    def completed(self, offer: Offer) -> tuple[Tensor, ...]:
        """All blocks (F, n, d_m), those that are missing predicted; 0 (the mean) where nothing is there."""
        seen = masked(offer.blocks, offer.present)
        result = list(seen)
        for pattern in occurring(offer.present):
            among = has_pattern(offer.present, pattern)[..., None]
            sources = pattern.nonzero()[:, 0].tolist()
            x = torch.cat([seen[m] for m in sources], -1)
            for m in (~pattern).nonzero()[:, 0].tolist():
                solved = self._regression(sources, m)
                said = torch.baddbmm(solved[:, -1:], x, solved[:, :-1])
                result[m] = torch.where(among, said, result[m])
        return tuple(result)

    def _regression(self, sources: list[int], target: int) -> Tensor:
        """(F, D + 1, d): slopes and intercept from the training patients that have sources and target."""
        key = tuple(m in sources for m in range(len(self.blocks))) + tuple(m == target for m in range(len(self.blocks)))
        if key not in self._solved:
            both = self.present[..., [*sources, target]].all(-1) & self.counted
            x = torch.cat([self.blocks[m] for m in sources], -1)
            slope, intercept = ridge_regression(x, self.blocks[target], both.float(), self.strength)
            self._solved[key] = torch.cat([slope, intercept], 1).float()
        return self._solved[key]


@dataclass(frozen=True, eq=False)
class _Completed(Fitted):
    imputer: Imputer
    probe: Regressions
    log_prior: Tensor

    def log_probabilities(self, offer: Offer) -> Tensor:
        said = self.probe.log_probabilities(_features(self.imputer, offer))[:, :, 0].float()
        return prior_where_nothing(said, offer.present, self.log_prior)


def _features(imputer: Imputer, offer: Offer) -> Tensor:
    return torch.cat([*imputer.completed(offer), offer.present.float()], -1)


class RidgeImputation(Method):
    """Missing embeddings predicted by ridge regression, then a linear probe.

    For a patient with the modalities S, each missing m is replaced by x̂_m = x_S P + b with
    P = (X_SᵀX_S + λI)⁻¹ X_SᵀX_m over the training patients that have both (labels are not needed, so that everybody
    counts); without any such patient by the mean, 0. What cannot be predicted shrinks to the mean by itself. A
    multinomial logistic regression on the completed embeddings is trained on all that patients have and on its parts.
    """

    name = "imputation"
    about = "Missing embeddings predicted from the others by ridge regression, then a linear probe"
    source = "Masked modality projection (Nezakati et al. 2024), SMIL (Ma et al. 2021), in closed form"
    settings: Mapping[str, Setting] = {
        "ridge": Setting(100.0, "Penalty λ of the imputing regressions", (30.0, 100.0, 300.0)),
        "strength": Setting(15.0, "L2 penalty of the probe, 1/C", (5.0, 15.0, 50.0)),
        "own": Setting(0.3, "Weight of all that a patient has; the rest goes evenly to the parts of it"),
        "balanced": Setting(False, "Every class weighs the same in training"),
    }

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Closed form, then a convex problem."""
        blocks = masked(lesson.offer.blocks, lesson.offer.present)
        counted = (lesson.inner >= 0) | (lesson.weight > 0)
        imputer = Imputer(blocks, lesson.offer.present, counted, number(lesson, choice, "ridge"))
        rows = practice(lesson.offer.present, number(lesson, choice, "own"))
        weight = balanced_weight(lesson) if choice["balanced"] else lesson.weight
        log_prior, strength = lesson.prior().log(), number(lesson, choice, "strength")
        probe = fit_regressions(
            _features(imputer, rows.offer(lesson.offer)),
            rows.of(lesson.allowed),
            (rows.of(weight) * rows.share)[..., None],
            strength[:, None],
            log_prior[:, None],
        )
        return _Completed(imputer, probe, log_prior)
