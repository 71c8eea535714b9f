"""Product of experts: evidence that adds up."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from cryostat.cases.methods.base import Setting
from cryostat.cases.methods.experts import EXPERT_SETTINGS, Experts
from cryostat.cases.methods.pooling import Pool


class ProductOfExperts(Pool):
    """log p = log π + Σ_m (log p_m − log π) · k^(γ−1) + const over the k experts that speak.

    With γ = 1 and modalities that are independent within each class this is Bayes' rule: the prior counts once.
    Modalities that repeat each other need γ < 1; at γ = 0 the logarithms are averaged.
    """

    name = "product"
    about = "The experts' probabilities multiplied, the prior counted once"
    source = "Products of experts (Hinton 2002), with the prior corrected"
    parameter = "gamma"
    tried = (1.0, 0.75, 0.5, 0.25, 0.0)
    settings: Mapping[str, Setting] = {
        **EXPERT_SETTINGS,
        "gamma": Setting(-1.0, "1: full evidence of each expert; 0: their mean; below 0: found out of fold"),
    }

    def rule(self, said: Tensor, speaking: Tensor, experts: Experts, value: Tensor) -> Tensor:
        """The log of the product."""
        prior = experts.log_prior[:, None, None]
        total = ((said - prior) * speaking[..., None]).sum(2)
        count = speaking.sum(-1, keepdim=True).clamp(min=1).float()
        return (experts.log_prior[:, None] + total * count ** (value[:, None, None] - 1)).log_softmax(-1)
