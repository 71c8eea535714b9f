"""`stain-filters`: what colour and local texture alone can tell, the floor that every foundation model must clear.

Optical densities are unmixed into haematoxylin, eosin and a residual; each is described by its mean, its edges, ridges
and blobs at five scales, its local spread, and its surroundings. Nothing is learnt and nothing depends on the rest of
the tile or of the batch: a token far enough from the border is the same in whatever tile it lies.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cryostat.core.identity import code_version
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.tile import filters
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.filters import GaussianDerivatives, smooth

RGB_FROM_HED = ((0.65, 0.70, 0.29), (0.07, 0.99, 0.11), (0.27, 0.57, 0.78))
"""Optical density in red, green, blue of haematoxylin, eosin and the residual (Ruifrok & Johnston 2001)."""

DARKEST = 1 / 255
"""Intensities are raised to this before the logarithm: one step of an 8-bit image."""

OCTAVES = {1: (0.7, 1.0, 1.4), 2: (1.0, 1.4)}
"""Down-sampling to the scales of the derivatives, in px of the down-sampled image: 0.7, 1, 1.4, 2 and 2.8 px in all."""

SPREAD = {1: (1.0, 2.0), 2: (2.0,)}
"""Down-sampling to the scales of the local standard deviation, in px of the down-sampled image: 1, 2 and 4 px."""

SURROUND = (4.0, 8.0)
"""Scales in px of the mean stain, edge strength and orientation around a token."""

RIDGE_SCALE = 8.0
"""Scale in px at which a token's surroundings are ridge, blob or plain: gland border, lymphoid aggregate, stroma."""

CONTRAST_SCALE, TEXTURE_SCALE = 16.0, 24.0
"""Edges are divided by the stain's spread at the first scale and averaged at the second: busyness at any stain."""

TINY = 1e-6
"""Added under square roots, so that float noise on flat ground is not magnified."""


def optical_density(rgb: Tensor) -> Tensor:
    """Natural-logarithm optical density of images in 0 … 1."""
    return -torch.log(rgb.clamp(min=DARKEST))


def unmix(density: Tensor) -> Tensor:
    """Haematoxylin, eosin and residual of optical densities (N, 3, H, W); negative where a colour lies outside them."""
    inverse = torch.linalg.inv(torch.tensor(RGB_FROM_HED, dtype=torch.float64))
    return torch.einsum("nchw,cs->nshw", density, inverse.to(density))


class StainBank(nn.Module):
    """The filter bank.

    Args:
        patch_size: Side in px of a token, even.
    """

    def __init__(self, patch_size: int) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.derivatives = nn.ModuleDict({str(step): GaussianDerivatives(sigmas) for step, sigmas in OCTAVES.items()})

    def forward(self, rgb: Tensor) -> Tensor:
        """Features of images (N, 3, S, S) in 0 … 1 as (N, channels, S/patch, S/patch)."""
        density = optical_density(rgb)
        stains = unmix(density)
        octaves = {step: F.avg_pool2d(stains, step) if step > 1 else stains for step in OCTAVES}
        edges = {step: self.derivatives[str(step)](octaves[step][:, :2]) for step in OCTAVES}
        mean = self._tokens(stains, 1)
        reference = edges[1][:, :, -1]
        strength = self._tokens(_length(reference[:, :, 0], reference[:, :, 1]), 1)
        parts = [
            mean,
            self._tokens(density / (density.sum(1, keepdim=True) + 0.1), 1)[:, :2],
            *(self._tokens(_shapes(edges[step]), step) for step in OCTAVES),
            *(self._tokens(_spread(octaves[step], sigma), step) for step in SPREAD for sigma in SPREAD[step]),
            *self._surroundings(mean, strength, self._tokens(_structure(reference[:, 0]), 1)),
            self._ridges(mean[:, :2]),
            self._texture(stains[:, :2], mean[:, :2], strength),
        ]
        return torch.cat(parts, 1)

    def _tokens(self, maps: Tensor, step: int) -> Tensor:
        side = self.patch_size // step
        return F.avg_pool2d(maps, side) if side > 1 else maps

    def _surroundings(self, mean: Tensor, strength: Tensor, structure: Tensor) -> list[Tensor]:
        maps = torch.cat([mean, strength, structure], 1)
        found = []
        for sigma in SURROUND:
            around = smooth(maps, sigma / self.patch_size)
            found += [around[:, :5], _coherence(around[:, 5:])]
        return found

    def _ridges(self, mean: Tensor) -> Tensor:
        bend = GaussianDerivatives([RIDGE_SCALE / self.patch_size]).to(mean.device)(mean)[:, :, 0]
        half_trace, anisotropy = _hessian(bend)
        return half_trace - anisotropy

    def _texture(self, stains: Tensor, mean: Tensor, strength: Tensor) -> Tensor:
        sigma = CONTRAST_SCALE / self.patch_size
        variance = smooth(self._tokens(stains**2, 1), sigma) - smooth(mean, sigma) ** 2
        relative = strength / (variance.clamp(min=TINY).sqrt() + 0.05)
        return smooth(relative, TEXTURE_SCALE / self.patch_size)


def _length(y: Tensor, x: Tensor) -> Tensor:
    return (y**2 + x**2 + TINY).sqrt()


def _hessian(derivatives: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and half difference of the Hessian's eigenvalues; derivatives in `filters.ORDERS` along axis −3."""
    xx, yy, xy = (derivatives[..., k, :, :] for k in (2, 3, 4))
    return (xx + yy) / 2, _length((xx - yy) / 2, xy)


def _shapes(derivatives: Tensor) -> Tensor:
    """Edge strength, ridge strength, dark-in-bright and unsigned blob strength: (N, stains·scales·4, H, W)."""
    half_trace, anisotropy = _hessian(derivatives)
    gradient = _length(derivatives[..., 0, :, :], derivatives[..., 1, :, :])
    return torch.stack([gradient, anisotropy, half_trace.clamp(min=0), half_trace.abs()], 3).flatten(1, 3)


def _spread(stains: Tensor, sigma: float) -> Tensor:
    """Local standard deviation."""
    return (smooth(stains**2, sigma) - smooth(stains, sigma) ** 2).clamp(min=TINY).sqrt()


def _structure(gradient: Tensor) -> Tensor:
    """Structure tensor (xx, yy, xy) of a gradient (N, ≥2, H, W) given along x, then along y."""
    x, y = gradient[:, 0], gradient[:, 1]
    return torch.stack([x * x, y * y, x * y], 1)


def _coherence(structure: Tensor) -> Tensor:
    """How far the edges around a token run in one direction: 0 in all, 1 in one."""
    xx, yy, xy = structure[:, 0:1], structure[:, 1:2], structure[:, 2:3]
    return _length(xx - yy, 2 * xy) / (xx + yy + 1e-2)


class StainFilters(TileEncoder):
    """The filter bank as an encoder.

    Args:
        card: Its facts; `patch_size` sets the token.
    """

    def __init__(self, card: EncoderCard) -> None:
        self.card = card
        self.module = StainBank(card.patch_size).eval()

    def identity(self) -> Mapping[str, Any]:
        """Name, token size and code version: there are no weights."""
        return {
            "encoder": self.card.name,
            "patch_size": self.card.patch_size,
            "code": code_version(filters, sys.modules[__name__], TileEncoder),
            "precision": "fp32",
        }

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        # bf16 would round a density of 1 to 1/128: more than the difference between two nuclei.
        with torch.autocast(images.device.type, enabled=False):
            return {layer: self.module(images).permute(0, 2, 3, 1) for layer in layers}
