"""Nuclei find room: who comes first stays, who would lie on top of it leaves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryostat.cells.synthetic.frame import Floats
from cryostat.cells.synthetic.shapes import Shapes

DISCS = (-1.0, -0.5, 0.0, 0.5, 1.0)
"""An elongated blob is stood in for by discs at these shares of its core line."""


def without_overlaps(shapes: Shapes, room: Floats, tolerance: float = 0.92) -> NDArray[np.bool_]:
    """Keep blobs in their order, each unless it overlaps one that was kept.

    Args:
        shapes: Blobs, first come, first served.
        room: (n,) free space that each wants around itself, µm.
        tolerance: Discs may close in to this share of the sum of their radii.

    Returns:
        (n,) mask of the blobs to keep.
    """
    keep = np.ones(len(shapes), np.bool_)
    if len(shapes) < 2:
        return keep
    for first, second in _conflicts(shapes, room, tolerance).tolist():
        if keep[first]:
            keep[second] = False
    return keep


def _conflicts(shapes: Shapes, room: Floats, tolerance: float) -> NDArray[np.int64]:
    """(m, 2) pairs of blobs that overlap, the earlier first, in order."""
    centres, radii, owners = _discs(shapes, room)
    pairs = cKDTree(centres).query_pairs(2 * tolerance * float(radii.max()), output_type="ndarray")
    i, j = pairs[:, 0], pairs[:, 1]
    gap = np.hypot(*(centres[i] - centres[j]).T) - tolerance * (radii[i] + radii[j])
    clash = (gap < 0) & (owners[i] != owners[j])
    blobs = np.sort(np.stack([owners[i][clash], owners[j][clash]], 1), 1)
    code = np.unique(blobs[:, 0] * len(shapes) + blobs[:, 1])
    return np.stack([code // len(shapes), code % len(shapes)], 1)


def _discs(shapes: Shapes, room: Floats) -> tuple[Floats, Floats, NDArray[np.int64]]:
    core = np.maximum(shapes.a + shapes.lobe - shapes.b, 0)
    u = core[:, None] * np.array(DISCS, np.float32)
    v = shapes.bend[:, None] * u * u
    sin, cos = np.sin(shapes.angle)[:, None], np.cos(shapes.angle)[:, None]
    centres = np.stack([shapes.y[:, None] + u * sin + v * cos, shapes.x[:, None] + u * cos - v * sin], -1)
    useful = (core > 0.3 * shapes.b)[:, None] | (np.array(DISCS) == 0)
    owners = np.broadcast_to(np.arange(len(shapes))[:, None], u.shape)
    radii = np.broadcast_to((shapes.b + room)[:, None], u.shape)
    return centres[useful], radii[useful], owners[useful]
