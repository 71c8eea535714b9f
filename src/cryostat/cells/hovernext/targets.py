"""What the instance decoder learns: for every pixel the way to its nucleus' centre, and the part of it."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cryostat.core.errors import SettingError

BACKGROUND, INSIDE, BORDER = range(3)


class InstanceTargets(NamedTuple):
    """Targets of a batch of tiles.

    Attributes:
        vectors: (N, 2, H, W) float32, (dy, dx) from the pixel to the mean of its nucleus' pixels in the tile, in px
            and not normalised; 0 in background.
        parts: (N, H, W) int64, 0 background, 1 inside, 2 border.
    """

    vectors: Tensor
    parts: Tensor


class _Runs(NamedTuple):
    """Stretches of one id within a row, in the order of the pixels.

    Attributes:
        row: (r,) row in the tile.
        column: (r,) first column.
        length: (r,) pixels.
        nucleus: (r,) number of the nucleus in the batch; the same id in two tiles is two nuclei.
        filled: (r,) whether it is a nucleus and not background.
    """

    row: Tensor
    column: Tensor
    length: Tensor
    nucleus: Tensor
    filled: Tensor


def instance_targets(instances: Tensor) -> InstanceTargets:
    """Targets of tiles, on the device they are on.

    A border pixel belongs to a nucleus and has another label (background included) among its 8 neighbours; the edge of
    the tile is no border. A nucleus cut by the tile has the centre of what is left of it.

    Args:
        instances: (N, H, W) integers, 0 background, any positive id a nucleus; ids may be large and have gaps.

    Raises:
        SettingError: The tensor has another shape or is not of integers.
    """
    if instances.ndim != 3 or instances.is_floating_point() or instances.is_complex():
        raise SettingError(
            f"instances of shape {tuple(instances.shape)} and type {instances.dtype}",
            remedy="Give nucleus ids as integers (N, H, W)",
        )
    instances = instances.long()
    if not instances.numel():
        return InstanceTargets(instances.new_zeros((len(instances), 2, *instances.shape[1:])).float(), instances)
    runs = _runs(instances)
    return InstanceTargets(_vectors(runs, instances.shape), _parts(instances))


def _runs(instances: Tensor) -> _Runs:
    """The runs of a batch: a few thousand stand for hundreds of thousands of pixels, so sorting their ids is cheap."""
    _, height, width = instances.shape
    starts = torch.ones_like(instances, dtype=torch.bool)
    torch.ne(instances[..., 1:], instances[..., :-1], out=starts[..., 1:])
    first = starts.flatten().nonzero().squeeze(1)
    line = first.div(width, rounding_mode="floor")
    tile = line.div(height, rounding_mode="floor")
    ids, number = instances.flatten()[first].unique(return_inverse=True)
    end = first.new_full((1,), instances.numel())
    nucleus = tile * len(ids) + number
    return _Runs(line % height, first % width, torch.cat([first, end]).diff(), nucleus, ids[number] > 0)


def _vectors(runs: _Runs, shape: torch.Size) -> Tensor:
    """(N, 2, H, W); the sums are of integers, so that they are the same in whatever order a device adds them."""
    n, height, width = shape
    area = _total(runs.length, runs)
    centre_y = _total(runs.length * runs.row, runs) / area
    centre_x = _total(runs.length * runs.column + runs.length * (runs.length - 1) // 2, runs) / area
    columns = torch.arange(width, device=area.device, dtype=torch.float32)
    vectors = torch.empty((n, 2, height, width), device=area.device)
    vectors[:, 0] = _spread((centre_y - runs.row) * runs.filled, runs, vectors[:, 0])
    vectors[:, 1] = _spread(centre_x, runs, vectors[:, 1]) - columns
    vectors[:, 1].mul_(_spread(runs.filled, runs, vectors[:, 1]))
    return vectors


def _spread(values: Tensor, runs: _Runs, like: Tensor) -> Tensor:
    """(N, H, W) float32: the value of each pixel's run."""
    return values.float().repeat_interleave(runs.length, output_size=like.numel()).reshape(like.shape)


def _total(values: Tensor, runs: _Runs) -> Tensor:
    """For each run the sum of the values of its nucleus' runs."""
    sums = values.new_zeros(int(runs.nucleus.max()) + 1)
    return sums.scatter_add_(0, runs.nucleus, values)[runs.nucleus]


def _parts(instances: Tensor) -> Tensor:
    nucleus = instances > 0
    border = torch.zeros_like(nucleus)
    for here, there in _NEIGHBOURS:
        differs = instances[:, here[0], here[1]] != instances[:, there[0], there[1]]
        border[:, here[0], here[1]] |= differs
        border[:, there[0], there[1]] |= differs
    # 1 for a nucleus and 1 more for its border are INSIDE and BORDER.
    return nucleus.long().add_(border.logical_and_(nucleus))


_ALL, _FIRST, _LAST = slice(None), slice(None, -1), slice(1, None)
_NEIGHBOURS = (
    ((_FIRST, _ALL), (_LAST, _ALL)),
    ((_ALL, _FIRST), (_ALL, _LAST)),
    ((_FIRST, _FIRST), (_LAST, _LAST)),
    ((_FIRST, _LAST), (_LAST, _FIRST)),
)
"""Rows and columns of a pixel and of its neighbour, for the four directions that give all eight."""
