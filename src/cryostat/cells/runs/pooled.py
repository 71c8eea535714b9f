"""Pooled features kept beside the feature store, so that every split, fraction and seed shares one pooling pass."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cells.pooling import PooledCells, TileReader, pool_features
from cryostat.cells.tiling import CellTiles
from cryostat.core.files import read_npy, write_npy, write_parquet
from cryostat.core.identity import digest
from cryostat.core.progress import track

CODE = "1"
"""Version of the pooling rules; raise it when the same settings pool otherwise."""


class _Store(Protocol):
    @property
    def folder(self) -> Path: ...

    def read(self, tiles: Sequence[int]) -> NDArray[np.float16]: ...


def pooled_cells(tiles: CellTiles, store: _Store, *, patch: float, ring_um: float) -> PooledCells:
    """All nuclei of a dataset with their pooled features, from disk when they were pooled before.

    Args:
        tiles: Geometry.
        store: Complete feature store of one layer, with its `folder`.
        patch: Side of a token in px of the tile.
        ring_um: Width of the ring of context in µm; 0 for none.
    """
    rules = {"ring_um": ring_um, "nuclei": tiles.protocol.scoring.nuclei, "patch": patch, "code": CODE}
    stem = store.folder / f"pooled-{digest(rules)}"
    table, array = stem.with_suffix(".parquet"), stem.with_suffix(".npy")
    if not (table.exists() and array.exists()):
        fresh = _pool_all(tiles, store.read, patch, ring_um)
        write_npy(array, fresh.features)
        write_parquet(table, fresh.rows)
    return PooledCells(pd.read_parquet(table), read_npy(array))


def _pool_all(tiles: CellTiles, read: TileReader, patch: float, ring_um: float) -> PooledCells:
    fovs = list(map(str, tiles.dataset.fovs.index))
    parts = list(track(pool_features(tiles, read, fovs, patch=patch, ring_um=ring_um), "Pooling nuclei", len(fovs)))
    return joined(parts)


def joined(parts: Sequence[PooledCells]) -> PooledCells:
    """The nuclei of several fields, of which some may have none."""
    filled = [part for part in parts if len(part.rows)] or parts[:1]
    return PooledCells(
        pd.concat([part.rows for part in filled], ignore_index=True), np.concatenate([part.features for part in filled])
    )
