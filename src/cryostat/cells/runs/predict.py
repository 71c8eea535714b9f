"""From fitted heads to the predictions table."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from cryostat.cells import protocols
from cryostat.cells.dataset import GROUP, CellDataset
from cryostat.cells.scoring.nuclei import NucleusIndex, index_nuclei, truncated_mean_class
from cryostat.cells.scoring.winners import most_probable
from cryostat.cells.tiling import CellTiles, Piece, window
from cryostat.cells.training.common import Outputs

TILES_AT_ONCE = 32


class DenseMaps(Protocol):
    """A fitted dense head."""

    @property
    def device(self) -> torch.device:
        """Where its maps are."""
        ...

    def probabilities(self, tiles: Sequence[int]) -> Tensor:
        """(n, K, S, S) softmax maps of the given tiles."""
        ...


class GivenNuclei:
    """The given nuclei of some fields, indexed once, in which any dense head's maps are averaged.

    Args:
        tiles: Geometry; its protocol says whether nuclei are whole or cut by tiles.
        fovs: Fields of view.
        device: Where maps will be.

    Attributes:
        rows: fov_id, tile (−1: whole nucleus), cell_id; one row a nucleus.
    """

    def __init__(self, tiles: CellTiles, fovs: Sequence[str], device: torch.device) -> None:
        self.tiles, self.fovs = tiles, fovs
        self._whole = tiles.protocol.scoring.nuclei == "whole"
        self._indices = [index for fov in fovs for index in self._indices_of(fov, device)]
        self.rows = pd.concat([_rows(fov, tile, index) for fov, tile, index in self._indices], ignore_index=True)

    def means(self, fitted: DenseMaps) -> NDArray[np.float32]:
        """(n, K) mean softmax over the pixels of each nucleus, in the order of `rows`."""
        return self.means_of([fitted])[0]

    def means_of(self, fitted: Sequence[DenseMaps]) -> list[NDArray[np.float32]]:
        """The means of several heads, field by field, so that heads on one encoder can share its pass."""
        found: list[list[Tensor]] = [[] for _ in fitted]
        for fov, group in itertools.groupby(self._indices, key=lambda entry: entry[0]):
            indices = [index for _, _, index in group]
            for means, head in zip(found, fitted, strict=True):
                means += self._means_in(fov, indices, head)
        return [torch.cat(means).float().cpu().numpy() for means in found]

    def _means_in(self, fov: str, indices: Sequence[NucleusIndex], head: DenseMaps) -> list[Tensor]:
        if self._whole:
            maps = blended_map(head, self.tiles, fov)
            return [index.means(maps) for index in indices]
        cut = _tile_maps(head, self.tiles.tiles_of(fov).tolist())
        pairs = zip(indices, cut, strict=True)
        return [index.means(_inside(maps, self.tiles.piece(tile))) for index, (tile, maps) in pairs]

    def _indices_of(self, fov: str, device: torch.device) -> Iterator[tuple[str, int, NucleusIndex]]:
        instances = np.asarray(self.tiles.dataset.instances(fov)).astype(np.int32)
        if self._whole:
            yield fov, -1, index_nuclei(torch.from_numpy(instances).to(device))
            return
        for tile, p in self.tiles.pieces_of(fov):
            cut = np.ascontiguousarray(instances[p.y : p.y + p.height, p.x : p.x + p.width])
            yield fov, tile, index_nuclei(torch.from_numpy(cut).to(device))


def _inside(maps: Tensor, p: Piece) -> Tensor:
    """The part of a tile's (K, S, S) maps that is not padding."""
    return maps[:, p.above : p.above + p.height, p.left : p.left + p.width]


def _rows(fov: str, tile: int, index: NucleusIndex) -> pd.DataFrame:
    ids = index.ids.cpu().numpy()
    return pd.DataFrame({"fov_id": np.full(len(ids), fov, object), "tile": tile, "cell_id": ids})


