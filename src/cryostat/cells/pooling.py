"""Features pooled over nuclei, with sub-token precision.

Every pixel of a nucleus, at the resolution of its mask, takes the feature of the token it lies in; a nucleus' feature
is the mean over its pixels. Where tiles overlap, a pixel's feature is the blend of theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from cryostat.cells.tiling import CellTiles, Piece, ring, window

TileReader = Callable[[Sequence[int]], NDArray[Any]]
"""Tile numbers to features (n, h, w, C)."""


@dataclass(frozen=True)
class PooledCells:
    """Features of nuclei.

    Attributes:
        rows: fov_id, tile (−1: whole nucleus), cell_id, one row a nucleus (a nucleus in a tile under `paper`).
        features: (n, C), or (n, 2C) with a ring of context, float32.
    """

    rows: pd.DataFrame
    features: NDArray[np.float32]


def pool_features(
    tiles: CellTiles, read: TileReader, fovs: Sequence[str], *, patch: float, ring_um: float = 0.0
) -> Iterator[PooledCells]:
    """Pool stored features over the nuclei of each field.

    Args:
        tiles: Geometry of the tiles.
        read: Reads features by tile number.
        fovs: Fields of view.
        patch: Side of a token in px of the tile.
        ring_um: Width in µm of a ring around each nucleus, free of other nuclei, whose mean is appended; 0 for none.
            A nucleus without free surroundings gets its own mean there.

    Yields:
        One `PooledCells` a field of view, in order; fields without nuclei yield no rows.
    """
    for fov in fovs:
        instances = np.asarray(tiles.dataset.instances(fov))
        ids = tiles.dataset.cells_of(fov)["cell_id"].to_numpy()
        operators = _operators(tiles, fov, instances, ids, patch)
        rings = _operators(tiles, fov, ring(instances, ring_um / tiles.dataset.mpp(fov)), ids, patch) if ring_um else {}
        yield _apply(tiles, read, fov, ids, operators, rings)


def _operators(
    tiles: CellTiles, fov: str, labels: NDArray[Any], ids: NDArray[Any], patch: float
) -> dict[int, csr_matrix]:
    """For each tile of a field the (cells, tokens) matrix that turns its tokens into sums over nuclei.

    Whole nuclei: rows summed over tiles add up to 1. Nuclei by tile: each non-empty row adds up to 1.
    """
    rows, columns = np.nonzero(labels)
    which = np.searchsorted(ids, labels[rows, columns])
    height, width = tiles.field_shape(fov)
    ys = (rows + 0.5) * (height / labels.shape[0])
    xs = (columns + 0.5) * (width / labels.shape[1])
    side = round(tiles.tile_size / patch)
    whole = tiles.protocol.scoring.nuclei == "whole"
    weight = window(tiles.tile_size) if whole else np.ones(tiles.tile_size, np.float32)
    total = np.zeros(len(rows), np.float32)
    inside: dict[int, tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]] = {}
    for tile, piece in tiles.pieces_of(fov):
        pixels, y, x = _pixels_in(piece, ys, xs)
        w = weight[y] * weight[x]
        total[pixels] += w
        inside[tile] = (pixels, (y * side // tiles.tile_size) * side + x * side // tiles.tile_size, w)
    area = np.maximum(np.bincount(which, minlength=len(ids)), 1)
    shape = (len(ids), side * side)
    return {
        tile: _matrix(which[p], token, w / total[p] / area[which[p]], shape, normalise=not whole)
        for tile, (p, token, w) in inside.items()
    }


def _pixels_in(
    piece: Piece, ys: NDArray[np.float64], xs: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Pixels within a piece, and their integer place in its tile."""
    within = (ys >= piece.y) & (ys < piece.y + piece.height) & (xs >= piece.x) & (xs < piece.x + piece.width)
    pixels = np.flatnonzero(within)
    y = (ys[pixels] - piece.y).astype(np.int64) + piece.above
    x = (xs[pixels] - piece.x).astype(np.int64) + piece.left
    return pixels, y, x


def _matrix(
    cells: NDArray[np.int64],
    tokens: NDArray[np.int64],
    weights: NDArray[Any],
    shape: tuple[int, int],
    *,
    normalise: bool,
) -> csr_matrix:
    if normalise:
        sums = np.bincount(cells, weights, minlength=shape[0])
        weights = weights / np.maximum(sums, 1e-12)[cells]
    return csr_matrix((weights.astype(np.float32), (cells, tokens)), shape=shape)


def _apply(
    tiles: CellTiles,
    read: TileReader,
    fov: str,
    ids: NDArray[Any],
    operators: dict[int, csr_matrix],
    rings: dict[int, csr_matrix],
) -> PooledCells:
    if tiles.protocol.scoring.nuclei == "whole":
        means, present = _sum_tiles(read, operators, rings)
        return PooledCells(_rows(fov, -1, ids), means[present] if len(ids) else means)
    parts = []
    for tile, matrix in operators.items():
        means, present = _sum_tiles(read, {tile: matrix}, {tile: rings[tile]} if rings else {})
        parts.append((_rows(fov, tile, ids[present]), means[present]))
    return PooledCells(pd.concat([r for r, _ in parts], ignore_index=True), np.concatenate([m for _, m in parts]))


def _sum_tiles(
    read: TileReader, operators: dict[int, csr_matrix], rings: dict[int, csr_matrix]
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Means (cells, C or 2C) over the given tiles, and which nuclei have a pixel in them."""
    means: NDArray[np.float32] | float = 0.0
    around: NDArray[np.float32] | float = 0.0
    for tile, matrix in operators.items():
        tokens = read([tile])[0].astype(np.float32)
        tokens = tokens.reshape(-1, tokens.shape[-1])
        means = means + matrix @ tokens
        if rings:
            around = around + rings[tile] @ tokens
    present = _covered(operators)
    own = np.asarray(means, np.float32)
    if not rings:
        return own, present
    ringed = _covered(rings)
    return np.concatenate([own, np.where(ringed[:, None], around, own)], axis=1, dtype=np.float32), present


def _covered(operators: dict[int, csr_matrix]) -> NDArray[np.bool_]:
    covered: NDArray[np.bool_] = np.any([np.diff(m.indptr) > 0 for m in operators.values()], axis=0)
    return covered


def _rows(fov: str, tile: int, ids: NDArray[Any]) -> pd.DataFrame:
    return pd.DataFrame({"fov_id": np.full(len(ids), fov, object), "tile": tile, "cell_id": ids.astype(np.int64)})
