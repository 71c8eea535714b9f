"""Maps pooled over given nuclei: where the maps are, without a loop over nuclei."""

from __future__ import annotations

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from torch import Tensor
from torch.nn import functional as F

from cryostat.core.errors import InputError

LANES = 4
"""Runs of pixels that the sparse product walks at once, so that it need not wait for its last sum of one nucleus."""

WORTH_THREADS = 2**20
"""Values to sum above which threads pay."""

LARGE = 2**14
"""Pixels above which a nucleus is summed in double precision; single is exact to 1e-6 below."""


@dataclass(frozen=True)
class NucleusIndex:
    """Which pixels belong to which nucleus, in a batch of instance maps; made once, good for any maps of that size.

    Attributes:
        shape: (N, H, W) of the instance maps.
        tiles: (n,) int64, position in the batch of each nucleus, ascending.
        ids: (n,) int64, its id, ascending in each tile.
        counts: (n,) int64, its pixels.
        pixels: (P,) int64, flat positions in the batch of all pixels in nuclei, ascending.
        rows: (P,) int32, nucleus (0 to n − 1) of each of these.
    """

    shape: tuple[int, int, int]
    tiles: Tensor
    ids: Tensor
    counts: Tensor
    pixels: Tensor
    rows: Tensor

    def means(self, maps: Tensor) -> Tensor:
        """Mean of each channel over the pixels of each nucleus.

        Args:
            maps: (N, C, H, W) or, for one tile, (C, H, W) float, on the index's device.

        Returns:
            (n, C) float64.

        Raises:
            InputError: The maps do not fit the instance maps, or are not finite in some nucleus.
        """
        batch = maps[None] if maps.ndim == 3 else maps
        if batch.ndim != 4 or (batch.shape[0], *batch.shape[2:]) != self.shape or not batch.is_floating_point():
            raise InputError(
                f"maps {tuple(maps.shape)} of {maps.dtype} do not fit instance maps {self.shape}",
                remedy="Supply floats (N, C, H, W) for (N, H, W), or (C, H, W) for (H, W)",
            )
        means = self.sums(batch.detach()).double() / self.counts[:, None]
        if not bool(torch.isfinite(means).all()):
            raise InputError(
                "the maps hold NaN or infinite values inside nuclei",
                remedy="Check the model's output, and that maps are probabilities",
            )
        return means

    def sums(self, maps: Tensor) -> Tensor:
        """Sum of each channel over the pixels of each nucleus, (n, C), of (N, C, H, W) maps in any memory layout."""
        if maps.dtype not in (torch.float32, torch.float64):
            maps = maps.float()
        if not len(self.ids):
            return maps.new_zeros(0, maps.shape[1])
        if maps.device.type != "cpu":
            return sums_on_device(self, maps)
        if int(self.counts.max()) > LARGE:
            maps = maps.double()
        pixel_major = maps.permute(0, 2, 3, 1).is_contiguous()
        return sums_of_pixels(self, maps) if pixel_major else sums_of_planes(self, maps.contiguous())

    def votes(self, labels: Tensor, classes: int) -> Tensor:
        """Pixels of each label in each nucleus.

        Args:
            labels: (N, H, W) or (H, W) integers from 0 to `classes` − 1.
            classes: Number of labels.

        Returns:
            (n, classes) int64.
        """
        found = labels.reshape(-1)[self.pixels].long()
        return torch.bincount(self.rows.long() * classes + found, minlength=len(self.ids) * classes).view(-1, classes)

    def truncated_means(self, semantic: Tensor) -> Tensor:
        """The published truth: mean class id over each nucleus' pixels, cut to an integer.

        Args:
            semantic: (N, H, W) or (H, W) class ids.

        Returns:
            (n,) int64; where a nucleus holds pixels of two classes this may be a third class, or none.
        """
        ids = semantic.reshape(-1)[self.pixels].double()
        sums = torch.zeros(len(self.ids), dtype=torch.float64, device=ids.device).index_add_(0, self.rows, ids)
        return (sums / self.counts).long()


