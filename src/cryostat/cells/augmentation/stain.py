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
    same = ((gain == 1) & (shift == 0)).all(1)
    mixing, offset = _in_density(gain, shift)
    # To stains, changed and back is linear in the logarithm of the image: one step in place of three.
    logs = images.float().clamp_min(DARKEST).log()
    changed = offset[:, :, None, None] + mixing[:, :, 0, None, None] * logs[:, 0:1]
    for colour in (1, 2):
        changed = changed.addcmul_(mixing[:, :, colour, None, None], logs[:, colour : colour + 1])
    changed = changed.exp_().clamp_(0, 1).to(images.dtype)
    return torch.where(same[:, None, None, None], images, changed)


def _in_density(gain: Tensor, shift: Tensor) -> tuple[Tensor, Tensor]:
    """(N, 3, 3) and (N, 3): what becomes of the logarithms of red, green and blue, and what is added to them."""
    rows = torch.tensor(HED_TO_RGB, dtype=torch.float64)
    rows, amounts = rows.to(gain.device), rows.inverse().to(gain.device)
    mixing = sum(rows[s, :, None] * amounts[None, :, s] * gain.double()[:, s, None, None] for s in range(3))
    offset = sum(rows[s] * shift.double()[:, s, None] for s in range(3)) * math.log(DARKEST)
    return torch.as_tensor(mixing).float(), torch.as_tensor(offset).float()


def _rows(like: Tensor) -> Tensor:
    return torch.tensor(HED_TO_RGB, dtype=like.dtype, device=like.device)
