"""The window on the tissue: all geometry is in µm, only drawing knows of pixels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import SettingError

Floats = NDArray[np.floating[Any]]
"""float32 wherever there is one for each pixel; draws for a few hundred cells may be float64."""

MARGIN = 16.0
"""µm around the frame in which cells are placed too, so that nuclei are cut by the edge as in a real field."""

BAND = 64
"""Rows worked on at a time: a band of a field fits the processor's cache, the whole field does not."""


@dataclass(frozen=True)
class Frame:
    """A square field of view.

    Args:
        size: Side in pixels.
        mpp: µm per pixel.

    Raises:
        SettingError: The field would be no field of view of tissue.
    """

    size: int
    mpp: float

    def __post_init__(self) -> None:
        if not 0.1 <= self.mpp <= 2:
            raise SettingError(
                f"{self.mpp} µm per pixel shows no nuclei that can be told apart", remedy="Choose mpp from 0.1 to 2"
            )
        if not (32 <= self.size <= 8192 and self.extent >= 16):
            raise SettingError(
                f"a field of {self.size} px at {self.mpp} µm per pixel cannot be made",
                remedy="Choose a size from 32 to 8192 px that covers at least 16 µm",
            )

    @property
    def extent(self) -> float:
        """Side in µm."""
        return self.size * self.mpp

    @property
    def shape(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.size, self.size

    def centres(self) -> Floats:
        """(size,) positions of the pixel centres along an axis, µm."""
        return ((np.arange(self.size) + 0.5) * self.mpp).astype(np.float32)


def scatter(rng: np.random.Generator, frame: Frame, density: float) -> tuple[Floats, Floats]:
    """Points scattered over the frame and half its margin.

    Args:
        rng: Random stream of the layout.
        frame: The field.
        density: Points in 1000 µm² on average.

    Returns:
        (n,) y and (n,) x, µm.
    """
    side = frame.extent + MARGIN
    points = rng.uniform(-MARGIN / 2, frame.extent + MARGIN / 2, (2, rng.poisson(density * side**2 / 1000)))
    return points[0].astype(np.float32), points[1].astype(np.float32)


def bands(rows: int) -> Iterator[slice]:
    """Slices of at most `BAND` rows that cover `rows`."""
    return (slice(start, min(start + BAND, rows)) for start in range(0, rows, BAND))
