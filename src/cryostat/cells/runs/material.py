"""What a run works on: dataset, protocol, tiles and features, shared by all runs that can share them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from cryostat.cells.augmentation import View, views
from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.heads import head_card
from cryostat.cells.pooling import PooledCells
from cryostat.cells.protocols import Protocol, load_protocol
from cryostat.cells.runs.bank import TurnedBack, ViewedTiles
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
    """A dataset under a protocol, seen by an encoder; layers and views are encoded when they are first asked for.

    Attributes:
        dataset: The dataset.
        protocol: The rules, at the scale asked for.
        tiles: Its tiles as the encoder sees them.
        encoder: The encoder.
        home: Where features live.
        batch_size: Tiles a pass.
    """

    dataset: CellDataset
    protocol: Protocol
    tiles: CellTiles
    encoder: TileEncoder
    home: Home
    batch_size: int = 32
    _stores: dict[tuple[View, str], FeatureStore] = field(default_factory=dict, repr=False)
    _shown: set[str] = field(default_factory=set, repr=False)

    def require(self, layers: Sequence[str], count: int = 1) -> None:
        """Encode what is missing of some layers, in the first `count` views; all layers of a view in one pass."""
        for view in views(count):
            missing = [layer for layer in dict.fromkeys(layers) if (view, layer) not in self._stores]
            if missing:
                found = extract(
                    ViewedTiles(self.tiles, view), self.encoder, missing, self.home, batch_size=self.batch_size
                )
                self._stores.update({(view, layer): store for layer, store in found.items()})

    def show_pixels(self) -> None:
        """Show an encoder that adapts to pixels those of this dataset, unless it knows them: the store does as much."""
        encoder = self.encoder
        if encoder.learns_from_pixels and encoder.weights_hash() not in self._shown:
            encoder.prepare(self.tiles.sample_images())
            self._shown.add(encoder.weights_hash())

    def stores(self, layers: Sequence[str], view: View | None = None) -> Mapping[str, FeatureStore]:
        """Layer to complete feature store, in a view or as the tiles are; see `require`."""
        seen = view or View()
        if any((seen, layer) not in self._stores for layer in layers):
            self.require(layers)
        return {layer: self._stores[seen, layer] for layer in layers}

    @property
    def stored(self) -> tuple[FeatureStore, ...]:
        """All stores that were opened so far."""
        return tuple(self._stores.values())

    def turned_back(self, layer: str, count: int) -> list[TurnedBack]:
        """One layer in each of the first `count` views, lying as the labels do."""
        self.require([layer], count)
        return [TurnedBack(self._stores[view, layer], view) for view in views(count)]

    @property
    def failures(self) -> Mapping[str, str]:
        """Fields of view of which a tile could not be read or encoded, with the reason; no run uses them."""
        index = self.tiles.index()["fov_id"]
        bad = {str(index.iloc[tile]) for store in self._stores.values() for tile in store.failed}
        reason = "a tile of it could not be encoded; the feature store's failures say why"
        return dict.fromkeys(sorted(bad), reason) if self._stores else self._unreadable

    @cached_property
    def _unreadable(self) -> Mapping[str, str]:
        """Fields whose pixels cannot be read, with the reason."""
        reasons = {}
        for fov in map(str, self.dataset.fovs.index):
            try:
                self.tiles.load(self.tiles.tiles_of(fov)[:1].tolist())
            except InputError as error:
                reasons[fov] = str(error)
        return reasons

    def usable(self, split: Split) -> Split:
        """The split without the fields that could not be encoded.

        Raises:
            SettingError: A patient plays two parts, and the protocol does not allow it.
            InputError: A part has no field left.
        """
        self._require_disjoint(split)
        failures = self.failures
        parts = {fov: part for fov, part in split.parts.items() if fov not in failures}
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

    def pooled(self, ring_um: float, count: int = 1) -> list[PooledCells]:
        """All nuclei with their pooled features of the final layer, in each of the first `count` views."""
        patch = self.encoder.card.token_px
        return [
            pooled_cells(self.tiles, seen, patch=patch, ring_um=ring_um) for seen in self.turned_back("final", count)
        ]

    def outputs(self, *, dense: bool) -> Outputs:
        """The outputs of a head on this dataset."""
        background = dense and self.protocol.training.background_logit
        return Outputs.of(self.dataset.classes, background=background)

    def layers_of(self, head: str) -> tuple[str, ...]:
        """The layers that a head reads under the protocol, from early to late; one may occur several times."""
        return head_card(head).layers(self.encoder.card, self.protocol.training.layers)


def prepare(
    encoder: TileEncoder,
    dataset: CellDataset,
    *,
    protocol: str = "standard",
    mpp: float | None = None,
    home: Home | None = None,
    batch_size: int = 32,
) -> Features:
    """A dataset as an encoder will see it; nothing is encoded yet.

    Args:
        encoder: A loaded encoder.
        dataset: An imported dataset.
        protocol: Name of the rules of cutting and scaling.
        mpp: µm per pixel in place of the protocol's; 0 keeps each field's own.
        home: Where features live; `$CRYOSTAT_HOME` or `~/.cryostat` by default.
        batch_size: Tiles a pass.
    """
    rules = load_protocol(protocol).at(mpp)
    return Features(dataset, rules, tiles_for(dataset, rules, encoder.card), encoder, home or Home.find(), batch_size)


def encode(
    encoder: TileEncoder,
    dataset: CellDataset,
    *,
    protocol: str = "standard",
    mpp: float | None = None,
    heads: Sequence[str] = ("linear", "cell-probe"),
    views: int = 1,
    home: Home | None = None,
    batch_size: int = 32,
) -> Features:
    """Encode a dataset, or find its features by their identity.

    Args:
        encoder: A loaded encoder.
        dataset: An imported dataset.
        protocol: Name of the rules of cutting and scaling.
        mpp: µm per pixel in place of the protocol's; 0 keeps each field's own.
        heads: Heads that will read the features; their layers are encoded in one pass.
        views: Views in the bank.
        home: Where features live; `$CRYOSTAT_HOME` or `~/.cryostat` by default.
        batch_size: Tiles a pass.
    """
    features = prepare(encoder, dataset, protocol=protocol, mpp=mpp, home=home, batch_size=batch_size)
    features.require([layer for head in heads for layer in features.layers_of(head)], views)
    return features
