"""Maps pooled over given nuclei: where the maps are, without a loop over nuclei."""

from __future__ import annotations

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
        starts: (R,) int64, where in `pixels` each run of pixels of one nucleus begins.
        runs: (R,) int64, nucleus (0 to n − 1) of each run.
    """

    shape: tuple[int, int, int]
    tiles: Tensor
    ids: Tensor
    counts: Tensor
    pixels: Tensor
    starts: Tensor
    runs: Tensor

    @property
    def rows(self) -> Tensor:
        """(P,) int64, nucleus (0 to n − 1) of each pixel."""
        return self.runs.repeat_interleave(self.lengths, output_size=len(self.pixels))

    @property
    def lengths(self) -> Tensor:
        """(R,) int64, pixels of each run."""
        return self.starts.diff(append=self.starts.new_tensor([len(self.pixels)]))

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
        if maps.stride(1) == 1:
            return sums_of_pixels(self, maps.contiguous(memory_format=torch.channels_last))
        return sums_of_planes(self, maps.contiguous())

    def votes(self, labels: Tensor, classes: int) -> Tensor:
        """Pixels of each label in each nucleus.

        Args:
            labels: (N, H, W) or (H, W) integers from 0 to `classes` − 1.
            classes: Number of labels.

        Returns:
            (n, classes) int64.
        """
        found = labels.reshape(-1)[self.pixels].long()
        return torch.bincount(self.rows * classes + found, minlength=len(self.ids) * classes).view(-1, classes)

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
    index = index_nuclei(torch.from_numpy(np.array(instances)))  # a copy: torch wants to be able to write
    classes = index.truncated_means(torch.from_numpy(np.ascontiguousarray(semantic, np.int64)))
    return index.ids.numpy(), classes.numpy()


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
    batch = _signed(instances[None] if instances.ndim == 2 else instances).contiguous()
    shape = (int(batch.shape[0]), int(batch.shape[1]), int(batch.shape[2]))
    pixels, starts, ids = _runs(batch)
    low, high = (int(ids.min()), int(ids.max())) if len(ids) else (1, 1)
    if low < 0:
        raise InputError("an instance map holds negative ids", remedy="Number nuclei from 1, with 0 for background")
    base = high + 1
    keys = torch.div(pixels[starts], max(1, shape[1] * shape[2]), rounding_mode="floor") * base + ids
    lengths = starts.diff(append=starts.new_tensor([len(pixels)]))
    unique, runs, counts = _numbered(keys, lengths, base * shape[0])
    tiles = torch.div(unique, base, rounding_mode="floor")
    return NucleusIndex(shape, tiles, unique - tiles * base, counts, pixels, starts, runs)


def _numbered(keys: Tensor, lengths: Tensor, limit: int) -> tuple[Tensor, Tensor, Tensor]:
    """Number the nuclei by key: (n,) keys, ascending; (R,) nucleus of each run; (n,) pixels of each nucleus.

    Args:
        keys: (R,) key of each run, below `limit`.
        lengths: (R,) pixels of each run.
        limit: A table of so many entries saves the sorting of keys, unless it is far larger than them.
    """
    if limit > 16 * len(keys) + 2**16:
        unique, runs = torch.unique(keys, return_inverse=True)
        return unique, runs, torch.zeros_like(unique).index_add_(0, runs, lengths)
    table = torch.zeros(limit, dtype=lengths.dtype, device=keys.device).index_add_(0, keys, lengths)
    unique = table.nonzero().squeeze(1)
    return unique, ((table > 0).cumsum(0) - 1)[keys], table[unique]


def _signed(instances: Tensor) -> Tensor:
    """Unsigned types know few operations in torch."""
    wider = {torch.uint16: torch.int32, torch.uint32: torch.int64, torch.uint64: torch.int64}
    return instances.to(wider.get(instances.dtype, instances.dtype))


def _runs(batch: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pixels in nuclei, and the runs of one id among them: (P,) positions, (R,) starts, (R,) ids, all int64."""
    plane = batch.shape[1] * batch.shape[2]
    flat = batch.view(-1)
    if batch.device.type == "cpu":  # NumPy finds and compares several times faster than torch here.
        values = flat.numpy()
        at = np.flatnonzero(values != 0)
        found = values[at]
        new = np.append(True, found[1:] != found[:-1])[: len(at)]
        new[_inside(np.searchsorted(at, np.arange(1, len(batch)) * plane), len(at))] = True
        first = np.flatnonzero(new)
        return torch.from_numpy(at), torch.from_numpy(first), torch.from_numpy(found[first]).long()
    pixels = flat.nonzero().squeeze(1)
    ids = flat[pixels]
    changes = torch.ones(len(ids), dtype=torch.bool, device=flat.device)
    changes[1:] = (ids[1:] != ids[:-1]) | (pixels[1:] // plane != pixels[:-1] // plane)
    starts = changes.nonzero().squeeze(1)
    return pixels, starts, ids[starts].long()


def _inside(positions: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    return positions[positions < length]


def sums_of_planes(index: NucleusIndex, maps: Tensor) -> Tensor:
    """Sums over nuclei of contiguous (N, C, H, W) maps on the CPU: one sparse product a channel.

    The product gathers and adds in one go; gathering first, or sorting pixels by nucleus, was measured to be slower.

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
    rows = np.repeat(index.runs.numpy().astype(narrow), index.lengths.numpy())
    places = (_in_lanes(rows, narrow), _in_lanes(at, narrow))
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
    """Sums over nuclei of maps that lie channels-last in memory, on the CPU: over runs, then over nuclei.

    Args:
        index: Of nuclei.
        maps: (N, C, H, W) float32 or float64 whose (N, H, W, C) view is contiguous.

    Returns:
        (n, C) float64.
    """
    table = maps.permute(0, 2, 3, 1).reshape(-1, maps.shape[1])
    of_runs = F.embedding_bag(index.pixels, table, index.starts, mode="sum")
    return of_runs.new_zeros(len(index.ids), maps.shape[1]).double().index_add_(0, index.runs, of_runs.double())


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
