"""Outlines of the nuclei of an instance map, for a browser to draw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.field import nucleus_index

BAND = 1024
"""Rows that are looked at together, so that a large field needs little memory."""

INSET = 0.3
"""How far within the border of a nucleus its outline runs, px, so that lines of neighbours lie side by side."""

FINE = 10
"""Coordinates are whole numbers of so many to a pixel."""

STEPS = np.array([(1, 0), (0, 1), (-1, 0), (0, -1)], np.float64)
"""x and y along the top, right, lower and left side of a pixel, as one goes round it with the pixel at one's right."""

INWARD = np.roll(STEPS, -1, axis=0)
"""x and y from each of these sides into the pixel."""


def outlines(instances: NDArray[Any], ids: NDArray[np.int64]) -> list[list[list[int]]]:
    """The rings of each nucleus: through the middles of the sides of its outermost pixels, so that corners are cut.

    Args:
        instances: (H, W) nucleus ids, 0 background.
        ids: (n,) all that occur, ascending, and perhaps others.

    Returns:
        For each id its rings, holes among them; a ring is x, y of its first vertex and then the steps to each next, in
        tenths of a pixel, pixel (0, 0) spanning 0 to 1. No ring for an id without a pixel.
    """
    sides = _sides(instances, ids)
    found: list[list[list[int]]] = [[] for _ in ids]
    if not len(sides):
        return found
    order, starts = _chained(_following(sides, instances.shape))
    sides = sides[order]
    kept, first = _corners(sides[:, 3], starts)
    points = np.rint(_middles(sides[kept]) * FINE).astype(np.int64)
    moves = np.diff(points, axis=0, prepend=0)
    moves[first] = points[first]
    flat = moves.ravel().tolist()
    for nucleus, low, high in zip(sides[starts, 0], first, [*first[1:], len(points)], strict=True):
        found[nucleus - 1].append(flat[2 * low : 2 * high])
    return found


def _sides(instances: NDArray[Any], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """(k, 4) sides of pixels at which a nucleus ends: its number from 1, row, column, and which side."""
    height = instances.shape[0]
    found = []
    for top in range(0, height + 1, BAND):
        low, high = max(top - 1, 0), min(top + BAND, height)
        # Rows from the one above the band, columns from the one before the first; there is nothing beyond the field.
        at = np.pad(nucleus_index(instances[low:high], ids), ((top == 0, top + BAND > height), (1, 1)))
        rows, columns = _differing(at[:-1], at[1:])
        found += _both(at, (rows, columns), (rows + 1, columns), (2, 0), top - 1)
        rows, columns = _differing(at[1:, :-1], at[1:, 1:])
        found += _both(at, (rows + 1, columns), (rows + 1, columns + 1), (1, 3), top - 1)
    return np.concatenate(found)


def _differing(one: NDArray[np.int32], other: NDArray[np.int32]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    rows, columns = np.divmod(np.flatnonzero(one != other), one.shape[1])
    return rows, columns


def _both(
    at: NDArray[np.int32],
    one: tuple[NDArray[np.intp], NDArray[np.intp]],
    other: tuple[NDArray[np.intp], NDArray[np.intp]],
    sides: tuple[int, int],
    top: int,
) -> list[NDArray[np.int64]]:
    """The sides of both pixels of each pair, where they are of a nucleus."""
    found = []
    for (rows, columns), side in zip((one, other), sides, strict=True):
        number = at[rows, columns].astype(np.int64)
        kept = number > 0
        rows, columns = rows[kept] + top, columns[kept] - 1
        found.append(np.column_stack([number[kept], rows, columns, np.full(len(rows), side)]))
    return found


def _following(sides: NDArray[np.int64], shape: Sequence[int]) -> NDArray[np.int64]:
    """(k,) the side that comes after each; where pixels touch at a corner alone, the one of the same pixel."""
    number, row, column, side = sides.T
    begins = _corner(number, row + (side >= 2), column + ((side == 1) | (side == 2)), shape)
    ends = _corner(number, row + ((side == 1) | (side == 2)), column + (side <= 1), shape)
    order = np.argsort(begins * 4 + side)
    known = (begins * 4 + side)[order]
    following = np.full(len(sides), -1)
    for turn in (1, 0, 3):  # to the right as long as one can, else straight on, else to the left
        wanted = ends * 4 + (side + turn) % 4
        at = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
        free = (following < 0) & (known[at] == wanted)
        following[free] = order[at[free]]
    return following


def _corner(
    number: NDArray[np.int64], row: NDArray[np.int64], column: NDArray[np.int64], shape: Sequence[int]
) -> NDArray[np.int64]:
    """One number for a corner of the grid of pixels and a nucleus at it."""
    return (number * (shape[0] + 1) + row) * (shape[1] + 1) + column


def _chained(following: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sides ring after ring, and where each ring begins."""
    after, seen = following.tolist(), bytearray(len(following))
    order: list[int] = []
    starts: list[int] = []
    for first in range(len(after)):
        if seen[first]:
            continue
        starts.append(len(order))
        at = first
        while not seen[at]:
            seen[at] = 1
            order.append(at)
            at = after[at]
    return np.array(order), np.array(starts)


def _corners(side: NDArray[np.int64], starts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Which places of the chained sides are kept, without those on straight stretches; where each ring then begins."""
    ends = np.append(starts[1:], len(side)) - 1
    before, after = np.roll(side, 1), np.roll(side, -1)
    before[starts], after[ends] = side[ends], side[starts]
    turns = (before != side) | (after != side)
    kept_before = np.concatenate([[0], np.cumsum(turns)])
    return np.flatnonzero(turns), kept_before[starts]


def _middles(sides: NDArray[np.int64]) -> NDArray[np.float64]:
    """(k, 2) x and y of the middle of each side, moved a little into the nucleus."""
    centres = sides[:, [2, 1]] + 0.5
    return np.asarray(centres - (0.5 - INSET) * INWARD[sides[:, 3]])
