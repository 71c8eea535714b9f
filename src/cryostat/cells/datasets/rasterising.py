"""Polygons to an instance map."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from skimage.draw import polygon

from cryostat.cells.datasets.geojson import Outline, Ring, signed_area


@dataclass(frozen=True)
class Raster:
    """Polygons drawn on a pixel grid.

    Attributes:
        instances: (H, W) int32, 0 background, else the outline's number in its file.
        class_names: Number to class name, of the outlines that own at least one pixel.
        faults: Reason to the numbers of the outlines that could not be drawn or own no pixel.
    """

    instances: NDArray[np.int32]
    class_names: dict[int, str]
    faults: dict[str, list[int]]


def rasterise(outlines: Sequence[Outline], height: int, width: int) -> Raster:
    """Draw outlines on an image's grid, larger ones first, so that smaller ones lie on top; of equals the later one.

    A pixel belongs to a polygon when its centre does; pixel (row 0, column 0) has its centre at x = y = 0.5, as in
    QuPath. Holes are cut out. What reaches beyond the image is cut off.
    """
    instances = np.zeros((height, width), np.int32)
    faults: dict[str, list[int]] = {}
    drawn = {}
    for outline in sorted(outlines, key=area, reverse=True):
        fault = outline.fault or draw(outline, instances)
        if fault:
            faults.setdefault(fault, []).append(outline.number)
        else:
            drawn[outline.number] = outline.class_name
    seen = set(np.unique(instances).tolist())
    if hidden := [number for number in drawn if number not in seen]:
        faults["wholly under others"] = hidden
    names = {number: name for number, name in sorted(drawn.items()) if number in seen}
    return Raster(instances, names, {reason: sorted(numbers) for reason, numbers in faults.items()})


def area(outline: Outline) -> float:
    """Area of an outline in px², holes taken off."""
    return sum(abs(signed_area(part[0])) - sum(abs(signed_area(hole)) for hole in part[1:]) for part in outline.parts)


def draw(outline: Outline, instances: NDArray[np.int32]) -> str:
    """Draw one outline with its number; what is wrong when that sets no pixel, else an empty text."""
    height, width = instances.shape
    vertices = np.concatenate([part[0] for part in outline.parts])
    (left, top), (right, bottom) = np.floor(vertices.min(0)), np.ceil(vertices.max(0))
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        return "outside the image"
    x0, y0 = int(max(left, 0)), int(max(top, 0))
    shape = (int(min(bottom, height)) - y0, int(min(right, width)) - x0)
    mask = np.zeros(shape, bool)
    for part in outline.parts:
        mask |= _fill(part, x0, y0, shape)
    instances[y0 : y0 + shape[0], x0 : x0 + shape[1]][mask] = outline.number
    return "" if mask.any() else "without a pixel's centre"


def _fill(rings: Sequence[Ring], x0: int, y0: int, shape: tuple[int, int]) -> NDArray[np.bool_]:
    mask = np.zeros(shape, bool)
    for ring, value in zip(rings, [True] + [False] * len(rings), strict=False):
        # skimage puts pixel centres on whole numbers.
        mask[polygon(ring[:, 1] - y0 - 0.5, ring[:, 0] - x0 - 0.5, shape)] = value
    return mask


def describe(faults: dict[str, list[int]]) -> str:
    """`2 without area (first: feature 7), 1 outside the image (feature 3)`, the commonest first."""
    counts = Counter({reason: len(numbers) for reason, numbers in faults.items()})
    return ", ".join(f"{n} {reason} (first: feature {faults[reason][0]})" for reason, n in counts.most_common())
