"""Maps of stain concentration, and the noise that painters share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from cryostat.cells.synthetic.frame import Floats, Frame
from cryostat.cells.synthetic.noise import Texture, smooth_noise
from cryostat.cells.synthetic.shapes import Raster

GRAIN = 0.55
"""µm between the knots of chromatin and granules."""

CLUMP = 1.3
"""µm between the knots of coarser chromatin and of mottled cytoplasm."""

StainMix = tuple[Floats | float, Floats | float, Floats | float]
"""Haematoxylin, eosin and red (granules, red cells)."""


class Canvas:
    """Stain concentrations.

    Args:
        frame: The field.

    Attributes:
        layers: Haematoxylin, eosin and red, each (size, size).
    """

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.layers = [np.zeros(frame.shape, np.float32) for _ in range(3)]

    def cover(self, rows: slice, opacity: Floats, stain: StainMix) -> None:
        """Replace what is there in some rows by `stain`, to the degree of `opacity` (rows, size)."""
        for layer, value in zip(self.layers, stain, strict=True):
            change = np.asarray(value, np.float32) - layer[rows]
            change *= opacity
            layer[rows] += change

    def cover_spots(self, spots: Raster, opacity: Floats, stain: StainMix) -> None:
        """Replace what is there by `stain` in a list of pixels; where several meet, the most opaque wins."""
        top = np.zeros(self.frame.size**2, np.float32)
        np.maximum.at(top, spots.pixel, opacity)
        wins = np.flatnonzero((opacity == top[spots.pixel]) & (opacity > 0))
        pixel, share = spots.pixel[wins], opacity[wins]
        for layer, value in zip(self.layers, stain, strict=True):
            flat = layer.reshape(-1)
            flat[pixel] += share * (np.broadcast_to(np.asarray(value, np.float32), opacity.shape)[wins] - flat[pixel])


@dataclass(frozen=True)
class Textures:
    """Noise that several painters share.

    Attributes:
        tile: Looked up at warped places.
        grain: (size²,) fine noise of the frame: chromatin, granules.
        clumps: (size²,) noise of twice the scale.
    """

    tile: Texture
    grain: Floats
    clumps: Floats

    @staticmethod
    def make(rng: np.random.Generator, frame: Frame) -> Textures:
        """Fresh noise for a field."""
        grain, clumps = (smooth_noise(rng, frame, max(scale, 0.9 * frame.mpp)).ravel() for scale in (GRAIN, CLUMP))
        return Textures(Texture(rng), grain, clumps)
