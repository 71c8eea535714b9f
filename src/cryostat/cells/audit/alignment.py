"""Whether the nuclei of a mask lie on dark spots of the image, or would if the mask were turned or moved."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Plane = NDArray[np.float32]

TURNS: Mapping[str, Callable[[Plane], Plane]] = {
    "flipped top to bottom": lambda m: m[::-1],
    "mirrored left to right": lambda m: m[:, ::-1],
    "turned by 180°": lambda m: m[::-1, ::-1],
    "transposed": lambda m: m.T,
    "turned by 90° clockwise": lambda m: m.T[:, ::-1],
    "turned by 90° anticlockwise": lambda m: m.T[::-1],
    "transposed and turned by 180°": lambda m: m.T[::-1, ::-1],
}
"""Ways in which a mask may lie wrong; those with a transposition concern square fields only."""

BACKGROUND = 10.0
"""Width in µm of the blur that is taken away, so that pigment, ink and glass do not decide."""
GAIN = 0.10
"""By how much a correlation must exceed that of the mask as given before the mask counts as wrong."""
NUCLEUS = 30
"""Thumbnail pixels of a typical nucleus: what chance correlations average over."""
REACH = 24
"""Largest shift that is looked for, thumbnail pixels (µm)."""
NOTICEABLE = 3.0
"""Smallest shift that is reported, µm: about half a nucleus."""


@dataclass(frozen=True)
class Fit:
    """How a mask lies on its image.

    Attributes:
        given: Correlation of absorbance and nuclear cover, both without their local background.
        turns: The same with the mask turned, for each way that fits the field's shape.
        shift: Rows and columns by which the mask had best be moved, thumbnail pixels.
        shifted: The correlation after that move.
        chance: Standard deviation of the correlation of a mask that has nothing to do with the image.
    """

    given: float
    turns: Mapping[str, float]
    shift: tuple[int, int]
    shifted: float
    chance: float

    @property
    def better_turn(self) -> str | None:
        """The way of turning the mask that clearly fits better, if one does."""
        best = max(self.turns, key=self.turns.__getitem__)
        return best if self.turns[best] > max(2 * self.given, self.given + self._margin) else None

    @property
    def better_shift(self) -> tuple[int, int] | None:
        """The move of the mask that clearly fits better, if one does."""
        far = float(np.hypot(*self.shift)) >= NOTICEABLE
        return self.shift if far and self.shifted > self.given + self._margin else None

    @property
    def unrelated(self) -> bool:
        """Whether the mask fits no better than chance, in a field where a true one would show."""
        return self.chance < 0.03 and self.given < 2 * self.chance

    @property
    def _margin(self) -> float:
        return GAIN + 4 * self.chance


def fit(absorbance: Plane, coverage: Plane) -> Fit | None:
    """How a mask lies on its image; None when there are no nuclei or nothing to see.

    Args:
        absorbance: (h, w), see `thumbnails.absorbance`.
        coverage: (h, w), see `thumbnails.coverage`.
    """
    dark, nuclei = _without_background(absorbance), _without_background(coverage)
    if dark is None or nuclei is None:
        return None
    square = dark.shape[0] == dark.shape[1]
    turns = {
        name: _mean(dark * turn(nuclei)) for name, turn in TURNS.items() if square or turn(nuclei).shape == dark.shape
    }
    shift, shifted = _best_shift(dark, nuclei)
    return Fit(_mean(dark * nuclei), turns, shift, shifted, float(np.sqrt(NUCLEUS / dark.size)))


def _without_background(plane: Plane) -> Plane | None:
    sharp = plane - ndimage.gaussian_filter(plane, BACKGROUND)
    sharp -= sharp.mean()
    spread = float(sharp.std())
    return None if spread < 1e-4 else sharp / np.float32(spread)


def _mean(plane: Plane) -> float:
    return float(plane.mean())


def _best_shift(dark: Plane, nuclei: Plane) -> tuple[tuple[int, int], float]:
    spectrum = np.fft.rfft2(dark) * np.conj(np.fft.rfft2(nuclei))
    correlation = np.fft.irfft2(spectrum, s=dark.shape) / dark.size
    reach = min(REACH, (min(dark.shape) - 1) // 2)
    window = np.roll(correlation, (reach, reach), (0, 1))[: 2 * reach + 1, : 2 * reach + 1]
    row, column = np.unravel_index(int(window.argmax()), window.shape)
    return (int(row) - reach, int(column) - reach), float(window.max())
