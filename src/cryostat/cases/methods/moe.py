"""A mixture of experts that is routed by what is available."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryostat.cases.methods.base import Fitted, Lesson, Method, Setting, number
from cryostat.cases.methods.batched import Chance, Linear, partial_loss, weighted_mean
from cryostat.cases.methods.networks import PRACTICE, Encoded, FittedNetwork, Network, practise


class ExpertMixture(Network):
    """An expert for each modality, a generalist over all with a bank for what is missing, and a router.

    Args:
        chance: Where the weights come from.
        widths: d_m.
        hidden: Width of each modality for the router.
        classes: C.
        log_prior: (F, C) where it starts.
        alone: (F,) weight of the experts' own losses.
    """

    def __init__(
        self, chance: Chance, widths: tuple[int, ...], hidden: int, classes: int, log_prior: Tensor, alone: Tensor
    ) -> None:
        super().__init__()
        modalities = len(widths)
        self._classes, self._alone = classes, alone
        self.expert = nn.ModuleList([Linear(chance, width, classes, zero=True) for width in widths])
        self.general = nn.ModuleList([Linear(chance, width, classes, zero=True) for width in widths])
        self.bank = nn.ModuleList([Linear(chance, modalities, classes, zero=True) for _ in widths])
        self.content = nn.ModuleList([Linear(chance, width, hidden) for width in widths])
        self.route = Linear(chance, hidden * modalities + modalities, modalities + 1, zero=True)
        self.start_bias = nn.Parameter(log_prior[:, None].clone())

    def encode(self, blocks: tuple[Tensor, ...]) -> Encoded:
        """What the modality's expert says (C), its share of the generalist (C) and its content for the router (h)."""
        return tuple(
            torch.cat([expert(block) + self.start_bias, general(block), functional.silu(content(block))], -1)
            for expert, general, content, block in zip(self.expert, self.general, self.content, blocks, strict=True)
        )

    def fuse(self, encoded: Encoded, present: Tensor) -> Tensor:
        """Log of Σ_k r_k p_k over the experts that are there."""
        classes, there = self._classes, present.float()
        shares: list[Tensor] = [self.start_bias]
        contents = [there]
        for m, (e, bank) in enumerate(zip(encoded, self.bank, strict=True)):
            shown = present[..., m, None]
            shares.append(torch.where(shown, e[..., classes : 2 * classes], bank(there)))
            contents.append(e[..., 2 * classes :] * shown)
        general = torch.stack(torch.broadcast_tensors(*shares)).sum(0)
        said = torch.stack([*(e[..., :classes] for e in encoded), general], -2).log_softmax(-1)
        usable = torch.cat([present, torch.ones_like(present[..., :1])], -1)
        routed = self.route(torch.cat(contents, -1)).masked_fill(~usable, -torch.inf).log_softmax(-1)
        return torch.logsumexp(said + routed[..., None], -2)

    def auxiliary(self, encoded: Encoded, present: Tensor, lesson: Lesson, weight: Tensor) -> Tensor:
        """Each expert's own loss over all patients that have its modality, paired or not."""
        total = torch.zeros(lesson.fits, device=present.device)
        for m, e in enumerate(encoded):
            loss = partial_loss(e[..., : self._classes].log_softmax(-1), lesson.allowed)
            total = total + weighted_mean(loss * present[..., m], weight)
        return self._alone * total


class ExpertsByAvailability(Method):
    """A mixture of experts routed by availability.

    p = Σ_k r_k(x, m) E_k(x): an expert for each modality, usable only where that is present, and a generalist that
    adds logits G_m x_m over all modalities, those of a missing one replaced by learnt ones b_m(S) that depend on what
    is there (the missing-modality bank of Flex-MoE, behind the linear layer). The router is a masked softmax over what
    is there. The loss adds a share of each expert's own cross-entropy, so that patients with a single modality train
    their expert as in unpaired training (Saueressig et al. 2026), and with one modality the mixture falls back to it.
    """

    name = "moe"
    about = "A mixture of experts, one for each modality and a generalist, routed by what is available"
    source = "Flex-MoE (Yun et al. 2024); Saueressig et al., npj Precision Oncology 2026"
    settings: Mapping[str, Setting] = {
        **PRACTICE,
        "hidden": Setting(16, "Width of each modality for the router"),
        "alone": Setting(0.3, "Weight of the experts' own losses"),
    }
    chance = True

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Train."""
        log_prior, alone = lesson.prior().log(), number(lesson, choice, "alone")
        widths, hidden = lesson.offer.widths, int(choice["hidden"])
        network = ExpertMixture(Chance(lesson.seeds), widths, hidden, lesson.classes, log_prior, alone)
        practise(network, lesson, choice)
        return FittedNetwork(network, log_prior)