@dataclass(frozen=True)
class PooledNuclei:
    """Means over nuclei.

    Attributes:
        tiles: (n,) position in the batch.
        ids: (n,) nucleus id.
        means: (n, C) float64.
        counts: (n,) pixels.
    """

    tiles: Tensor
    ids: Tensor
    means: Tensor
    counts: Tensor


def pool(maps: Tensor, instances: Tensor | NDArray[Any]) -> PooledNuclei:
    """Mean of each channel over each nucleus.

    Args:
        maps: (N, C, H, W) or (C, H, W) float, on any device; planes or pixels first in memory, both are fast.
        instances: (N, H, W) or (H, W) integers, 0 background; moved to the maps' device.

    Returns:
        Nuclei by tile and id.

    Raises:
        InputError: Shapes or types do not fit, or maps are not finite in some nucleus.
    """
    index = index_nuclei(torch.as_tensor(instances).to(maps.device))
    return PooledNuclei(index.tiles, index.ids, index.means(maps), index.counts)


def truncated_mean_class(
    semantic: NDArray[Any], instances: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The published truth of one tile: (n,) nucleus ids, ascending, and (n,) class by truncated mean.

    Args:
        semantic: (H, W) class ids.
        instances: (H, W) nucleus ids.
    """
    index = index_nuclei(torch.from_numpy(np.ascontiguousarray(instances)))
    classes = index.truncated_means(torch.from_numpy(np.ascontiguousarray(semantic, np.int64)))
    return index.ids.numpy(), classes.numpy()


def most_probable(means: NDArray[Any], ids: NDArray[Any], *, background_may_win: bool) -> NDArray[Any]:
    """The class of the highest probability, the first of equals.

    Args:
        means: (n, C) mean probabilities.
        ids: (C,) class id of each column, 0 background.
        background_may_win: Background takes part, as published.

    Returns:
        (n,) class ids.
    """
    allowed = means if background_may_win else np.where(ids == 0, -1, means)
    winners: NDArray[Any] = ids[allowed.argmax(1)]
    return winners


def index_nuclei(instances: Tensor) -> NucleusIndex:
    """Find the pixels of each nucleus.

    Args:
        instances: (N, H, W) or (H, W) integers of any width, 0 background; ids may be huge and have gaps.

    Raises:
        InputError: The map is not of integers, holds negative ids, or is not of two or three dimensions.
    """
    kinds = (torch.bool, torch.float16, torch.bfloat16, torch.float32, torch.float64)
    if instances.ndim not in (2, 3) or instances.dtype in kinds:
        raise InputError(
            f"an instance map of shape {tuple(instances.shape)} and type {instances.dtype} is none",
            remedy="Supply integers of shape (N, H, W) or (H, W)",
        )
    batch = _signed(instances[None] if instances.ndim == 2 else instances)
    shape = (int(batch.shape[0]), int(batch.shape[1]), int(batch.shape[2]))
    if not batch.numel():
        return _numbered(shape, batch.new_zeros(0, dtype=torch.int64), batch.new_zeros(0, dtype=torch.int64), 1)
    low, high = (int(value) for value in torch.aminmax(batch))
    if low < 0:
        raise InputError("an instance map holds negative ids", remedy="Number nuclei from 1, with 0 for background")
    # One number for tile and id, in 32 bits where they suffice: half the bytes to move.
    wide = torch.int32 if (high + 1) * shape[0] < 2**31 else torch.int64
    keys = batch.to(wide) + (torch.arange(shape[0], device=batch.device, dtype=wide) * (high + 1)).view(-1, 1, 1)
    pixels = _nonzero(batch.reshape(-1))
    return _numbered(shape, pixels, keys.view(-1).index_select(0, pixels), high + 1)


def _signed(instances: Tensor) -> Tensor:
    """Unsigned types know few operations in torch."""
    wider = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}
    return instances.to(wider.get(instances.dtype, instances.dtype))


def _nonzero(flat: Tensor) -> Tensor:
    if flat.device.type == "cpu":  # NumPy finds the true values of a mask several times faster.
        return torch.from_numpy(np.flatnonzero(flat.numpy() != 0))
    return flat.nonzero().squeeze(1)


def _numbered(shape: tuple[int, int, int], pixels: Tensor, keys: Tensor, base: int) -> NucleusIndex:
    """Number the nuclei of a batch from the key (tile × base + id) of each pixel in nuclei."""
    if base * shape[0] <= 4 * math.prod(shape):
        table = torch.bincount(keys, minlength=1)
        present = table.nonzero().squeeze(1)
        counts = table.index_select(0, present)
        rows = ((table > 0).cumsum(0, dtype=torch.int32) - 1).index_select(0, keys)
    else:
        present, rows, counts = torch.unique(keys, return_inverse=True, return_counts=True)
        present, rows = present.long(), rows.int()
    tiles = torch.div(present, base, rounding_mode="floor")
    return NucleusIndex(shape, tiles, present - tiles * base, counts, pixels, rows)


def sums_of_planes(index: NucleusIndex, maps: Tensor) -> Tensor:
    """Sums over nuclei of contiguous (N, C, H, W) maps on the CPU: one sparse product a channel.

    Args:
        index: Of nuclei.
        maps: (N, C, H, W) float32 or float64, contiguous.

    Returns:
        (n, C) of the maps' type.
    """
    channels, plane = maps.shape[1], index.shape[1] * index.shape[2]
    values, span = maps.view(-1).numpy(), maps.numel() - (channels - 1) * plane
    narrow = np.int32 if maps.numel() < 2**31 else np.int64
    per_tile = np.diff(np.searchsorted(index.pixels.numpy(), np.arange(index.shape[0] + 1) * plane))
    at = index.pixels.numpy() + np.repeat(np.arange(index.shape[0]) * ((channels - 1) * plane), per_tile)
    places = (_in_lanes(index.rows.numpy(), narrow), _in_lanes(at, narrow))
    matrix = coo_array((np.ones(len(at), values.dtype), places), shape=(len(index.ids), span))

    def total(channel: int) -> NDArray[Any]:
        start = channel * plane
        return np.atleast_1d(matrix @ values[start : start + span])  # SciPy makes one nucleus a scalar.

    threads = min(torch.get_num_threads(), channels)
    if threads == 1 or len(at) * channels < WORTH_THREADS:
        return torch.from_numpy(np.stack([total(c) for c in range(channels)], 1))
    with ThreadPoolExecutor(threads) as workers:
        return torch.from_numpy(np.stack(list(workers.map(total, range(channels))), 1))


def _in_lanes(values: NDArray[Any], dtype: type[np.int32] | type[np.int64]) -> NDArray[Any]:
    """Interleave `LANES` stretches of an array: neighbours are then pixels of different nuclei."""
    whole = len(values) // LANES * LANES
    out = np.empty(len(values), dtype)
    out[:whole].reshape(-1, LANES)[:] = values[:whole].reshape(LANES, -1).T
    out[whole:] = values[whole:]
    return out


def sums_of_pixels(index: NucleusIndex, maps: Tensor) -> Tensor:
    """Sums over nuclei of maps that lie channels-last in memory, on the CPU.

    Args:
        index: Of nuclei.
        maps: (N, C, H, W) float32 or float64 whose (N, H, W, C) view is contiguous.

    Returns:
        (n, C) of the maps' type.
    """
    table = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    rows = index.rows.numpy().astype(np.uint16 if len(index.ids) < 2**16 else np.int32)
    order = np.argsort(rows, kind="stable")
    starts = index.counts.cumsum(0) - index.counts
    return F.embedding_bag(index.pixels[torch.from_numpy(order)], table, starts, mode="sum")


def sums_on_device(index: NucleusIndex, maps: Tensor) -> Tensor:
    """Sums over nuclei on an accelerator, in double precision, so that the order of its threads does not show.

    Args:
        index: Of nuclei.
        maps: (N, C, H, W) float.

    Returns:
        (n, C) float64.
    """
    plane = index.shape[1] * index.shape[2]
    tile = torch.div(index.pixels, plane, rounding_mode="floor")
    values = maps.flatten(2).transpose(1, 2)[tile, index.pixels - tile * plane].double()
    return values.new_zeros(len(index.ids), maps.shape[1]).index_add_(0, index.rows, values)
