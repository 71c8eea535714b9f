"""The tiles of a dataset under a protocol: pixels for the encoder, labels for the head, geometry for the way back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from skimage.segmentation import expand_labels

from cryostat.cells.dataset import CellDataset
from cryostat.cells.protocols import Protocol
from cryostat.cells.tiling.geometry import Piece, even_cut, overlapping
from cryostat.core.errors import InputError
from cryostat.encoders.card import EncoderCard

CODE = "1"
"""Version of the pixels this module makes; raise it when the same settings yield other pixels."""

SAMPLED_FIELDS = 32
"""Fields shown to encoders that adapt to unlabelled pixels."""

KEPT_FIELDS = 64
"""Fields whose nuclei, and whose rings, are kept in memory: a quarter of a gigabyte of rings of 1000 × 1000 px."""


class CellTiles:
    """All tiles of a dataset, in the order of its fields; a `features.TileSource`.

    Args:
        dataset: Imported dataset.
        protocol: Rules of cutting and scaling.
        tile_size: Side of a tile in px at the protocol's scale.
    """

    def __init__(self, dataset: CellDataset, protocol: Protocol, tile_size: int) -> None:
        self.dataset, self.protocol, self.tile_size = dataset, protocol, tile_size
        self._table = self._lay_out()
        self._rows = self._table.to_dict("records")
        self._tiles_of = {str(fov): rows.to_numpy() for fov, rows in self._table.groupby("fov_id", sort=False)["tile"]}
        self._field = lru_cache(maxsize=4)(self._read_field)
        self._labels = lru_cache(maxsize=None)(self._read_labels)
        self._instances = lru_cache(maxsize=KEPT_FIELDS)(self._read_instances)
        self._rings = lru_cache(maxsize=KEPT_FIELDS)(self._read_rings)

    def identity(self) -> Mapping[str, Any]:
        """Dataset, cut, scale and scaling of pixels."""
        tiling, images = self.protocol.tiling, self.protocol.images
        return {
            "dataset": self.dataset.name,
            "dataset_identity": self.dataset.identity,
            "kind": tiling.kind,
            "mpp": tiling.mpp,
            "overlap": tiling.overlap,
            "tile_size": self.tile_size,
            "scaling": images.scaling,
            "view": 0,
            "code": CODE,
        }

    def index(self) -> pd.DataFrame:
        """One row a tile: tile, fov_id, y, x, height, width, above, left, field_height, field_width (rescaled)."""
        return self._table

    def tiles_of(self, fov_id: str) -> NDArray[np.int64]:
        """Numbers of the tiles of one field."""
        tiles: NDArray[np.int64] = self._tiles_of[fov_id]
        return tiles

    def pieces_of(self, fov_id: str) -> list[tuple[int, Piece]]:
        """Tile number and place of each tile of one field."""
        return [(int(t), self.piece(int(t))) for t in self.tiles_of(fov_id)]

    def piece(self, tile: int) -> Piece:
        """Where a tile lies."""
        row = self._rows[tile]
        return Piece(*(int(row[key]) for key in ("y", "x", "height", "width", "above", "left")))

    def field_shape(self, fov_id: str) -> tuple[int, int]:
        """Height and width of a field at the protocol's scale, px."""
        about = self.dataset.fovs.loc[fov_id]
        scale = self._scale(fov_id)
        return max(1, round(int(about["height"]) * scale)), max(1, round(int(about["width"]) * scale))

    def load(self, tiles: Sequence[int]) -> NDArray[np.float32]:
        """(n, S, S, 3) float32 in 0 … 1; tiles of one field should come together, for speed."""
        batch = np.zeros((len(tiles), self.tile_size, self.tile_size, 3), np.float32)
        for out, tile in zip(batch, tiles, strict=True):
            self._paste(out, self._rows[tile]["fov_id"], self.piece(tile))
        return batch

    def labels(self, tiles: Sequence[int]) -> NDArray[np.int16]:
        """(n, S, S) class of each pixel, 0 where there is none (background, padding, mirrored margin)."""
        labels: NDArray[np.int16] = self._placed(tiles, self._labels, np.int16)
        return labels

    def instances(self, tiles: Sequence[int]) -> NDArray[np.int32]:
        """(n, S, S) nucleus id of each pixel, placed as `labels` is; 0 where there is none."""
        ids: NDArray[np.int32] = self._placed(tiles, self._instances, np.int32)
        return ids

    def rings(self, tiles: Sequence[int], ring_um: float) -> NDArray[np.int32]:
        """(n, S, S) id of the nucleus in whose ring of context each pixel lies, placed as `labels` is; 0 for none.

        Args:
            tiles: Numbers of tiles.
            ring_um: Width of the rings, µm.
        """
        ids: NDArray[np.int32] = self._placed(tiles, partial(self._rings, ring_um=ring_um), np.int32)
        return ids

    def _placed(self, tiles: Sequence[int], read: Callable[[str], NDArray[Any]], dtype: type[Any]) -> NDArray[Any]:
        """(n, S, S) cut from whole fields, 0 in padding and mirrored margins."""
        batch = np.zeros((len(tiles), self.tile_size, self.tile_size), dtype)
        for out, tile in zip(batch, tiles, strict=True):
            p = self.piece(tile)
            field = read(self._rows[tile]["fov_id"])[p.y : p.y + p.height, p.x : p.x + p.width]
            out[p.above : p.above + p.height, p.left : p.left + p.width] = field
        return batch

    def sample_images(self) -> Iterator[NDArray[np.float32]]:
        """Evenly spread fields of the dataset, without labels, at the protocol's scale."""
        fovs = sorted(map(str, self.dataset.fovs.index))
        for i in np.linspace(0, len(fovs) - 1, min(SAMPLED_FIELDS, len(fovs))).astype(int):
            image = self._field(fovs[i])
            yield image / max(float(image.max()), 1e-6) if self.protocol.images.scaling == "tile-maximum" else image

    def _lay_out(self) -> pd.DataFrame:
        rows = [row for fov in map(str, self.dataset.fovs.index) for row in self._rows_of(fov)]
        table = pd.DataFrame(rows)
        table.insert(0, "tile", np.arange(len(table)))
        return table

    def _rows_of(self, fov_id: str) -> Iterable[dict[str, Any]]:
        height, width = self.field_shape(fov_id)
        tiling = self.protocol.tiling
        if tiling.kind == "even-cut":
            pieces = even_cut(height, width, self.tile_size)
        else:
            pieces = overlapping(height, width, self.tile_size, tiling.overlap)
        return [{"fov_id": fov_id, **vars(p), "field_height": height, "field_width": width} for p in pieces]

    def _scale(self, fov_id: str) -> float:
        target = self.protocol.tiling.mpp
        return self.dataset.mpp(fov_id) / target if target else 1.0

    def _read_field(self, fov_id: str) -> NDArray[np.float32]:
        image = self.dataset.image(fov_id)
        shape = tuple(self.dataset.fovs.loc[fov_id, ["height", "width"]])
        if image.shape[:2] != shape:
            raise InputError(
                f"the stored image is {image.shape[:2]}, the table says {shape}",
                where=f"{self.dataset.folder}, field {fov_id}",
                remedy="Import the dataset again",
            )
        if self.protocol.images.scaling == "tile-maximum":
            return resize(image.astype(np.float32), self.field_shape(fov_id))
        return resize(image.astype(np.float32) / np.float32(np.iinfo(image.dtype).max), self.field_shape(fov_id))

    def _read_labels(self, fov_id: str) -> NDArray[np.int16]:
        published = self.protocol.scoring.truth == "truncated-mean"
        labels = self.dataset.semantic(fov_id) if published else self.dataset.class_map(fov_id)
        return nearest(labels, self.field_shape(fov_id)).astype(np.int16)

    def _read_instances(self, fov_id: str) -> NDArray[Any]:
        return nearest(self.dataset.instances(fov_id), self.field_shape(fov_id))

    def _read_rings(self, fov_id: str, ring_um: float) -> NDArray[Any]:
        rings = ring(self.dataset.instances(fov_id), ring_um / self.dataset.mpp(fov_id))
        return nearest(rings, self.field_shape(fov_id))

    def _paste(self, out: NDArray[np.float32], fov_id: str, p: Piece) -> None:
        pixels = self._field(fov_id)[p.y : p.y + p.height, p.x : p.x + p.width]
        if self.protocol.tiling.kind == "even-cut":
            out[p.above : p.above + p.height, p.left : p.left + p.width] = pixels
        else:
            out[:] = _mirror(pixels, self.tile_size)
        if self.protocol.images.scaling == "tile-maximum" and out.max() > 0:
            out /= out.max()


