"""The linear head: one 1×1 convolution on the token grid, enlarged to pixels."""

from __future__ import annotations

from collections.abc import Sequence

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

    def forward(self, maps: Sequence[Tensor], image: Tensor) -> Tensor:
        """(N, C, h, w) tokens as the last of the maps to (N, K, S, S) logits; of the (N, 3, S, S) image only S counts.

        Bilinear, corners not aligned, as published.
        """
        logits = self.classify(maps[-1].permute(0, 2, 3, 1)).permute(0, 3, 1, 2).contiguous()
        return F.interpolate(logits, size=image.shape[-2:], mode="bilinear", align_corners=False)
