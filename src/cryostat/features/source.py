"""What extraction needs to know of the images, whatever benchmark they come from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray


class TileSource(Protocol):
    """Tiles of one size, in a fixed order, each readable on its own."""

    tile_size: int
    """Side of every tile in px."""

    def identity(self) -> Mapping[str, Any]:
        """All that determines the pixels: dataset identity, tiling, scaling, view."""
        ...

    def index(self) -> pd.DataFrame:
        """One row a tile, in order: `tile` (0 … n−1), `fov_id`, and whatever locates it; stored beside the features."""
        ...

    def load(self, tiles: Sequence[int]) -> NDArray[np.float32]:
        """(n, S, S, 3) float32 in 0 … 1.

        Raises:
            InputError: A tile cannot be read; the message names the file.
        """
        ...

    def sample_images(self) -> Iterable[NDArray[np.float32]]:
        """A fixed sample of unlabelled (H, W, 3) images in 0 … 1, for encoders that adapt to the dataset's pixels."""
        ...
