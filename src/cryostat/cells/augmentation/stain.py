"""Stain space: RGB as haematoxylin, eosin and DAB, and back."""

from __future__ import annotations

import math

import torch
from torch import Tensor

HED_TO_RGB = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
"""Absorption of red, green and blue by each stain (Ruifrok and Johnston), a row a stain."""

DARKEST = 1e-6
"""Least transmission that is told from none; also the base of the logarithm."""


def rgb_to_hed(images: Tensor) -> Tensor:
    """(N, 3, H, W) RGB 0–1 to the amount of each stain."""
    density = images.clamp_min(DARKEST).log() / math.log(DARKEST)
    return torch.einsum("nchw,cs->nshw", density, _rows(images).inverse())


def hed_to_rgb(stains: Tensor) -> Tensor:
    """(N, 3, H, W) amounts of stain to RGB, cut to 0–1."""
    density = torch.einsum("nshw,sc->nchw", stains, _rows(stains))
    return (density * math.log(DARKEST)).exp().clamp(0, 1)


def jitter(images: Tensor, gain: Tensor, shift: Tensor) -> Tensor:
    """Change the amounts of stain.

    Args:
        images: (N, 3, H, W) RGB 0–1.
        gain: (N, 3) factor of each stain.
        shift: (N, 3) added to each stain.

    Returns:
        (N, 3, H, W) RGB 0–1; the input itself where gain is 1 and shift 0.
    """
    with torch.autocast(images.device.type, enabled=False):
        stains = rgb_to_hed(images.float()) * gain[:, :, None, None] + shift[:, :, None, None]
        changed = hed_to_rgb(stains).to(images.dtype)
    same = ((gain == 1) & (shift == 0)).all(1)
    return torch.where(same[:, None, None, None], images, changed)


def _rows(like: Tensor) -> Tensor:
    return torch.tensor(HED_TO_RGB, dtype=like.dtype, device=like.device)
