"""How much each expert counts for a patient: the w_i of CoRe-BT, in every reading of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from cryostat.cases.methods.batched import Chance, Linear


class Gate(nn.Module):
    """Weights of experts: (F, n, M), or (F, n, M, C) where classes differ.

    Attributes:
        shares: The weights sum to 1 over the experts that count.
    """

    shares = True

    def forward(self, blocks: tuple[Tensor, ...], counted: Tensor, said: Tensor) -> Tensor:
        """Weights.

        Args:
            blocks: (F, n, d_m), 0 where missing.
            counted: (F, n, M) bool: the experts that share the weight; the others get 0.
            said: (F, n, M, C) log-probabilities of the experts.
        """
        raise NotImplementedError


class Scored(nn.Module):
    """s_i = a_i(ê_i) + b_i(m), 0 at the start."""

    def __init__(self, chance: Chance, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.by_value = nn.ModuleList(Linear(chance, width, 1, zero=True) for width in widths)
        self.by_mask = Linear(chance, len(widths), len(widths), zero=True)

    def forward(self, blocks: tuple[Tensor, ...], counted: Tensor) -> Tensor:
        """(F, n, M)."""
        own = torch.cat([score(block) for score, block in zip(self.by_value, blocks, strict=True)], -1)
        scores: Tensor = own + self.by_mask(counted.float())
        return scores


class SoftmaxGate(Gate):
    """w = softmax(s + log m): they sum to 1 over what is there; even at the start."""

    def __init__(self, chance: Chance, widths: tuple[int, ...], classes: int, temperature: Tensor) -> None:
        super().__init__()
        self.scored = Scored(chance, widths)

    def forward(self, blocks: tuple[Tensor, ...], counted: Tensor, said: Tensor) -> Tensor:
        """Softmax of the scores."""
        return shared_out(self.scored(blocks, counted), counted)


class SigmoidGate(Gate):
    """w_i = 2 σ(s_i), each by itself: 1 at the start, so that evidence adds up."""

    shares = False

    def __init__(self, chance: Chance, widths: tuple[int, ...], classes: int, temperature: Tensor) -> None:
        super().__init__()
        self.scored = Scored(chance, widths)

    def forward(self, blocks: tuple[Tensor, ...], counted: Tensor, said: Tensor) -> Tensor:
        """Twice the sigmoid of each score."""
        return 2 * torch.sigmoid(self.scored(blocks, counted)) * counted


class SureGate(Gate):
    """w_i ∝ exp(sureness_i / τ), nothing learnt."""

    def __init__(self, temperature: Tensor, sureness: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self._temperature, self._sureness = temperature[:, None, None], sureness

    def forward(self, blocks: tuple[Tensor, ...], counted: Tensor, said: Tensor) -> Tensor:
        """Softmax of the sureness."""
        return shared_out(self._sureness(said) / self._temperature, counted)


class StaticGate(Gate):
    """One learnt score a modality, or one a modality and class; the same for all patients."""

    def __init__(self, fits: int, modalities: int, classes: int) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(fits, 1, modalities, classes))

    def forward(self, blocks: tuple[Tensor, ...], counted: Tensor, said: Tensor) -> Tensor:
        """Softmax of what was learnt, (F, n, M, 1 or C)."""
        return shared_out(self.bias.expand(-1, counted.shape[1], -1, -1), counted[..., None], dim=2)


class UniformGate(Gate):
    """The same weight for all that is there."""

    def forward(self, blocks: tuple[Tensor, ...], counted: Tensor, said: Tensor) -> Tensor:
        """One over the number of those that count."""
        return counted / counted.sum(-1, keepdim=True).clamp(min=1)


def shared_out(scores: Tensor, counted: Tensor, dim: int = -1) -> Tensor:
    """Softmax over those that count; all 0 where none does."""
    some = counted.any(dim, keepdim=True)
    return torch.where(counted | ~some, scores, -torch.inf).softmax(dim) * some


def certainty(said: Tensor) -> Tensor:
    """−H(p) of log-probabilities (…, C)."""
    return (said.exp() * said).sum(-1)


def margin(said: Tensor) -> Tensor:
    """Probability of the likeliest class less that of the next."""
    first, second = said.exp().topk(2, -1).values.unbind(-1)
    return first - second


_Builder = Callable[[Chance, tuple[int, ...], int, Tensor], Gate]

GATES: Mapping[str, _Builder] = {
    "gate_softmax": SoftmaxGate,
    "gate_sigmoid": SigmoidGate,
    "confidence": lambda chance, widths, classes, temperature: SureGate(temperature, certainty),
    "margin": lambda chance, widths, classes, temperature: SureGate(temperature, margin),
    "static": lambda chance, widths, classes, temperature: StaticGate(len(temperature), len(widths), 1),
    "per_class": lambda chance, widths, classes, temperature: StaticGate(len(temperature), len(widths), classes),
    "uniform": lambda chance, widths, classes, temperature: UniformGate(),
}
"""From chance, widths of the modalities, number of classes and temperatures (F,) to a gate."""
