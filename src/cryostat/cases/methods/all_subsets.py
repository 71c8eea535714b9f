"""One network trained on every subset of what each patient has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryostat.cases.methods.base import Fitted, Lesson, Method, Setting
from cryostat.cases.methods.batched import Chance, Linear
from cryostat.cases.methods.networks import PRACTICE, Encoded, FittedNetwork, Network, practise


class SumNetwork(Network):
    """Logits = Σ_m m_m (L_m x_m) + B m + W · GELU(Σ_m m_m (H_m x_m) + A m): a linear part and one hidden layer.

    A layer on blocks side by side is a sum over the modalities, so that every subset reuses the same products.

    Args:
        chance: Where the weights come from.
        widths: d_m.
        hidden: Hidden units; 0: the linear part alone.
        classes: C.
        log_prior: (F, C) where it starts.
    """

    def __init__(self, chance: Chance, widths: tuple[int, ...], hidden: int, classes: int, log_prior: Tensor) -> None:
        super().__init__()
        self._hidden, self._classes = hidden, classes
        self.straight = nn.ModuleList([Linear(chance, d, classes, zero=True) for d in widths])
        self.start_bias = nn.Parameter(log_prior[:, None].clone())
        self.bent = nn.ModuleList([Linear(chance, d, hidden) for d in widths] if hidden else [])
        self.last = Linear(chance, hidden, classes, zero=True) if hidden else None

    def encode(self, blocks: tuple[Tensor, ...]) -> Encoded:
        """Each modality's share of the logits, and of the hidden layer behind them."""
        shares = [layer(block) for layer, block in zip(self.straight, blocks, strict=True)]
        if self._hidden:
            return tuple(torch.cat([s, layer(b)], -1) for s, layer, b in zip(shares, self.bent, blocks, strict=True))
        return tuple(shares)

    def fuse(self, encoded: Encoded, present: Tensor) -> Tensor:
        """Sum over what is present."""
        total = torch.stack(encoded, -1) @ present[..., None].float()
        logits = total[..., : self._classes, 0] + self.start_bias
        if self.last is not None:
            logits = logits + self.last(functional.gelu(total[..., self._classes :, 0]))
        return logits.log_softmax(-1)


class AllSubsets(Method):
    """Modality dropout, enumerated.

    L = Σ_i w_i Σ_{S ⊆ present_i} λ_iS · CE(f(x_iS), y_i): every part of what a patient has is practised on at every
    step, none is drawn at random (modality dropout of Neverova et al. 2016 in expectation; reference 7.2, 4). The
    biases of each modality's layers count only where it is present, so that missing differs from average.
    """

    name = "all-subsets"
    about = "One network trained on every subset of what each patient has (modality dropout, enumerated)"
    source = "ModDrop (Neverova et al. 2016), enumerated"
    settings: Mapping[str, Setting] = {
        **PRACTICE,
        "hidden": Setting(16, "Hidden units beside the linear part; 0: linear alone"),
    }
    chance = True

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Train."""
        log_prior = lesson.prior().log()
        widths, hidden = lesson.offer.widths, int(choice["hidden"])
        network = SumNetwork(Chance(lesson.seeds), widths, hidden, lesson.classes, log_prior)
        practise(network, lesson, choice)
        return FittedNetwork(network, log_prior)
