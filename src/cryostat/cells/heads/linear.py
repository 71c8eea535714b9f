"""The linear head: one 1×1 convolution on the token grid."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn


class LinearHead(nn.Module):
    """Width → logits at every token; the trainer enlarges them to pixels, as published.

    Args:
        width: Channels of a token.
        logits: Number of outputs.
    """

    def __init__(self, width: int, logits: int) -> None:
        super().__init__()
        self.classify = nn.Linear(width, logits)

    def forward(self, maps: Mapping[str, Tensor]) -> Tensor:
        """Token maps {"final": (N, h, w, C)} to logits (N, K, h, w)."""
        logits: Tensor = self.classify(maps["final"])
        return logits.permute(0, 3, 1, 2)
