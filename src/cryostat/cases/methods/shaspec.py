"""Shared and specific features: what modalities have in common stands in for those that are missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryostat.cases.methods.base import Fitted, Lesson, Method, Setting, number
from cryostat.cases.methods.batched import Chance, Linear, weighted_mean
from cryostat.cases.methods.networks import PRACTICE, Encoded, FittedNetwork, Network, practise


class SharedSpecific(Network):
    """One shared layer for all modalities and one of its own for each.

    Args:
        chance: Where the weights come from.
        widths: d_m.
        dims: Width of shared and of specific features.
        classes: C.
        log_prior: (F, C) where it starts.
        alike: (F,) weight of shared features being alike.
        telling: (F,) weight of specific features telling their modality.
    """

    def __init__(
        self,
        chance: Chance,
        widths: tuple[int, ...],
        dims: int,
        classes: int,
        log_prior: Tensor,
        alike: Tensor,
        telling: Tensor,
    ) -> None:
        super().__init__()
        self._dims, self._alike, self._telling = dims, alike, telling
        self.entry = nn.ModuleList([Linear(chance, width, dims) for width in widths])
        self.shared = Linear(chance, dims, dims)
        self.specific = nn.ModuleList([Linear(chance, width, dims) for width in widths])
        self.residual = Linear(chance, 2 * dims, dims, zero=True)
        self.decoder = Linear(chance, dims * len(widths), classes, zero=True)
        self.judge = Linear(chance, dims, len(widths), zero=True)
        self.start_bias = nn.Parameter(log_prior[:, None].clone())

    def encode(self, blocks: tuple[Tensor, ...]) -> Encoded:
        """Shared and specific features side by side, (F, n, 2 · dims)."""
        return tuple(
            torch.cat([self.shared(entry(block)), functional.silu(specific(block))], -1)
            for entry, specific, block in zip(self.entry, self.specific, blocks, strict=True)
        )

    def fuse(self, encoded: Encoded, present: Tensor) -> Tensor:
        """f_m = s_m + R [s_m; t_m] where present, the mean of the available s elsewhere; then one linear decoder."""
        mean = self._mean_shared(encoded, present)
        features = [
            torch.where(present[..., m, None], e[..., : self._dims] + self.residual(e), mean)
            for m, e in enumerate(encoded)
        ]
        logits: Tensor = self.decoder(torch.cat(features, -1)) + self.start_bias
        return logits.log_softmax(-1)

    def _mean_shared(self, encoded: Encoded, present: Tensor) -> Tensor:
        shared = torch.stack([e[..., : self._dims] * present[..., m, None] for m, e in enumerate(encoded)]).sum(0)
        return shared / present.sum(-1, keepdim=True).clamp(min=1)

    def auxiliary(self, encoded: Encoded, present: Tensor, lesson: Lesson, weight: Tensor) -> Tensor:
        """Shared features of a patient near their mean; specific ones that tell which modality they came from."""
        mean = self._mean_shared(encoded, present)
        several = present.sum(-1) > 1
        apart = torch.zeros_like(weight)
        told = torch.zeros_like(weight)
        for m, e in enumerate(encoded):
            apart = apart + (e[..., : self._dims] - mean).abs().mean(-1) * (present[..., m] & several)
            told = told - self.judge(e[..., self._dims :]).log_softmax(-1)[..., m] * present[..., m]
        return self._alike * weighted_mean(apart, weight) + self._telling * weighted_mean(told, weight)


class ShaSpec(Method):
    """Shared–specific features.

    Each modality gives shared features s_m = S P_m x_m, S the same for all, and specific ones t_m = SiLU(T_m x_m). A
    present modality contributes f_m = s_m + R [s_m; t_m]; a missing one the mean of the shared features that are
    available. The loss adds Σ_m |s_m − s̄| (shared features of one patient alike) and the cross-entropy of telling m
    from t_m.
    """

    name = "shaspec"
    about = "Shared and specific features; a missing modality is replaced by the mean of what others share"
    source = "ShaSpec (Wang et al. 2023, arXiv 2307.14126)"
    settings: Mapping[str, Setting] = {
        **PRACTICE,
        "strength": Setting(13.0, PRACTICE["strength"].about, PRACTICE["strength"].choices),
        "dims": Setting(16, "Width of shared and of specific features"),
        "alike": Setting(0.1, "Weight of shared features being alike"),
        "telling": Setting(0.02, "Weight of specific features telling their modality"),
    }
    chance = True

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Train."""
        log_prior = lesson.prior().log()
        alike, telling = number(lesson, choice, "alike"), number(lesson, choice, "telling")
        widths, dims = lesson.offer.widths, int(choice["dims"])
        network = SharedSpecific(Chance(lesson.seeds), widths, dims, lesson.classes, log_prior, alike, telling)
        practise(network, lesson, choice)
        return FittedNetwork(network, log_prior)
