"""Where each pixel of an augmented image comes from: affine and elastic maps, and one resampling for both.

Positions are normalised: −1 to 1 from edge to edge (not from pixel centre to pixel centre), x to the right, y down.
"""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as functional
from torch import Tensor

from cryostat.cells.augmentation.settings import Elastic


def flip(stack: Tensor, horizontal: Tensor, vertical: Tensor) -> Tensor:
    """Mirror some members of an (N, C, H, W) stack; `horizontal` and `vertical` are (N,) bool."""
    stack = torch.where(horizontal[:, None, None, None], stack.flip(3), stack)
    return torch.where(vertical[:, None, None, None], stack.flip(2), stack)


def source_matrices(degrees: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Maps from positions in the output back to positions in the input.

    Args:
        degrees: (N,) rotation about the centre, counter-clockwise as seen.
        scale: (N,) magnification about the centre.
        shift: (N, 2) move to the right and down after both, share of the side.

    Returns:
        (N, 2, 3) affine maps.
    """
    cos, sin = torch.cos(torch.deg2rad(degrees)) / scale, torch.sin(torch.deg2rad(degrees)) / scale
    linear = torch.stack([torch.stack([cos, -sin], 1), torch.stack([sin, cos], 1)], 1)
    # Term by term, here and below: a product of matrices may be rounded to half precision on a GPU, which is a tenth
    # of a pixel, and otherwise for another number of images.
    offset = -2 * (linear[:, :, 0] * shift[:, 0:1] + linear[:, :, 1] * shift[:, 1:2])
    return torch.cat([linear, offset[:, :, None]], 2)


def source_grid(matrices: Tensor, displacement: Tensor) -> Tensor:
    """Sampling positions of an elastic deformation that follows an affine one.

    Args:
        matrices: (N, 2, 3) from `source_matrices`.
        displacement: (N, S, S, 2) in normalised units, 0 for none.

    Returns:
        (N, S, S, 2) positions for `resample`.
    """
    side = displacement.shape[1]
    line = (torch.arange(side, device=matrices.device, dtype=matrices.dtype) * 2 + 1) / side - 1
    across = line.expand(side, side)
    positions = torch.stack([across, across.T], -1) + displacement
    x, y = positions[..., 0:1], positions[..., 1:2]
    columns = matrices[:, None, None]
    return columns[..., 0] * x + columns[..., 1] * y + columns[..., 2]


def elastic_displacement(noise: Tensor, form: Elastic) -> Tensor:
    """Smooth displacements from noise.

    Args:
        noise: (N, 2, S, S) in −1 to 1.
        form: Window and strength.

    Returns:
        (N, S, S, 2) in normalised units.
    """
    window = _window(noise.shape[-1], form).to(noise.device, noise.dtype)
    return form.alpha * (window @ noise @ window.T).permute(0, 2, 3, 1)


@lru_cache(maxsize=8)
def _window(side: int, form: Elastic) -> Tensor:
    """(S, S) matrix that smooths columns: a Gaussian window over what lies inside, nothing beyond the border.

    On a CPU two products with it take a fifth of the time of two convolutions.
    """
    place = torch.arange(side)
    offsets = torch.arange(form.kernel) - form.kernel // 2
    distance = place[None] - place[:, None]
    weights = torch.exp(-(distance**2) / (2 * form.sigma**2)) * (distance.abs() <= form.kernel // 2)
    return weights / torch.exp(-(offsets**2) / (2 * form.sigma**2)).sum()


def resample(images: Tensor, masks: Tensor, grid: Tensor) -> tuple[Tensor, Tensor]:
    """Images bilinearly and masks by the nearest pixel at the same positions; 0 from outside.

    Args:
        images: (N, 3, S, S) float.
        masks: (N, M, S, S) integers below 2²⁴.
        grid: (N, S, S, 2) float32 from `source_grid`.

    Returns:
        Images and masks of the same shapes and types.
    """
    moved = functional.grid_sample(images.float(), grid, mode="bilinear", align_corners=False)
    nearest = functional.grid_sample(masks.float(), grid, mode="nearest", align_corners=False)
    return moved.to(images.dtype), nearest.to(masks.dtype)
