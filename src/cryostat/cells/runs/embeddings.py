"""What a run of cells worked on: its dataset, checked to be the same, and its encoder's stored features."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cryostat.cells.dataset import CellDataset
from cryostat.cells.pooling import PooledCells
from cryostat.cells.protocols import load_protocol
from cryostat.cells.runs.pooled import pooled_cells
from cryostat.cells.tiling import CellTiles
from cryostat.core.errors import IdentityError, InputError, SettingError, StoreError
from cryostat.core.home import Home
from cryostat.core.identity import canonical, differences
from cryostat.features.catalogue import find_store
from cryostat.features.identity import feature_identity
from cryostat.features.store import FeatureStore
from cryostat.results.records import RECORD, RunRecord

FINAL = "final"
"""The encoder's last layer, which `cryostat features extract` stores."""

FROZEN = ("cached", "live")
"""Kinds of training that leave the encoder, and so its embeddings, as it was; runs that tell none are of the first."""


def embeddings(
    record: RunRecord, dataset: CellDataset, home: Home, *, layer: str = FINAL, ring_um: float = 0.0
) -> PooledCells:
    """All nuclei of a run's dataset with the stored features of its frozen encoder, as the run saw them.

    Args:
        record: A run of cells.
        dataset: Its dataset (`dataset_of`).
        home: Where features are stored.
        layer: Layer of the encoder.
        ring_um: Width in µm of a ring round each nucleus whose mean is appended; 0 for none.

    Returns:
        Rows of nuclei with (n, C), or with a ring (n, 2C), float32 features.

    Raises:
        SettingError: The run has no frozen encoder.
        StoreError: The layer's features are not stored, or not all.
        IdentityError: The tiles would be cut otherwise today.
    """
    seen, encoder = _sight(record)
    store = _store(record, home, feature_identity(seen, encoder, layer), layer)
    tiles = _tiles(record, dataset, seen)
    return pooled_cells(tiles, store, patch=tiles.tile_size / store.shape[0], ring_um=ring_um)


def _sight(record: RunRecord) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Identity of the tiles and of the encoder that a run saw."""
    kind = str(record.settings.get("mode", FROZEN[0])).partition(":")[0]
    facts = record.identity.get("features")
    if not isinstance(facts, Mapping) or kind not in FROZEN:
        raise SettingError(
            f"run {record.run_id!r} has no frozen encoder (mode {kind or 'unknown'}), so no features of it are stored",
            remedy="Choose a run of mode cached or live",
        )
    one = facts if "encoder" in facts else next(iter(facts.values()), {})
    if not isinstance(one, Mapping) or not all(isinstance(one.get(key), Mapping) for key in ("tiles", "encoder")):
        raise InputError(
            "does not tell which features it read", where=(record.folder or Path()) / RECORD, remedy="Run it again"
        )
    return one["tiles"], one["encoder"]


def _store(record: RunRecord, home: Home, identity: Mapping[str, Any], layer: str) -> FeatureStore:
    store = find_store(home, identity)
    if store is None or not store.complete:
        about = record.settings
        raise StoreError(
            f"features of layer {layer!r} of {about.get('encoder')} on {about.get('dataset')} are not stored"
            f"{'' if store is None else ' completely'}",
            where=home.features,
            remedy=f"Store them with: {_command(about)}"
            if layer == FINAL
            else "Run a head that reads this layer first",
        )
    return store


def _command(about: Mapping[str, Any]) -> str:
    """The command that stores the final layer of a run's encoder."""
    names = ("dataset", "encoder", "weights", "precision", "protocol", "mpp")
    # A name with @random0 says what the weights are; they are asked for by the name alone.
    asked = {name: str(about.get(name)).partition("@")[0] if name == "encoder" else about.get(name) for name in names}
    options = " ".join(f"--{name} {value}" for name, value in asked.items() if value is not None)
    return f"cryostat features extract {options}"


def _tiles(record: RunRecord, dataset: CellDataset, seen: Mapping[str, Any]) -> CellTiles:
    protocol = load_protocol(str(record.settings.get("protocol"))).at(record.settings.get("mpp"))
    tiles = CellTiles(dataset, protocol, int(seen["tile_size"]))
    if differing := differences(seen, canonical(tiles.identity())):
        raise IdentityError(
            f"run {record.run_id!r} cut its tiles otherwise than this version does; then / now: {'; '.join(differing)}",
            remedy="Run it again",
        )
    return tiles
