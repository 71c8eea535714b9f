"""The cell probe: a linear or small MLP classifier of pooled features."""

from __future__ import annotations

from torch import Tensor, nn


class CellProbe(nn.Module):
    """Pooled features to logits.

    Args:
        width: Features a nucleus.
        logits: Number of outputs.
        hidden: Width of the hidden layer; 0 for a linear probe.
        dropout: On the features and on the hidden layer.
    """

    def __init__(self, width: int, logits: int, hidden: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        if hidden:
            inner = (nn.Linear(width, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, logits))
            self.classify = nn.Sequential(nn.Dropout(dropout), *inner)
        else:
            self.classify = nn.Sequential(nn.Dropout(dropout), nn.Linear(width, logits))

    def forward(self, features: Tensor) -> Tensor:
        """(n, C) standardised features to (n, K) logits."""
        logits: Tensor = self.classify(features)
        return logits
