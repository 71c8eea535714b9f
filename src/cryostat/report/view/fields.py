"""The pixels of fields of an imported dataset."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cryostat.cells.dataset import CellDataset
from cryostat.cells.drawing import for_display

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
