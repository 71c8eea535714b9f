"""Where tiles lie on a field."""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Piece:
    """A rectangle of a field and where it sits in its tile; all in px of the (rescaled) field.

    Attributes:
        y: First row on the field.
        x: First column on the field.
        height: Rows taken from the field.
        width: Columns taken from the field.
        above: Rows of padding above it in the tile.
        left: Columns of padding to its left.
    """

    y: int
    x: int
    height: int
    width: int
    above: int = 0
    left: int = 0


def even_cut(height: int, width: int, size: int) -> list[Piece]:
    """The published cut: ceil(side / size) pieces a side, evenly spaced, each centred in its tile; row-major.

    Pieces are smaller than the tile wherever the side is no multiple of it. An odd remainder of padding goes below and
    to the right.
    """
    rows, columns = _cuts(height, size), _cuts(width, size)
    return [
        Piece(y, x, y_end - y, x_end - x, (size - (y_end - y)) // 2, (size - (x_end - x)) // 2)
        for y, y_end in rows
        for x, x_end in columns
    ]


def _cuts(length: int, size: int) -> list[tuple[int, int]]:
    points = np.linspace(0, length, math.ceil(length / size) + 1).astype(int).tolist()
    return list(itertools.pairwise(points))


def overlapping(height: int, width: int, size: int, overlap: float) -> list[Piece]:
    """Full tiles, evenly spaced, covering the field with at least `overlap` (share of a tile) between neighbours.

    A side shorter than the tile yields one piece that begins at 0 and is as long as the side.
    """
    return [
        Piece(y, x, min(size, height), min(size, width))
        for y in _starts(height, size, overlap)
        for x in _starts(width, size, overlap)
    ]


def _starts(length: int, size: int, overlap: float) -> list[int]:
    if length <= size:
        return [0]
    stride = size * (1 - overlap)
    count = math.ceil((length - size) / stride) + 1
    starts: list[int] = np.round(np.linspace(0, length - size, count)).astype(int).tolist()
    return starts


def window(size: int) -> NDArray[np.float32]:
    """(size,) weights of a tile's pixels along one side when tiles are blended: a raised cosine, nowhere 0."""
    phase = (np.arange(size) + 0.5) / size
    return (0.01 + 0.99 * np.sin(np.pi * phase) ** 2).astype(np.float32)
