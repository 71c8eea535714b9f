"""Where tiles lie: px at 0.5 µm/px, and the mistakes by which they would not be.

A wrong scale gives a plausible vector and no error in other programs. Two things betray it: coordinates off the
encoder's grid, and tiles that lie closer together or farther apart than tiles do.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from cryostat.core.errors import InputError

TILE_PX = 256
"""Side of a tile in px at 0.5 µm/px."""

MPP = 0.5
"""µm per pixel at which coordinates are counted."""

FEWEST_GAPS = 12
"""Neighbours that must be seen before the distance between tiles is judged."""

COMMON = 0.5
"""Share of neighbours that must lie equally far apart before their distance is judged."""

TOLERANCE = 0.05
"""Relative deviation of that distance that is put down to rounding."""


@dataclass(frozen=True, eq=False)
class TileCoordinates:
    """Upper left corners of the tiles of one slide.

    Attributes:
        xy: (n, 2) float64, x before y, in px at 0.5 µm/px, from the slide's upper left corner.
        step: Distance in these px between neighbouring tiles; less than 256 where tiles overlap.
    """

    xy: NDArray[np.float64]
    step: float = TILE_PX

    def __post_init__(self) -> None:
        """Take any table of two columns, on any device."""
        if not 0 < self.step < math.inf:
            raise InputError(f"tiles cannot lie {self.step} px apart", remedy="Give a positive step in px")
        object.__setattr__(self, "xy", _table(self.xy))

    @classmethod
    def from_level0(cls, xy: ArrayLike | Tensor, side: float, step: float = TILE_PX) -> TileCoordinates:
        """From level-0 px.

        Args:
            xy: (n, 2) level-0 px.
            side: Side of a tile in level-0 px: 512 on a 40× slide at 0.25 µm/px. By this rather than by µm per pixel,
                so that rounding never puts two neighbours into one cell of the grid.
            step: As in the class.
        """
        if not 0 < side < math.inf:
            raise InputError(f"a tile cannot be {side} px wide", remedy="Give the tile's side in level-0 px")
        return cls(_table(xy) * TILE_PX / side, step)

    @classmethod
    def from_microns(cls, xy: ArrayLike | Tensor, step: float = TILE_PX) -> TileCoordinates:
        """From µm."""
        return cls(_table(xy) / MPP, step)

    def __len__(self) -> int:
        return len(self.xy)


def _table(xy: Any) -> NDArray[np.float64]:
    half = isinstance(xy, Tensor) and xy.dtype in (torch.float16, torch.bfloat16)
    try:
        array = np.asarray(xy.detach().cpu().double() if isinstance(xy, Tensor) else xy)
    except (ValueError, TypeError):  # rows of unequal length
        array = np.empty(0, object)
    if half or array.dtype == np.float16:
        raise InputError(
            "coordinates in half precision have lost their last digits, and overflow past 65,504 px",
            remedy="Keep coordinates as integers, float32 or float64 from the tiling on",
        )
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iuf":
        raise InputError(
            f"coordinates of shape {array.shape} and type {array.dtype} are no table of x and y",
            remedy="Supply numbers (n, 2), one row a tile, x before y",
        )
    return array.astype(np.float64)


def checked_coordinates(coordinates: Any, tiles: int) -> TileCoordinates:
    """Coordinates that are finite and distinct, one row a tile.

    Raises:
        InputError: They are not; the message names the tiles.
    """
    where = coordinates if isinstance(coordinates, TileCoordinates) else TileCoordinates(coordinates)
    if len(where) != tiles:
        raise InputError(
            f"there are {tiles} tiles and {len(where)} coordinates", remedy="Supply one row of coordinates a tile"
        )
    if bad := np.flatnonzero(~np.isfinite(where.xy).all(1)).tolist():
        raise InputError(
            f"the coordinates of {len(bad)} tiles are not finite (tile {bad[0]} first)",
            remedy="Correct these rows, or leave these tiles out",
        )
    order = row_major(where.xy)
    twins = np.flatnonzero((np.diff(where.xy[order], axis=0) == 0).all(1))
    if len(twins):
        first, second = sorted(order[twins[0] : twins[0] + 2].tolist())
        raise InputError(
            f"tiles {first} and {second} have the same coordinates, and so have {len(twins)} pairs in all",
            remedy="Leave doubled tiles out, and encode the slides of a patient one by one",
        )
    return where


def row_major(xy: NDArray[np.float64]) -> NDArray[np.intp]:
    """The order that sorts tiles by y, then by x."""
    return np.lexsort((xy[:, 0], xy[:, 1]))


def grid_cells(where: TileCoordinates, tile_px: int, grid: int) -> NDArray[np.int64]:
    """Cells of the encoder's grid.

    Args:
        where: Coordinates.
        tile_px: Side of a cell in px.
        grid: Cells along a side.

    Returns:
        (n, 2) in 0 … grid − 1, x before y.

    Raises:
        InputError: Coordinates are off the grid, or tiles lie as no tiles at 0.5 µm/px do.
    """
    if (where.xy < 0).any():
        lowest = where.xy.min(0)
        raise InputError(
            f"coordinates are negative (down to x = {lowest[0]:g}, y = {lowest[1]:g})",
            remedy="Count from the slide's upper left corner, not from the tissue's or a region's",
        )
    _check_spacing(where)
    cells = np.floor(where.xy / tile_px)
    if (cells >= grid).any():
        highest = where.xy.max(0)
        raise InputError(
            f"coordinates up to x = {highest[0]:,.0f}, y = {highest[1]:,.0f} px leave the encoder's grid, which "
            f"ends at {grid * tile_px:,} px ({grid * tile_px * MPP / 1000:g} mm)",
            remedy="Give px at 0.5 µm/px; if these are level-0 px, convert them with "
            "TileCoordinates.from_level0(coords, side), side being a tile's side in level-0 px (512 at 40×)",
        )
    return cells.astype(np.int64)


def _check_spacing(where: TileCoordinates) -> None:
    spacing = tile_spacing(where.xy)
    if spacing is None or abs(spacing / where.step - 1) <= TOLERANCE:
        return
    suspicion, remedy = _diagnosis(spacing, where.step)
    raise InputError(
        f"tiles lie {spacing:g} px apart, not {where.step:g}: {suspicion}",
        remedy=f"{remedy}; tiles that really lie so are stated with TileCoordinates(coords, step={spacing:g})",
    )


def _diagnosis(spacing: float, step: float) -> tuple[str, str]:
    ratio = spacing / step
    if ratio > 1:
        seen = f"level-0 px of a slide at {MPP / ratio:.2g} µm/px" + (" (40×)" if 1.7 < ratio < 2.3 else "")
        cure = f"TileCoordinates.from_level0(coords, side), side being a tile's side in level-0 px, about {spacing:g}"
        return f"they look like {seen}", f"Convert them with {cure}"
    if abs(ratio / MPP - 1) <= TOLERANCE:
        return "they look like µm, or tiles overlap by half", "Convert µm with TileCoordinates.from_microns(coords)"
    if spacing == 1:
        return "they look like columns and rows of the grid", f"Multiply them by {step:g}"
    return (
        "they look scaled down, or tiles overlap",
        "Give px at 0.5 µm/px, neither normalised nor of a lower level of the slide",
    )


def tile_spacing(xy: NDArray[np.float64]) -> float | None:
    """The distance in px at which most neighbours in rows and columns lie, hardly any of them closer.

    None where too few neighbours agree, as in sparse samples of a slide's tiles: these are not judged.
    """
    gaps = np.round(np.concatenate(list(_gaps(xy))), 3)
    if len(gaps) < FEWEST_GAPS:
        return None
    values, counts = np.unique(gaps, return_counts=True)
    commonest = float(values[counts.argmax()])
    alike = np.abs(gaps - commonest) <= TOLERANCE * commonest
    closer = (gaps < commonest) & ~alike
    return commonest if alike.mean() >= COMMON and closer.mean() <= TOLERANCE else None


def _gaps(xy: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    for along, across in ((0, 1), (1, 0)):
        ordered = xy[np.lexsort((xy[:, along], xy[:, across]))]
        together = np.diff(ordered[:, across]) == 0
        yield np.diff(ordered[:, along])[together]
