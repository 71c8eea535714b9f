"""Size and form of a region, in millimetres."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import marching_cubes, mesh_surface_area

SHAPE = (
    "volume [mL]",
    "surface [cm²]",
    "sphericity",
    "surface to volume [1/mm]",
    "longest axis [mm]",
    "middle axis [mm]",
    "shortest axis [mm]",
    "elongation",
    "flatness",
    "parts",
    "share of the largest part",
)
"""Names of what `shape` gives, with their units."""

SMOOTHING = 0.6
"""Width of the Gaussian on distances to the border, in the smallest spacing: it takes the stairs off the surface."""


def shape(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """SHAPE of a region of at least one voxel.

    Args:
        mask: (X, Y, Z) true inside.
        spacing: (3,) mm between voxels.
    """
    cut = mask[ndimage.find_objects(mask.astype(np.uint8))[0]]
    volume = float(cut.sum()) * float(np.prod(spacing))
    area = surface(cut, spacing)
    long, middle, short = axes(cut, spacing)
    parts, count = ndimage.label(cut, np.ones((3, 3, 3)))
    largest = np.bincount(parts.ravel())[1:].max() / cut.sum()
    sphericity = np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / area
    return np.array(
        [
            volume / 1000,
            area / 100,
            sphericity,
            area / volume,
            long,
            middle,
            short,
            middle / long,
            short / long,
            count,
            largest,
        ]
    )


def surface(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> float:
    """Area of a region's surface in mm², of a mesh through its border smoothed by half a voxel."""
    padded = np.pad(mask, 3)
    inside = ndimage.distance_transform_edt(padded, sampling=spacing)
    outside = ndimage.distance_transform_edt(~padded, sampling=spacing)
    signed = np.asarray(inside - outside, float)
    smooth = ndimage.gaussian_filter(signed, SMOOTHING * spacing.min() / spacing)
    # Smoothing swallows regions of few voxels; their stairs are all there is to measure.
    field = smooth if smooth.max() > 0 else signed
    vertices, faces, _, _ = marching_cubes(field, 0.0, spacing=tuple(spacing))
    return float(mesh_surface_area(vertices, faces))


def axes(mask: NDArray[np.bool_], spacing: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3,) lengths in mm, longest first, of the axes of the solid ellipsoid with the region's second moments."""
    points = np.argwhere(mask) * spacing
    # A voxel is a box, not a point: it spreads by a twelfth of its squared side.
    moments = np.cov(points.T, bias=True) if len(points) > 1 else np.zeros((3, 3))
    spread = np.linalg.eigvalsh(moments + np.diag(spacing**2) / 12)
    return np.asarray(2 * np.sqrt(5 * spread[::-1]))