def blended_map(fitted: DenseMaps, tiles: CellTiles, fov: str) -> Tensor:
    """(K, H, W) probabilities of a field at its own resolution: overlapping tiles blended, then enlarged."""
    height, width = tiles.field_shape(fov)
    size, device = tiles.tile_size, fitted.device
    weight = torch.from_numpy(np.outer(window(size), window(size))).to(device)
    total: Tensor | None = None
    norm = torch.zeros(height, width, device=device)
    for tile, maps in _tile_maps(fitted, tiles.tiles_of(fov).tolist()):
        p = tiles.piece(tile)
        if total is None:
            total = torch.zeros(len(maps), height, width, device=device)
        inside = weight[p.above : p.above + p.height, p.left : p.left + p.width]
        total[:, p.y : p.y + p.height, p.x : p.x + p.width] += _inside(maps, p) * inside
        norm[p.y : p.y + p.height, p.x : p.x + p.width] += inside
    if total is None:
        raise ValueError(f"field {fov} has no tiles")
    about = tiles.dataset.fovs.loc[fov]
    shape = (int(about["height"]), int(about["width"]))
    blended = total / norm
    if shape == (height, width):
        return blended
    return F.interpolate(blended[None], size=shape, mode="bilinear", align_corners=False)[0]


def _tile_maps(fitted: DenseMaps, tiles: Sequence[int]) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(tiles), TILES_AT_ONCE):
        numbers = tiles[start : start + TILES_AT_ONCE]
        yield from zip(numbers, fitted.probabilities(numbers), strict=True)


def truth(tiles: CellTiles, rows: pd.DataFrame) -> NDArray[np.int64]:
    """(n,) true class of each row: from the nucleus table, or by the published truncated mean in its tile."""
    if tiles.protocol.scoring.truth == "nucleus-table":
        cells = tiles.dataset.cells.set_index(["fov_id", "cell_id"])["class_id"]
        keys = pd.MultiIndex.from_frame(rows[["fov_id", "cell_id"]].astype({"fov_id": str, "cell_id": int}))
        named: NDArray[np.int64] = cells.reindex(keys).to_numpy().astype(np.int64)
        return named
    classes = np.zeros(len(rows), np.int64)
    for fov, of_field in rows.reset_index(drop=True).groupby("fov_id", sort=False):
        labels, instances = np.asarray(tiles.dataset.semantic(fov)), np.asarray(tiles.dataset.instances(fov))
        for tile, of_tile in of_field.groupby("tile", sort=False):
            p = tiles.piece(int(tile))
            place = np.s_[p.y : p.y + p.height, p.x : p.x + p.width]
            ids, values = truncated_mean_class(labels[place], instances[place])
            classes[of_tile.index] = values[np.searchsorted(ids, of_tile["cell_id"].to_numpy())]
    return classes


def predictions_table(
    rows: pd.DataFrame,
    probabilities: NDArray[np.float32],
    true: NDArray[np.int64],
    outputs: Outputs,
    dataset: CellDataset,
    protocol: protocols.Protocol,
) -> pd.DataFrame:
    """The predictions table of a run, its `run_id` still empty: one row a nucleus, probabilities by class id.

    Nuclei without a class are left out unless the protocol lets background win.
    """
    table = rows.reset_index(drop=True).astype({"fov_id": str, "cell_id": np.int64, "tile": np.int64})
    table.insert(0, "run_id", "")
    about = dataset.fovs.loc[table["fov_id"], ["patient_id", "site", *_groups(dataset)]].reset_index(drop=True)
    table = pd.concat([table, about], axis=1)
    table["y_true"], table["y_pred"] = true, predicted(probabilities, outputs, protocol)
    for column, class_id in enumerate(outputs.ids):
        table[f"p_{class_id}"] = probabilities[:, column]
    return table if protocol.scoring.background_may_win else table[table["y_true"] > 0].reset_index(drop=True)


def predicted(probabilities: NDArray[np.float32], outputs: Outputs, protocol: protocols.Protocol) -> NDArray[np.int64]:
    """(n,) class id with the largest of (n, K) probabilities, the first of equals; background only where it may win."""
    return most_probable(probabilities, outputs.ids, background_may_win=protocol.scoring.background_may_win)


def _groups(dataset: CellDataset) -> list[str]:
    return [column for column in dataset.fovs.columns if column.startswith(GROUP)]
