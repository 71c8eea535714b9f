"""The Φ of CoRe-BT: what the modalities say together, beside what each says alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryostat.cases.methods.batched import Chance, Linear, Perceptron


class LinearResidual(nn.Module):
    """One layer."""

    def __init__(self, chance: Chance, inputs: int, width: int, classes: int, dropout: float, zero: bool) -> None:
        super().__init__()
        self.last = Linear(chance, inputs, classes, zero=zero)

    def forward(self, x: Tensor) -> Tensor:
        """(F, n, inputs) to (F, n, C)."""
        said: Tensor = self.last(x)
        return said


class MlpResidual(nn.Module):
    """One hidden layer with GELU and dropout: the published reading."""

    def __init__(self, chance: Chance, inputs: int, width: int, classes: int, dropout: float, zero: bool) -> None:
        super().__init__()
        self.layers = Perceptron(chance, inputs, width, classes, dropout=dropout, zero=zero)

    def forward(self, x: Tensor) -> Tensor:
        """(F, n, inputs) to (F, n, C)."""
        said: Tensor = self.layers(x)
        return said


class BilinearResidual(nn.Module):
    """Products of two projections of low rank: every pair of inputs may matter together."""

    def __init__(self, chance: Chance, inputs: int, width: int, classes: int, dropout: float, zero: bool) -> None:
        super().__init__()
        self.left, self.right = Linear(chance, inputs, width), Linear(chance, inputs, width)
        self.last = Linear(chance, width, classes, zero=zero)

    def forward(self, x: Tensor) -> Tensor:
        """(F, n, inputs) to (F, n, C)."""
        said: Tensor = self.last(self.left(x) * self.right(x))
        return said


class GatedResidual(nn.Module):
    """Hidden units that others open and shut: σ(Gx) ∘ GELU(Bx)."""

    def __init__(self, chance: Chance, inputs: int, width: int, classes: int, dropout: float, zero: bool) -> None:
        super().__init__()
        self.opening, self.hidden = Linear(chance, inputs, width), Linear(chance, inputs, width)
        self.last = Linear(chance, width, classes, zero=zero)

    def forward(self, x: Tensor) -> Tensor:
        """(F, n, inputs) to (F, n, C)."""
        said: Tensor = self.last(torch.sigmoid(self.opening(x)) * functional.gelu(self.hidden(x)))
        return said


class ZeroScalar(nn.Module):
    """A residual of random layers times one number that starts at 0."""

    def __init__(self, residual: nn.Module, fits: int) -> None:
        super().__init__()
        self.residual, self.scale = residual, nn.Parameter(torch.zeros(fits, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        """(F, n, inputs) to (F, n, C)."""
        said: Tensor = self.scale * self.residual(x)
        return said


_Builder = Callable[[Chance, int, int, int, float, bool], nn.Module]

RESIDUALS: Mapping[str, _Builder] = {
    "mlp": MlpResidual,
    "linear": LinearResidual,
    "bilinear": BilinearResidual,
    "gated": GatedResidual,
}
"""From chance, inputs, width, classes, dropout and whether the last layer starts at 0 to a residual."""
