"""Fields with known nuclei, and the maps that a perfect network would give of them."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from cryostat.cells.hovernext.targets import instance_targets


def discs(seed: int, *, size: int, n: int, radius: tuple[float, float]) -> NDArray[np.int64]:
    """(size, size) n discs in random places that may touch but not overlap; ids have gaps."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    field, placed, taken = np.zeros((size, size), np.int64), 0, np.empty((0, 3))
    for _ in range(100 * n):
        y, x, r = *rng.uniform(radius[1], size - radius[1], 2), rng.uniform(*radius)
        if placed == n or (np.hypot(taken[:, 0] - y, taken[:, 1] - x) < taken[:, 2] + r).any():
            continue
        field[(rows - y) ** 2 + (columns - x) ** 2 < r**2] = 7 * placed + 3
        taken, placed = np.vstack([taken, (y, x, r)]), placed + 1
    return field


def perfect_maps(
    instances: NDArray[np.int64], classes: NDArray[np.int64], outputs: int
) -> tuple[NDArray[np.float32], ...]:
    """(3, H, W) parts and (outputs, H, W) classes, 0 or 1, of a field and its (H, W) map of class outputs."""
    parts = instance_targets(torch.from_numpy(instances)[None]).parts[0].numpy()
    return one_hot(parts, 3), one_hot(classes, outputs)


def one_hot(labels: NDArray[np.int64], outputs: int) -> NDArray[np.float32]:
    """(outputs, H, W) of (H, W)."""
    return np.stack([(labels == k).astype(np.float32) for k in range(outputs)])
