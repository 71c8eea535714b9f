"""Instance maps as polygons that rasterise back to the same pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import find_contours, label

from cryostat.cells.datasets.geojson import Ring, signed_area
from cryostat.cells.field import nucleus_index

MARGIN = 1
"""Pixels around a nucleus, so that every contour closes."""


def nucleus_polygons(instances: NDArray[Any], ids: NDArray[np.int64]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The outline of each nucleus as a GeoJSON geometry in px, pixel (0, 0) spanning 0 to 1.

    The outline runs midway between the centres of pixels within and without, so that exactly the nucleus' own pixels
    have their centre inside. Pieces that touch at a corner only are polygons of their own; holes are kept.

    Args:
        instances: (H, W) nucleus ids.
        ids: (n,) the ids, ascending.

    Yields:
        Nucleus id, and its Polygon or MultiPolygon; ids without a pixel are passed over.
    """
    at = nucleus_index(instances, ids)
    for number, box in enumerate(ndimage.find_objects(at, max_label=len(ids))):
        if box is not None:
            origin = (box[1].start, box[0].start)
            parts = [_rounded(part, origin) for part in mask_polygons(at[box] == number + 1)]
            yield int(ids[number]), _geometry(parts)


def mask_polygons(mask: NDArray[np.bool_]) -> list[list[Ring]]:
    """The pieces of a mask, each its outer ring (counter-clockwise as seen with y upwards) and its holes (clockwise).

    Args:
        mask: (h, w).

    Returns:
        Closed rings of x and y, px of the mask.
    """
    pieces, count = label(np.pad(mask, MARGIN), connectivity=1, return_num=True)
    return [_rings(pieces == piece) for piece in range(1, count + 1)]


def _rings(piece: NDArray[np.bool_]) -> list[Ring]:
    contours = [_corners(contour[:, ::-1] + 0.5 - MARGIN) for contour in find_contours(piece.astype(np.uint8), 0.5)]
    contours.sort(key=lambda ring: -abs(signed_area(ring)))
    turning = [1, *[-1] * (len(contours) - 1)]
    return [ring if signed_area(ring) * sign > 0 else ring[::-1] for ring, sign in zip(contours, turning, strict=True)]


def _corners(ring: Ring) -> Ring:
    """A closed ring without the vertices at which it goes straight on."""
    points = ring[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    turns = before[:, 0] * after[:, 1] != before[:, 1] * after[:, 0]
    kept = points[turns]
    return np.concatenate([kept, kept[:1]])


def _rounded(rings: list[Ring], origin: tuple[int, int]) -> list[list[list[float]]]:
    return [(ring + np.array(origin)).round(2).tolist() for ring in rings]


def _geometry(parts: list[list[list[list[float]]]]) -> dict[str, Any]:
    if len(parts) == 1:
        return {"type": "Polygon", "coordinates": parts[0]}
    return {"type": "MultiPolygon", "coordinates": parts}
