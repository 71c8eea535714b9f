"""Some fields of a dataset as tiles whose pixels are worse than they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cells.dataset import CellDataset
from cryostat.cells.ladders.perturbations import Field, Perturbation
from cryostat.cells.tiling import CellTiles
from cryostat.core.identity import digest


class SomeFields(CellDataset):
    """A dataset of which only some fields are seen; nothing is copied.

    Args:
        dataset: The whole.
        fov_ids: The fields; they stand in the dataset's own order.
    """

    def __init__(self, dataset: CellDataset, fov_ids: Sequence[str]) -> None:
        super().__init__(dataset.folder)
        self._chosen = frozenset(fov_ids)

    @cached_property
    def fovs(self) -> pd.DataFrame:
        """One row a field that is seen."""
        every = super().fovs
        return every[every.index.astype(str).isin(self._chosen)]


class PerturbedTiles(CellTiles):
    """Tiles of some fields at a step of a ladder; a `features.TileSource`.

    Fields are brought to the protocol's scale, changed, and then cut, so that tiles agree where they overlap. Labels
    and nuclei are those of the untouched fields.

    Args:
        whole: The untouched tiles of all fields.
        fov_ids: The fields.
        perturbation: What is done to them.
        step: How strongly, 1 or more.
    """

    def __init__(self, whole: CellTiles, fov_ids: Sequence[str], perturbation: Perturbation, step: int) -> None:
        self.whole, self.perturbation, self.step = whole, perturbation, step
        self.amount = perturbation.amounts[step - 1]
        super().__init__(SomeFields(whole.dataset, fov_ids), whole.protocol, whole.tile_size)

    def identity(self) -> Mapping[str, Any]:
        """That of the untouched tiles, the fields, and what was done to them."""
        fields = digest(list(map(str, self.dataset.fovs.index)))
        return {**super().identity(), "fields": fields, "perturbation": self.perturbation.facts(self.step)}

    def sample_images(self) -> Iterator[NDArray[np.float32]]:
        """Those of the untouched dataset: an encoder that adapts to pixels must stay the one of the run."""
        return self.whole.sample_images()

    def numbers_in_whole(self, tiles: NDArray[np.int64]) -> NDArray[np.int64]:
        """The numbers that tiles bear among all tiles of the dataset; −1, for no tile, stays."""
        if not (tiles >= 0).any():
            return tiles
        numbers = np.concatenate([self.whole.tiles_of(str(fov)) for fov in self.dataset.fovs.index])
        return np.where(tiles < 0, tiles, numbers[tiles])

    def _scale(self, fov_id: str) -> float:
        return super()._scale(fov_id) * self.perturbation.magnification(self.amount)

    def _read_field(self, fov_id: str) -> NDArray[np.float32]:
        field = super()._read_field(fov_id)
        seen = Field(fov_id, self.protocol.tiling.mpp or self.dataset.mpp(fov_id))
        if self.protocol.images.scaling != "tile-maximum":
            return self.perturbation.of(field, self.amount, seen)
        # Not scaled yet: that comes with the tile.
        most = np.float32(np.iinfo(self.dataset.image(fov_id).dtype).max)
        return self.perturbation.of(field / most, self.amount, seen) * most
