"""Tokens: pieces of 4 × 16 × 16 voxels, in raster order, those without enough tissue left out."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.encoders.volume.geometry import PATCH

TOKEN = PATCH[0] * PATCH[1] * PATCH[2]
"""Voxels in a token."""


@dataclass(frozen=True, eq=False)
class Tokens:
    """The tokens of one series.

    Attributes:
        values: (N, 1024) float32 in 0 to 1, each flattened as (slice, row, column).
        coords: (N, 3) place of each in the grid of tokens: slice, row, column.
        shape: Voxels of the resampled volume: slices, rows, columns.
        tumour: (N,) part of each token that is tumour; None without a tumour mask.
        rule: How background was told from tissue.
        series: What the series is.
        where: File or name, for messages.
        notes: What was unusual.
    """

    values: NDArray[np.float32]
    coords: NDArray[np.int64]
    shape: tuple[int, int, int]
    tumour: NDArray[np.float64] | None
    rule: str
    series: str
    where: str
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.values)

    @property
    def candidates(self) -> int:
        """Tokens of the whole volume, background included."""
        return int(np.prod(self.shape)) // TOKEN


def folded(array: NDArray[Any]) -> NDArray[Any]:
    """(D, H, W) into (D/4 · H/16 · W/16, 1024), both in raster order; each side a multiple of its patch."""
    sides = [n // p for n, p in zip(array.shape, PATCH, strict=True)]
    split = array.reshape(sides[0], PATCH[0], sides[1], PATCH[1], sides[2], PATCH[2])
    return split.transpose(0, 2, 4, 1, 3, 5).reshape(-1, TOKEN)


def grid_coords(shape: tuple[int, ...], index: NDArray[np.intp]) -> NDArray[np.int64]:
    """(N, 3) places in the grid of tokens of the tokens with these raster numbers."""
    sides = [n // p for n, p in zip(shape, PATCH, strict=True)]
    return np.stack(np.unravel_index(index, sides), axis=1).astype(np.int64)


def to_unit(data: NDArray[np.float64], low: float = 0.5, high: float = 99.5) -> NDArray[np.float64]:
    """Voxels clipped to two percentiles of the volume and brought to 0 to 1; all 0 where these are equal."""
    darkest, brightest = np.percentile(data, (low, high))
    return np.asarray((np.clip(data, darkest, brightest) - darkest) / (brightest - darkest + 1e-8))
