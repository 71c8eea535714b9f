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
    skull-stripping leaves it; all that is not connected to the dark surround below Otsu's threshold. Cavities inside
    the tissue belong to it. None depends on how the voxels are stored or scaled.

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
    bright = np.minimum(measured, np.percentile(measured, 99.5))
    return ~_open_to_border(bright <= threshold_otsu(bright)), "otsu"


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


def _open_to_border(dark: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The parts of a mask that reach the border of the volume."""
    parts, _ = ndimage.label(dark)
    faces = [np.take(parts, end, axis).ravel() for axis in range(3) for end in (0, -1)]
    reached = np.zeros(int(parts.max()) + 1, bool)
    reached[np.unique(np.concatenate(faces))] = True
    reached[0] = False
    return np.asarray(reached[parts])
