"""From the grid of a scanner to that of the encoder: orientation, slice axis, resampling, cropping."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from nibabel.orientations import apply_orientation, axcodes2ornt, io_orientation, ornt_transform
from numpy.typing import NDArray
from scipy import ndimage

from cryostat.core.errors import InputError
from cryostat.encoders.volume.volume import Volume

AXES = ("R", "P", "I")
"""Where the axes of an oriented volume point to: right, posterior, inferior."""

IN_PLANE_MM, SLICE_MM = 1.0, 4.0
PATCH = (4, 16, 16)
"""Voxels of one token: slices, rows, columns."""

_TO_SLICES_FIRST = {2: (2, 1, 0), 1: (1, 2, 0), 0: (0, 1, 2)}
"""Slice axis to the transposition that brings an (R, P, I) array into (slices, rows, columns)."""


@dataclass(frozen=True, eq=False)
class Grid:
    """Arrays of one volume on one grid.

    Attributes:
        data: Voxels.
        spacing: (3,) mm along each axis.
        masks: Name to mask of the same shape.
    """

    data: NDArray[Any]
    spacing: NDArray[np.float64]
    masks: dict[str, NDArray[Any]]


def oriented(volume: Volume) -> Grid:
    """A volume and its masks with axes that point right, posterior, inferior, by flips and swaps alone."""
    turn = ornt_transform(io_orientation(volume.affine), axcodes2ornt(AXES))
    spacing = np.empty(3)
    spacing[turn[:, 0].astype(int)] = volume.millimetres
    given = {"tumour": volume.tumour, "brain": volume.brain}
    masks = {name: apply_orientation(mask, turn) for name, mask in given.items() if mask is not None}
    return Grid(apply_orientation(volume.data, turn), spacing, masks)


def slice_axis(spacing: NDArray[np.float64]) -> int:
    """The axis of slices: that of the largest spacing, if it exceeds the others by 1 %; otherwise head to foot (2)."""
    order = np.argsort(spacing)
    return int(order[2]) if spacing[order[2]] > 1.01 * spacing[order[1]] else 2


def slice_axis_compat(shape: Sequence[int], spacing: NDArray[np.float64], where: str) -> int:
    """The axis of slices as NeuroVFM's program finds it: the smallest size that occurs exactly once.

    Raises:
        InputError: No size is unique and spacings differ: NeuroVFM loses such a volume.
    """
    if (spacing == spacing[0]).all():
        return 2
    single = [size for size in shape if list(shape).count(size) == 1]
    if not single:
        raise InputError(
            f"has {shape[0]} voxels along every axis and unequal spacing, which NeuroVFM's own program cannot take",
            where=where,
            remedy="Leave out mode compat",
        )
    return list(shape).index(min(single))


def target_spacing(axis: int) -> NDArray[np.float64]:
    """(3,) mm that NeuroVFM works at: 4 across slices, 1 in their plane."""
    return np.where(np.arange(3) == axis, SLICE_MM, IN_PLANE_MM)


def resized(shape: Sequence[int], spacing: NDArray[np.float64], target: NDArray[np.float64], slack: float) -> list[int]:
    """Voxels along each axis at the target spacing, rounded down; `slack` voxels forgive rounding in headers."""
    return [int(n) for n in np.floor(np.asarray(shape) * spacing / target + slack)]


def spline(
    data: NDArray[np.float64], steps: NDArray[np.float64], sizes: Sequence[int], *, beyond: float | None = None
) -> NDArray[np.float64]:
    """Cubic B-spline interpolation along each axis, from the first voxel on, mirrored at the borders.

    Args:
        data: (X, Y, Z) voxels.
        steps: (3,) distance of the new voxels in old ones.
        sizes: Number of new voxels along each axis.
        beyond: Value of new voxels outside the old ones; None goes on mirroring.
    """
    for axis, (step, size) in enumerate(zip(steps, sizes, strict=True)):
        data = _along(data, axis, float(step), size, beyond)
    return data


def _along(data: NDArray[np.float64], axis: int, step: float, size: int, beyond: float | None) -> NDArray[np.float64]:
    length = data.shape[axis]
    if step == round(step) and (size - 1) * step < length:
        return data.take(np.arange(size) * round(step), axis)
    moved = np.moveaxis(np.tensordot(_spline_weights(length, step, size), data, (1, axis)), 0, axis)
    if beyond is not None:
        outside = np.arange(size) * step >= length - 0.5
        moved[tuple(outside if a == axis else slice(None) for a in range(3))] = beyond
    return moved


def _spline_weights(length: int, step: float, size: int) -> NDArray[np.float64]:
    """(size, length) weights of the old voxels of a line in each new one."""
    place = np.arange(size) * step
    first = np.floor(place).astype(int)
    basis = np.zeros((size, length))
    for offset in range(-1, 3):
        node = first + offset
        np.add.at(basis, (np.arange(size), _mirrored(node, length)), _cubic(place - node))
    coefficients = np.asarray(ndimage.spline_filter1d(np.eye(length), 3, axis=0, mode="mirror"), float)
    return np.asarray(basis @ coefficients)


def _cubic(distance: NDArray[np.float64]) -> NDArray[np.float64]:
    """The cubic B-spline."""
    away = np.abs(distance)
    near = 2 / 3 - away**2 + away**3 / 2
    return np.asarray(np.where(away < 1, near, np.clip(2 - away, 0, None) ** 3 / 6))


def _mirrored(index: NDArray[np.intp], length: int) -> NDArray[np.intp]:
    period = max(2 * (length - 1), 1)
    folded = np.abs(index) % period
    return np.minimum(folded, period - folded) if length > 1 else np.zeros_like(index)


def nearest(mask: NDArray[Any], steps: NDArray[np.float64], sizes: Sequence[int]) -> NDArray[Any]:
    """A mask on the grid of `spline`, by the nearest voxel."""
    for axis, (step, size) in enumerate(zip(steps, sizes, strict=True)):
        index = np.floor(np.arange(size) * step + 0.5).astype(int)
        mask = mask.take(np.minimum(index, mask.shape[axis] - 1), axis)
    return mask


def cropped(array: NDArray[Any], axis: int) -> NDArray[Any]:
    """The centre of an (R, P, I) array, a whole number of tokens along each axis, as (slices, rows, columns)."""
    multiples = np.where(np.arange(3) == axis, PATCH[0], PATCH[1])
    kept = [size // multiple * multiple for size, multiple in zip(array.shape, multiples, strict=True)]
    starts = [(size - keep) // 2 for size, keep in zip(array.shape, kept, strict=True)]
    centre = array[tuple(slice(s, s + k) for s, k in zip(starts, kept, strict=True))]
    return centre.transpose(_TO_SLICES_FIRST[axis])
