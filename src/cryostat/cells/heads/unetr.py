"""UNetR: a U-Net decoder on four token maps and the pixels themselves, after CellViT's single decoder branch."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SMALL = 512
"""Below this token width the decoder takes narrower skips."""


class UNetR(nn.Module):
    """Four token maps and the normalised image to logits in every pixel.

    Args:
        width: Channels of a token.
        logits: Number of outputs.
    """

    def __init__(self, width: int, logits: int) -> None:
        super().__init__()
        wide, skip, neck = (512, 256, 512) if width >= SMALL else (256, 128, 312)
        self.pixels = nn.Sequential(_conv(3, 32), _conv(32, 64))
        self.skip1 = nn.Sequential(_up_conv(width, wide), _up_conv(wide, skip), _up_conv(skip, 128))
        self.skip2 = nn.Sequential(_up_conv(width, wide), _up_conv(wide, 256))
        self.skip3 = _up_conv(width, neck)
        self.bottom = _up(width, neck)
        self.up3 = nn.Sequential(_conv(2 * neck, neck), _conv(neck, neck), _conv(neck, neck), _up(neck, 256))
        self.up2 = nn.Sequential(_conv(512, 256), _conv(256, 256), _up(256, 128))
        self.up1 = nn.Sequential(_conv(256, 128), _conv(128, 128), _up(128, 64))
        self.header = nn.Sequential(_conv(128, 64), _conv(64, 64), nn.Conv2d(64, logits, 1))

    def forward(self, maps: Sequence[Tensor], image: Tensor) -> Tensor:
        """Logits of a batch.

        Args:
            maps: Four token maps (N, C, h, w), from early to late.
            image: (N, 3, S, S) normalised.

        Returns:
            (N, K, S, S).
        """
        z1, z2, z3, z4 = maps
        x = self.up3(torch.cat([self.skip3(z3), self.bottom(z4)], 1))
        x = self.up2(torch.cat([self.skip2(z2), x], 1))
        x = self.up1(torch.cat([self.skip1(z1), x], 1))
        if x.shape[-2:] != image.shape[-2:]:
            x = F.interpolate(x, size=image.shape[-2:], mode="bilinear", align_corners=False)
        logits: Tensor = self.header(torch.cat([self.pixels(image), x], 1))
        return logits


def _conv(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


def _up(inputs: int, outputs: int) -> nn.Module:
    return nn.ConvTranspose2d(inputs, outputs, 2, stride=2)


def _up_conv(inputs: int, outputs: int) -> nn.Module:
    return nn.Sequential(_up(inputs, outputs), *_conv(outputs, outputs).children())
