"""How dark the haematoxylin is, and whether the nuclei of a mask lie on it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import hed_from_rgb

from cryostat.cells.field import nucleus_ids, nucleus_index

RING = 5
"""Width in px of the surroundings that a nucleus is compared with."""


def haematoxylin(image: NDArray[Any]) -> NDArray[np.float32]:
    """Haematoxylin of each pixel by the colour deconvolution of Ruifrok and Johnston, in optical density.

    16-bit images are raw camera data without a white balance: their white is each channel's 99.5th percentile.

    Args:
        image: (H, W, 3) uint8 or uint16.

    Returns:
        (H, W); 0 or less where there is no haematoxylin.
    """
    levels = np.arange(np.iinfo(image.dtype).max + 1, dtype=np.float64)
    found = np.zeros(image.shape[:2], np.float32)
    for channel in range(3):
        plane = image[..., channel]
        white = 255.0 if image.dtype == np.uint8 else max(float(np.percentile(plane[::4, ::4], 99.5)), 1.0)
        density = -np.log10(np.clip((levels + 1) / (white + 1), 1e-6, 1.0))
        found += (density * hed_from_rgb[channel, 0]).astype(np.float32)[plane]
    return found


def contrast(stain: NDArray[np.float32], instances: NDArray[Any]) -> NDArray[np.float64]:
    """How much darker each nucleus is than the background within `RING` px of it (shared ground goes to the higher id).

    Args:
        stain: (H, W) haematoxylin.
        instances: (H, W) nucleus ids.

    Returns:
        (n,) mean inside less mean around, ids ascending; nuclei without background around them are left out.
    """
    labels = nucleus_index(instances, nucleus_ids(instances))
    around = np.where(labels == 0, ndimage.maximum_filter(labels, 2 * RING + 1), 0)
    inside_mean, _ = _means(stain, labels)
    around_mean, around_size = _means(stain, around, len(inside_mean))
    difference: NDArray[np.float64] = (inside_mean - around_mean)[1:][around_size[1:] > 0]
    return difference


def _means(values: NDArray[np.float32], labels: NDArray[Any], count: int = 0) -> tuple[NDArray[Any], NDArray[Any]]:
    size = np.bincount(labels.ravel(), minlength=count)
    return np.bincount(labels.ravel(), values.ravel(), count) / np.maximum(size, 1), size


def evidence(given: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """By how many standard errors the contrast of one placement of the nuclei exceeds that of another (Welch's t)."""
    if min(len(given), len(other)) < 2:
        return 0.0
    error = np.sqrt(given.var(ddof=1) / len(given) + other.var(ddof=1) / len(other))
    return float((given.mean() - other.mean()) / error) if error > 0 else 0.0
