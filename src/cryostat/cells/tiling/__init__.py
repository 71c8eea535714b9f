"""Tiling: from fields of view to tiles of one size, and back."""

from __future__ import annotations

from cryostat.cells.tiling.geometry import Piece, even_cut, overlapping, window
from cryostat.cells.tiling.tiles import CellTiles, ring, tiles_for

__all__ = ["CellTiles", "Piece", "even_cut", "overlapping", "ring", "tiles_for", "window"]