def tiles_for(dataset: CellDataset, protocol: Protocol, card: EncoderCard) -> CellTiles:
    """The tiles of a dataset as one encoder wants them.

    A flexible encoder takes smaller tiles where most fields are smaller than its native input (so that PanNuke's
    256 px fields need no margin); any other gets the field mirrored at its borders up to its input size.
    """
    size = card.input_size
    if card.flexible_size and protocol.tiling.kind == "overlapping":
        probe = CellTiles(dataset, protocol, size).index().drop_duplicates("fov_id")
        shortest = float(probe[["field_height", "field_width"]].min(axis=1).median())
        size = min(size, max(4, int(shortest) // card.patch_size) * card.patch_size)
    return CellTiles(dataset, protocol, size)


def resize(image: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """(H, W, C) to another (H, W), bilinear, area-averaged when shrinking; unchanged when the shape fits."""
    if image.shape[:2] == shape:
        return image
    channels = [Image.fromarray(np.ascontiguousarray(image[..., c])) for c in range(image.shape[2])]
    size = (shape[1], shape[0])
    return np.stack([np.asarray(c.resize(size, Image.Resampling.BILINEAR)) for c in channels], axis=-1)


def nearest(labels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """(H, W) labels at another (H, W): the label under each new pixel's centre."""
    if labels.shape == shape:
        return labels
    rows = ((np.arange(shape[0]) + 0.5) * labels.shape[0] / shape[0]).astype(int)
    columns = ((np.arange(shape[1]) + 0.5) * labels.shape[1] / shape[1]).astype(int)
    return labels[np.ix_(rows, columns)]


def ring(instances: NDArray[Any], pixels: float) -> NDArray[Any]:
    """(H, W) id of the nearest nucleus of each pixel outside all nuclei, 0 further away than so many pixels."""
    ids: NDArray[Any] = np.where(instances > 0, 0, expand_labels(instances, distance=pixels))
    return ids


def _mirror(pixels: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    below, right = size - pixels.shape[0], size - pixels.shape[1]
    return np.pad(pixels, ((0, below), (0, right), (0, 0)), mode="symmetric") if below or right else pixels
