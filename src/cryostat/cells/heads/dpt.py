"""DPT: token maps refined from the last layer to the first, after the dense prediction transformer."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F


class DPT(nn.Module):
    """Four token maps to logits in every pixel.

    Args:
        width: Channels of a token.
        logits: Number of outputs.
        features: Channels inside the decoder; the published head keeps the token width, the lean one projects to 256.
    """

    def __init__(self, width: int, logits: int, features: int | None = None) -> None:
        super().__init__()
        inner = features or width
        self.project = nn.ModuleList(nn.Conv2d(width, inner, 3, padding=1, bias=False) for _ in range(4))
        self.fuse = nn.ModuleList(_Fusion(inner) for _ in range(4))
        self.header = nn.Sequential(
            nn.Conv2d(inner, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(inner, logits, 1),
        )

    def forward(self, maps: Sequence[Tensor], image: Tensor) -> Tensor:
        """Four (N, C, h, w) maps, early to late, to (N, K, S, S) logits; of the (N, 3, S, S) image only S counts."""
        size = image.shape[-1]
        projected = [project(z) for project, z in zip(self.project, maps, strict=True)]
        x: Tensor | None = None
        for fuse, z in zip(self.fuse, reversed(projected), strict=True):
            x = fuse(z, x)
        logits: Tensor = self.header(x)
        if logits.shape[-1] != size:
            logits = F.interpolate(logits, size=(size, size), mode="bilinear", align_corners=True)
        return logits


class _Fusion(nn.Module):
    """Adds a refined skip to what came from above, refines, doubles the resolution, mixes channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.skip = _Residual(width)
        self.refine = _Residual(width)
        self.mix = nn.Conv2d(width, width, 1)

    def forward(self, skip: Tensor, above: Tensor | None) -> Tensor:
        if above is not None:
            enlarged = F.interpolate(skip, size=above.shape[-2:], mode="bilinear", align_corners=True)
            skip = above + self.skip(enlarged)
        refined = F.interpolate(self.refine(skip), scale_factor=2, mode="bilinear", align_corners=True)
        mixed: Tensor = self.mix(refined)
        return mixed


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(*_half(width), *_half(width))

    def forward(self, x: Tensor) -> Tensor:
        refined: Tensor = self.body(x) + x
        return refined


def _half(width: int) -> tuple[nn.Module, ...]:
    return nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width)
