"""Gaussian filters for batches of images of any size, on any device."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TRUNCATE = 3.0
"""Radius of a kernel in standard deviations."""

ORDERS = ((0, 1), (1, 0), (0, 2), (2, 0), (1, 1))
"""Derivative orders (along y, along x) that `GaussianDerivatives` returns for each scale."""


def gaussian_kernel(sigma: float, order: int = 0, radius: int | None = None) -> Tensor:
    """A sampled Gaussian or its derivative as a correlation kernel, exact on polynomials of degree `order`.

    Args:
        sigma: Standard deviation in px.
        order: 0 smooths, 1 gives the first and 2 the second derivative, both times sigma^order (scale-normalised).
        radius: Half width in px; three standard deviations by default.

    Returns:
        (2·radius+1,) float32.
    """
    radius = kernel_radius(sigma) if radius is None else radius
    x = torch.arange(-radius, radius + 1, dtype=torch.float64)
    weight = torch.exp(-0.5 * (x / sigma) ** 2)
    weight = torch.where(x.abs() <= kernel_radius(sigma), weight, 0.0)
    weight = weight / weight.sum()
    if order == 1:
        weight = weight * x
        weight = weight / (weight * x).sum() * sigma
    elif order == 2:
        bend = weight * (x**2 - (weight * x**2).sum())
        weight = bend / (bend * x**2).sum() * 2 * sigma**2
    return weight.float()


def kernel_radius(sigma: float) -> int:
    """Half width in px at which a Gaussian is cut."""
    return max(1, math.ceil(TRUNCATE * sigma))


def reflect_pad(images: Tensor, margin: int) -> Tensor:
    """Mirror (..., H, W) at its borders, edge pixel repeated, by any margin (also wider than the image)."""
    rows = _mirror(images.shape[-2], margin, images.device)
    columns = _mirror(images.shape[-1], margin, images.device)
    return images.index_select(-2, rows).index_select(-1, columns)


def _mirror(length: int, margin: int, device: torch.device) -> Tensor:
    index = torch.arange(-margin, length + margin, device=device) % (2 * length)
    return torch.where(index < length, index, 2 * length - 1 - index)


def smooth(maps: Tensor, sigma: float) -> Tensor:
    """Gaussian smoothing of each channel of (..., H, W), mirrored at the borders."""
    # A banded matrix product runs several times faster on a CPU than a convolution of one channel to one channel.
    rows = _smoothing_matrix(maps.shape[-2], sigma, maps.device)
    columns = _smoothing_matrix(maps.shape[-1], sigma, maps.device)
    return rows @ (maps @ columns.T)


@lru_cache(maxsize=64)
def _smoothing_matrix(length: int, sigma: float, device: torch.device) -> Tensor:
    """(length, length): row i holds the weights of the pixels that make up smoothed pixel i."""
    kernel = gaussian_kernel(sigma)
    taken = _mirror(length, len(kernel) // 2, kernel.device)
    taken = taken[torch.arange(length)[:, None] + torch.arange(len(kernel))]
    matrix = torch.zeros(length, length).scatter_add_(1, taken, kernel.expand(length, -1))
    return matrix.to(device)


class GaussianDerivatives(nn.Module):
    """First and second Gaussian derivatives at several scales, in one convolution.

    Args:
        sigmas: Scales in px.
    """

    def __init__(self, sigmas: Sequence[float]) -> None:
        super().__init__()
        self.sigmas = tuple(sigmas)
        self.radius = max(kernel_radius(sigma) for sigma in sigmas)
        bank = [torch.outer(*(gaussian_kernel(s, n, self.radius) for n in orders)) for s in sigmas for orders in ORDERS]
        self.register_buffer("bank", torch.stack(bank)[:, None], persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Derivatives of (N, C, H, W), in `ORDERS`, as (N, C, scales, 5, H, W)."""
        batch, channels, height, width = maps.shape
        padded = reflect_pad(maps.reshape(batch * channels, 1, height, width), self.radius)
        found: Tensor = F.conv2d(padded, self.get_buffer("bank"))
        return found.view(batch, channels, len(self.sigmas), len(ORDERS), height, width)
