"""Which voxels are tissue: said by a mask, or read off the volume before anything is interpolated."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import threshold_otsu

SURROUND = 0.9
"""Part of the outermost voxels that must share one value for it to be the background."""


def foreground(data: NDArray[Any], brain: NDArray[Any] | None = None) -> tuple[NDArray[np.bool_], str]:
    """The tissue in a volume, and the rule by which it was found.

    The rules, in this order: the brain mask, if there is one; all that is not connected to a constant surround, as
    skull-stripping leaves it; all that is brighter than Otsu's threshold, in the largest piece, or enclosed by it in
    any of the three planes, as ventricles are by the scalp. None depends on how the voxels are stored or scaled.

    Args:
        data: (X, Y, Z) voxels, NaN where nothing was measured.
        brain: True inside the brain.

    Returns:
        (X, Y, Z) mask, and `brain mask`, `constant surround` or `otsu`.
    """
    if brain is not None:
        return brain != 0, "brain mask"
    measured = filled(data)
    value = _surround(measured)
    if value is not None:
        return ~_open_to_border(measured == value), "constant surround"
    clipped = np.minimum(measured, np.percentile(measured, 99.5))
    dark = ~_largest(clipped > threshold_otsu(clipped.ravel()))
    open_in_all = np.logical_and.reduce([_open_to_border(dark, across) for across in range(3)])
    return ~np.asarray(open_in_all), "otsu"


def filled(data: NDArray[Any]) -> NDArray[Any]:
    """A volume whose unmeasured (NaN) voxels have its smallest value."""
    if data.dtype.kind != "f" or not (unmeasured := np.isnan(data)).any():
        return data
    return np.where(unmeasured, np.nanmin(data), data)


def _surround(data: NDArray[Any]) -> Any:
    """The value that nearly all outermost voxels share, or None."""
    faces = [np.take(data, end, axis).ravel() for axis in range(3) for end in (0, -1)]
    values, counts = np.unique(np.concatenate(faces), return_counts=True)
    return values[counts.argmax()] if counts.max() >= SURROUND * counts.sum() else None


def _largest(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece of a mask: specks of noise are no tissue."""
    parts, _ = ndimage.label(mask)
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    return np.asarray(parts == sizes.argmax())


def _open_to_border(dark: NDArray[np.bool_], across: int | None = None) -> NDArray[np.bool_]:
    """The parts of a mask that reach the border of the volume, or of its slices across one axis."""
    neighbours = ndimage.generate_binary_structure(3, 1)
    if across is not None:
        neighbours = neighbours & np.expand_dims(np.arange(3) == 1, [a for a in range(3) if a != across])
    parts, _ = ndimage.label(dark, neighbours)
    faces = [np.take(parts, end, axis).ravel() for axis in range(3) if axis != across for end in (0, -1)]
    reached = np.zeros(int(parts.max()) + 1, bool)
    reached[np.unique(np.concatenate(faces))] = True
    reached[0] = False
    return np.asarray(reached[parts])
