"""What a run works on: dataset, protocol, tiles and features, shared by all runs that can share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.heads import HEADS
from cryostat.cells.pooling import PooledCells
from cryostat.cells.protocols import Protocol, load_protocol
from cryostat.cells.runs.pooled import pooled_cells
from cryostat.cells.splits import straddling
from cryostat.cells.tiling import CellTiles, tiles_for
from cryostat.cells.training.common import Outputs
from cryostat.core.errors import InputError, SettingError
from cryostat.core.home import Home
from cryostat.encoders.tile.base import TileEncoder
from cryostat.features.extraction import extract
from cryostat.features.store import FeatureStore


@dataclass(frozen=True)
class Features:
    """A dataset encoded under a protocol.

    Attributes:
        dataset: The dataset.
        protocol: The rules, at the scale asked for.
        tiles: Its tiles as the encoder saw them.
        encoder: The encoder.
        stores: Layer to complete feature store.
    """

    dataset: CellDataset
    protocol: Protocol
    tiles: CellTiles
    encoder: TileEncoder
    stores: Mapping[str, FeatureStore]

    @cached_property
    def failures(self) -> Mapping[str, str]:
        """Fields of view of which a tile could not be encoded, with the reason; no run uses them."""
        index = self.tiles.index()["fov_id"]
        bad = {str(index.iloc[tile]) for store in self.stores.values() for tile in store.failed}
        return dict.fromkeys(sorted(bad), "a tile of it could not be encoded; the feature store's failures say why")

    def usable(self, split: Split) -> Split:
        """The split without the fields that could not be encoded.

        Raises:
            SettingError: A patient plays two parts, and the protocol does not allow it.
            InputError: A part has no field left.
        """
        self._require_disjoint(split)
        parts = {fov: part for fov, part in split.parts.items() if fov not in self.failures}
        for part in ("train", "valid", "test"):
            if part not in parts.values():
                raise InputError(
                    f"no field of the part {part!r} of split {split.name!r} could be encoded",
                    where=self.dataset.name,
                    remedy="See the reasons with: cryostat features show",
                )
        return Split(split.name, parts)

    def _require_disjoint(self, split: Split) -> None:
        torn = straddling(split, self.dataset.fovs) if self.protocol.splits.patient_disjoint else []
        if len(torn):
            raise SettingError(
                f"split {split.name!r} has patients in two parts ({len(torn)}), which protocol"
                f" {self.protocol.name!r} does not allow",
                where=self.dataset.name,
                remedy="Choose a patient-disjoint split, or the published rules with --protocol paper",
            )

    def tiles_in(self, fovs: Sequence[str]) -> list[int]:
        """Numbers of the tiles of some fields, ascending."""
        return sorted(int(tile) for fov in fovs for tile in self.tiles.tiles_of(fov))

    def pooled(self, ring_um: float) -> PooledCells:
        """All nuclei with their pooled features of the final layer."""
        patch = self.encoder.card.patch_size
        return pooled_cells(self.tiles, self.stores["final"], patch=patch, ring_um=ring_um)

    def outputs(self, *, dense: bool) -> Outputs:
        """The outputs of a head on this dataset."""
        background = dense and self.protocol.training.background_logit
        return Outputs.of(self.dataset.classes, background=background)


def encode(
    encoder: TileEncoder,
    dataset: CellDataset,
    *,
    protocol: str = "standard",
    mpp: float | None = None,
    home: Home | None = None,
    batch_size: int = 32,
) -> Features:
    """Encode a dataset, or find its features by their identity.

    Args:
        encoder: A loaded encoder.
        dataset: An imported dataset.
        protocol: Name of the rules of cutting and scaling.
        mpp: µm per pixel in place of the protocol's; 0 keeps each field's own.
        home: Where features live; `$CRYOSTAT_HOME` or `~/.cryostat` by default.
        batch_size: Tiles a pass.
    """
    rules = load_protocol(protocol).at(mpp)
    tiles = tiles_for(dataset, rules, encoder.card)
    layers = sorted({layer for head in HEADS.values() for layer in head.layers(encoder.card)})
    stores = extract(tiles, encoder, layers, home or Home.find(), batch_size=batch_size)
    return Features(dataset, rules, tiles, encoder, stores)
