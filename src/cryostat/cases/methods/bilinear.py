"""Gated bilinear fusion: every product between what the modalities say, at low rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryostat.cases.methods.base import Fitted, Lesson, Method, Setting
from cryostat.cases.methods.batched import Chance, Linear
from cryostat.cases.methods.networks import PRACTICE, Encoded, FittedNetwork, Network, practise


class BilinearNetwork(Network):
    """F gated low-rank polynomial fusions.

    Args:
        chance: Where the weights come from.
        widths: d_m.
        dims: Width d of each modality before the product.
        rank: Rank of the tensor of weights.
        classes: C.
        log_prior: (F, C) where it starts.
    """

    def __init__(
        self, chance: Chance, widths: tuple[int, ...], dims: int, rank: int, classes: int, log_prior: Tensor
    ) -> None:
        super().__init__()
        self._dims = dims
        self.content = nn.ModuleList([Linear(chance, width, dims) for width in widths])
        self.gate = nn.ModuleList([Linear(chance, dims * len(widths), dims) for _ in widths])
        self.factor = nn.ModuleList([Linear(chance, dims, rank) for _ in widths])
        self.straight = nn.ModuleList([Linear(chance, width, classes, zero=True) for width in widths])
        self.last = Linear(chance, rank, classes, zero=True)
        self.start_bias = nn.Parameter(log_prior[:, None].clone())

    def encode(self, blocks: tuple[Tensor, ...]) -> Encoded:
        """B_m x_m and L_m x_m of each modality, side by side."""
        return tuple(
            torch.cat([content(block), straight(block)], -1)
            for content, straight, block in zip(self.content, self.straight, blocks, strict=True)
        )

    def fuse(self, encoded: Encoded, present: Tensor) -> Tensor:
        """Gate, multiply with the appended 1, add up."""
        there = [e * present[..., m, None] for m, e in enumerate(encoded)]
        shown = [e[..., : self._dims] for e in there]
        beside = torch.cat(shown, -1)
        gated = [gate(beside).sigmoid() * functional.silu(v) for gate, v in zip(self.gate, shown, strict=True)]
        # U_m [1; g_m] is 1 + U_m g_m: a missing modality multiplies by the 1 alone.
        product = torch.ones((), device=beside.device)
        for m, (factor, value) in enumerate(zip(self.factor, gated, strict=True)):
            product = product * (1 + factor(value) * present[..., m, None])
        straight = torch.stack([e[..., self._dims :] for e in there]).sum(0)
        logits = straight + self.last(product - 1) + self.start_bias
        log_probabilities: Tensor = logits.log_softmax(-1)
        return log_probabilities


class GatedBilinear(Method):
    """Gated bilinear fusion after Pathomic Fusion, with its tensor of weights at low rank.

    g_m = σ(A_m [h_1; …; h_M]) ⊙ SiLU(h_m) with h_m = B_m x_m in 16 dimensions. Pathomic Fusion multiplies
    [1; g_1] ⊗ … ⊗ [1; g_M] (17³ = 4913 numbers for three modalities) with a matrix; here that matrix has rank R, so
    that y = V · Π_m (1 + U_m g_m) + Σ_m L_m x_m + b, the product taken entry by entry over R numbers. The appended 1
    keeps the terms of single modalities and of pairs, so that a missing modality (g_m = 0) takes its products away and
    nothing else.
    """

    name = "bilinear"
    about = "Gated products between modalities with an appended 1 (Pathomic Fusion), at low rank"
    source = "Pathomic Fusion (Chen et al. 2020); low-rank multimodal fusion (Liu et al. 2018)"
    settings: Mapping[str, Setting] = {
        **PRACTICE,
        "dims": Setting(16, "Width of each modality before the product"),
        "rank": Setting(8, "Rank of the tensor of products"),
    }
    chance = True

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Train."""
        log_prior = lesson.prior().log()
        dims, rank = int(choice["dims"]), int(choice["rank"])
        network = BilinearNetwork(Chance(lesson.seeds), lesson.offer.widths, dims, rank, lesson.classes, log_prior)
        practise(network, lesson, choice)
        return FittedNetwork(network, log_prior)
