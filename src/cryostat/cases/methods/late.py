"""Late fusion: a weighted mixture of experts."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cryostat.cases.methods.base import Setting
from cryostat.cases.methods.experts import EXPERT_SETTINGS, Experts
from cryostat.cases.methods.pooling import Pool


class LateFusion(Pool):
    """p = Σ_m w_m p_m over the experts that speak, w_m ∝ exp(−s · inner log-loss of m).

    At sharpness s = 0 it is their mean, at large s the best expert.
    """

    name = "late"
    about = "A mixture of the experts' probabilities, weighted by how well each did in the inner folds"
    source = "Late fusion, weights exponential in the loss (Vovk 1990)"
    parameter = "sharpness"
    tried = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0)
    settings: Mapping[str, Setting] = {
        **EXPERT_SETTINGS,
        "sharpness": Setting(-1.0, "How much the better expert counts more; below 0: found out of fold"),
    }

    def rule(self, said: Tensor, speaking: Tensor, experts: Experts, value: Tensor) -> Tensor:
        """The log of the mixture."""
        loss = torch.stack([probe.inner_loss for probe in experts.probes], -1)
        score = (-value[:, None] * loss)[:, None].expand_as(speaking)
        weight = torch.where(speaking, score, -torch.inf).log_softmax(-1)
        # Where nobody speaks the caller puts the prior; the softmax of nothing must not become NaN on the way.
        weight = torch.where(speaking.any(-1, keepdim=True), weight, 0.0)
        return torch.logsumexp(said + weight[..., None], 2).log_softmax(-1)
