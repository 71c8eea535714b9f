"""The linear head: one 1×1 convolution on the token grid, enlarged to pixels."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional as F


class LinearHead(nn.Module):
    """Width → logits at every token, enlarged bilinearly (corners not aligned), as published.

    Args:
        width: Channels of a token.
        logits: Number of outputs.
    """

    def __init__(self, width: int, logits: int) -> None:
        super().__init__()
        self.classify = nn.Linear(width, logits)

    def forward(self, maps: Mapping[str, Tensor], size: int) -> Tensor:
        """Token maps {"final": (N, h, w, C)} to logits (N, K, size, size)."""
        logits = self.classify(maps["final"]).permute(0, 3, 1, 2)
        return F.interpolate(logits, size=(size, size), mode="bilinear", align_corners=False)
