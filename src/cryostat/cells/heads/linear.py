"""The linear head: one 1×1 convolution on the token grid, enlarged to pixels."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class LinearHead(nn.Module):
    """Width → logits at every token.

    A 1×1 convolution and a bilinear enlargement commute: the logits at a pixel are those of the features interpolated
    there, which is how the head is trained.

    Args:
        width: Channels of a token.
        logits: Number of outputs.
    """

    def __init__(self, width: int, logits: int) -> None:
        super().__init__()
        self.classify = nn.Linear(width, logits)

    def forward(self, features: Tensor) -> Tensor:
        """(…, C) features to (…, K) logits."""
        logits: Tensor = self.classify(features)
        return logits

    def maps(self, tokens: Tensor, size: int) -> Tensor:
        """(N, h, w, C) token maps to (N, K, size, size) logits, bilinear, corners not aligned, as published."""
        logits = self(tokens).permute(0, 3, 1, 2).contiguous()
        return F.interpolate(logits, size=(size, size), mode="bilinear", align_corners=False)
