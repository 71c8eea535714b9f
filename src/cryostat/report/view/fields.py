"""Fields of an imported dataset: their pixels, and their nuclei as a layer that lies over them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor
from scipy import ndimage

from cryostat.cells.dataset import CellDataset
from cryostat.cells.drawing import class_colors, for_display
from cryostat.cells.field import nucleus_index

FINER = 4
"""The layer of nuclei is so many times as fine as the field, so that lines stay thin when one zooms in."""

WIDTH = 2
"""Of an outline, px of a tile."""

FILL = 0.35
"""Opacity of the inside of a nucleus where it is filled."""

LEAST = 4
"""Pixels that are kept along each side of what one pixel of a reduced tile shows."""


class FieldSource:
    """The pixels of a field of view."""

    def __init__(self, dataset: CellDataset, fov: str) -> None:
        self._pixels = dataset.image(fov)

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return int(self._pixels.shape[1]), int(self._pixels.shape[0])

    @cached_property
    def _stretch(self) -> tuple[float, NDArray[np.float32]]:
        """Black, and white of each channel, of a field of 16 bits, as in all pictures of it."""
        step = max(1, max(self.size) // 2048)
        sample = np.asarray(self._pixels[::step, ::step], np.float32)
        black = float(np.percentile(sample, 0.1))
        white = np.maximum(np.percentile(sample, 99.5, axis=(0, 1)), black + 1).astype(np.float32)
        return black, white

    def window(self, box: tuple[int, int, int, int], shape: tuple[int, int]) -> Image.Image:
        """RGB of a window; strongly reduced, from some of its pixels."""
        left, top, right, bottom = box
        step = max(1, (right - left) // (shape[0] * LEAST))
        pixels = self._pixels[top:bottom:step, left:right:step]
        if pixels.dtype != np.uint8:
            black, white = self._stretch
            stretched = (np.asarray(pixels, np.float32) - black) / (white - black) * 255
            pixels = np.clip(stretched, 0, 255).astype(np.uint8)
        picture = Image.fromarray(np.ascontiguousarray(for_display(pixels)))
        return picture if picture.size == shape else picture.resize(shape, Image.Resampling.BOX)


class NucleiSource:
    """The nuclei of a field in the colours of their classes, RGBA, several times as fine as the field.

    Args:
        dataset: The dataset.
        fov: The field.
        filled: Paint their inside too.
    """

    def __init__(self, dataset: CellDataset, fov: str, *, filled: bool = False) -> None:
        self._instances = dataset.instances(fov)
        cells = dataset.cells_of(fov)
        self._ids = cells["cell_id"].to_numpy(np.int64)
        self._colours = _palette(cells["class_id"].to_numpy(np.int64), class_colors(dataset))
        self._filled = filled

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px of the layer."""
        return int(self._instances.shape[1]) * FINER, int(self._instances.shape[0]) * FINER

    def window(self, box: tuple[int, int, int, int], shape: tuple[int, int]) -> Image.Image:
        """RGBA of a window: outlines just inside the nuclei, thinner where much is reduced."""
        labels = self._labels(box, shape, WIDTH)
        inner = (slice(WIDTH, WIDTH + shape[1]), slice(WIDTH, WIDTH + shape[0]))
        reach = 2 * WIDTH + 1 if (box[2] - box[0]) / shape[0] <= FINER * 2 else 3
        edge = ndimage.minimum_filter(labels, reach) != ndimage.maximum_filter(labels, reach)
        own = labels[inner]
        painted = self._colours[own]
        painted[..., 3] = np.where(own == 0, 0, np.where(edge[inner], 255, 255 * FILL if self._filled else 0))
        return Image.fromarray(painted, "RGBA")

    def _labels(self, box: tuple[int, int, int, int], shape: tuple[int, int], margin: int) -> NDArray[np.int32]:
        """Place of the nucleus plus 1 at each pixel of a tile and a margin around it; beyond the field 0."""
        places = []
        for low, high, count, full in ((box[1], box[3], shape[1], 1), (box[0], box[2], shape[0], 0)):
            at = np.arange(-margin, count + margin) + 0.5
            inside = np.floor((low + at * (high - low) / count) / FINER).astype(np.int64)
            places.append(np.clip(inside, 0, self.size[full] // FINER - 1))
        found: NDArray[Any] = np.asarray(self._instances[places[0][:, None], places[1][None, :]])
        return nucleus_index(found, self._ids)


def _palette(classes: NDArray[np.int64], colours: Mapping[int, str]) -> NDArray[np.uint8]:
    """(n + 1, 4) colour of each nucleus, and of none."""
    known = [ImageColor.getrgb(colours.get(int(c), colours[0]))[:3] for c in classes]
    return np.array([(0, 0, 0, 0), *((*rgb, 255) for rgb in known)], np.uint8)
