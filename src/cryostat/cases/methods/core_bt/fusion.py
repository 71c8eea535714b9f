"""y = Σ w_i · Expert_i(ê_i) + σ(α) · Φ([m_i ê_i]): F fusions, exactly the ensemble of their experts at the start."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cryostat.cases.methods.batched import Chance, Linear
from cryostat.cases.methods.core_bt.gates import GATES
from cryostat.cases.methods.core_bt.residual import RESIDUALS, ZeroScalar

FINETUNING = 0.1
"""Learning rate of fine-tuned experts as a share of that of the rest."""


@dataclass(frozen=True, eq=False)
class Shown:
    """What a fusion sees of n patients.

    Attributes:
        blocks: (F, n, d_m), 0 where neither experts nor residual see it.
        counted: (F, n, M) bool: experts that speak.
        residual: (F, n, M) bool: what Φ sees.
        said: (F, n, M, C) log-probabilities of the experts, the prior where one does not speak.
    """

    blocks: tuple[Tensor, ...]
    counted: Tensor
    residual: Tensor
    said: Tensor

    def to_residual(self) -> Tensor:
        """(F, n, Σ d_m): the input of Φ."""
        if self.residual is self.counted:
            return torch.cat(self.blocks, -1)
        return torch.cat([block * self.residual[..., m, None] for m, block in enumerate(self.blocks)], -1)


def in_logits(said: Tensor, weight: Tensor, log_prior: Tensor) -> Tensor:
    """Σ w_i z_i, z the log-probabilities less their mean over classes."""
    return (weight * (said - said.mean(-1, keepdim=True))).sum(2)


def in_log_probabilities(said: Tensor, weight: Tensor, log_prior: Tensor) -> Tensor:
    """Σ w_i log p_i − (Σ w_i − 1) log π: a product of experts in which the prior counts once."""
    return (weight * (said - log_prior)).sum(2) + log_prior[:, 0]


def in_probabilities(said: Tensor, weight: Tensor, log_prior: Tensor) -> Tensor:
    """Log Σ w_i p_i / Σ w_i: a mixture; the prior where nobody speaks."""
    total = weight.sum(2, keepdim=True)
    share = torch.where(total > 0, weight / total.clamp(min=1e-12), 1 / weight.shape[2])
    return torch.logsumexp(said + share.clamp(min=1e-30).log(), 2)


SPACES: Mapping[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "logits": in_logits,
    "log_probs": in_log_probabilities,
    "probs": in_probabilities,
}
"""From (F, n, M, C) log-probabilities, (F, n, M, 1 or C) weights and (F, 1, 1, C) log-prior to (F, n, C) logits."""


class Fusion(nn.Module):
    """F fusions.

    Args:
        seeds: (F,).
        widths: d_m of each modality.
        log_prior: (F, C).
        numbers: (F,) each: "alpha" at the start, "temperature" of gates that go by sureness.
        choice: The named settings of the method.
    """

    def __init__(
        self,
        seeds: Tensor,
        widths: tuple[int, ...],
        log_prior: Tensor,
        numbers: Mapping[str, Tensor],
        choice: Mapping[str, Any],
    ) -> None:
        super().__init__()
        chance, classes, by_layer = Chance(seeds), log_prior.shape[-1], choice["zero"] == "layer"
        self.gate = GATES[choice["weights"]](chance, widths, classes, numbers["temperature"])
        self.alpha = nn.Parameter(numbers["alpha"][:, None, None].clone())
        build = RESIDUALS[choice["residual"]]
        residual = build(chance, sum(widths), int(choice["width"]), classes, float(choice["dropout"]), by_layer)
        self.residual = residual if by_layer else ZeroScalar(residual, len(seeds))
        tuned = widths if choice["probes"] == "finetuned" else ()
        self.tuning = nn.ModuleList(Linear(chance, width, classes, zero=True) for width in tuned)
        adds = choice["evidence"] == "adds" and self.gate.shares
        self.gamma = nn.Parameter(torch.ones(len(seeds), 1, 1, 1)) if adds else None
        self._combine, self.log_prior = SPACES[choice["space"]], log_prior
        self._prior_for_missing = choice["missing"] == "prior"

    def weights(self, shown: Shown) -> Tensor:
        """(F, n, M, 1 or C): of the experts; where the prior stands in for what is missing, it has a weight too."""
        counted = shown.counted
        if self._prior_for_missing:
            counted = counted.any(-1, keepdim=True).expand_as(counted)
        weight: Tensor = self.gate(shown.blocks, counted, shown.said)
        weight = weight if weight.dim() == 4 else weight[..., None]
        if self.gamma is None:
            return weight
        speaking = shown.counted.sum(-1).clamp(min=1)[..., None, None]
        return weight * speaking**self.gamma

    def ensemble(self, shown: Shown) -> Tensor:
        """(F, n, C) logits of the weighted experts; the prior where none speaks."""
        said = self._tuned(shown)
        joint = self._combine(said, self.weights(shown), self.log_prior[:, None, None])
        return torch.where(shown.counted.any(-1, keepdim=True), joint, self.log_prior[:, None])

    def forward(self, shown: Shown) -> Tensor:
        """(F, n, C) log-probabilities."""
        together = self.ensemble(shown) + torch.sigmoid(self.alpha) * self.residual(shown.to_residual())
        nothing = ~(shown.counted | shown.residual).any(-1, keepdim=True)
        return torch.where(nothing, self.log_prior[:, None], together.log_softmax(-1))

    def _tuned(self, shown: Shown) -> Tensor:
        if not self.tuning:
            return shown.said
        changes = [FINETUNING * layer(block) for layer, block in zip(self.tuning, shown.blocks, strict=True)]
        return (shown.said + torch.stack(changes, 2) * shown.counted[..., None]).log_softmax(-1)
