"""Sine-cosine positions on the grid of tiles, put together from one axis.

The original looks them up in a table of all cells: a million rows, 3 GB at full width. Columns and rows of the grid
share the positions of one axis: a thousand rows, 1.5 MB.
"""

from __future__ import annotations

import torch
from torch import Tensor

LONGEST = 10_000
"""Base of the geometric series of wavelengths."""


def axis_positions(count: int, width: int) -> Tensor:
    """Position embeddings of the indices 0 … count − 1.

    Returns:
        (count, width) float32: sines, then cosines, of index / 10,000^(2k / width).
    """
    exponents = torch.arange(width // 2, dtype=torch.float64) / (width / 2)
    # Float64 until here: a thousand radians in float32 would cost three digits.
    angles = torch.outer(torch.arange(count, dtype=torch.float64), LONGEST**-exponents)
    return torch.cat([angles.sin(), angles.cos()], 1).float()


def grid_positions(cells: Tensor, axis: Tensor) -> Tensor:
    """Position embeddings of grid cells.

    Args:
        cells: (n, 2) cell indices, x before y.
        axis: (grid, width / 2) from `axis_positions`, on the same device.

    Returns:
        (n, width): y in the first half, x in the second.
    """
    return torch.cat([axis[cells[:, 1]], axis[cells[:, 0]]], 1)
