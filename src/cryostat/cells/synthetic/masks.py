"""From outlines to the instance map: each pixel to the nucleus that it lies deepest in."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from cryostat.cells.synthetic.frame import Frame
from cryostat.cells.synthetic.shapes import Raster

MIN_AREA = 5.0
"""µm²; what the edge of the field or a neighbour leaves of a nucleus counts as one from this size on."""


def instance_map(raster: Raster, nuclei: int, frame: Frame) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Label the pixels of nuclei.

    Args:
        raster: Pixels of the nuclei.
        nuclei: How many nuclei there are.
        frame: The field.

    Returns:
        (size, size) ids 1 … k, every nucleus in one piece (4-connected) of at least `MIN_AREA`; and (k,) index of the
        nucleus that has each id.
    """
    labels = _deepest(raster, frame)
    labels = _largest_pieces(labels)
    area = np.bincount(labels.ravel(), minlength=nuclei + 1)[1:]
    kept = np.flatnonzero(area * frame.mpp**2 >= MIN_AREA)
    lookup = np.zeros(nuclei + 1, np.int32)
    lookup[kept + 1] = np.arange(1, len(kept) + 1)
    return lookup[labels], kept


def _deepest(raster: Raster, frame: Frame) -> NDArray[np.int32]:
    """The map with index + 1 of the nucleus in which each pixel lies deepest."""
    inside = raster.take(raster.depth > 0)
    depth = np.zeros(frame.size**2, np.float32)
    np.maximum.at(depth, inside.pixel, inside.depth)
    wins = inside.depth == depth[inside.pixel]
    labels = np.zeros(frame.size**2, np.int32)
    labels[inside.pixel[wins]] = inside.owner[wins] + 1
    return labels.reshape(frame.shape)


def _largest_pieces(labels: NDArray[np.int32]) -> NDArray[np.int32]:
    """Clear all but the largest 4-connected piece of each nucleus."""
    pieces = label(labels, connectivity=1)
    area = np.bincount(pieces.ravel())
    area[0] = 0
    owner = np.zeros(len(area), np.int32)
    owner[pieces.ravel()] = labels.ravel()
    order = np.lexsort((-area, owner))
    first = np.ones(len(order), np.bool_)
    first[1:] = owner[order][1:] != owner[order][:-1]
    largest = np.zeros(len(area), np.bool_)
    largest[order[first]] = True
    largest[0] = False
    return np.where(largest[pieces], labels, 0)
