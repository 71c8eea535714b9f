"""What is there already: features in the store, and runs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cryostat.cells.augmentation import views
from cryostat.cells.protocols import load_protocol
from cryostat.cells.runs.bank import ViewedTiles
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.tiling import CellTiles
from cryostat.core.home import Home
from cryostat.core.identity import digest
from cryostat.encoders.catalogue import Recipe
from cryostat.features.catalogue import all_stores
from cryostat.features.store import FeatureStore
from cryostat.results.records import RunRecord, find_runs

Encoder = tuple[str, str, str]
"""Name of an encoder as resolved, its precision, version of its code (empty: any)."""

Key = tuple[str, Encoder, str]
"""Digest of the tiles' identity, encoder, layer."""


def resolved_name(name: str, recipe: Recipe | None, weights: str | None) -> str:
    """The name that an encoder bears in stores and records: without weights it says so.

    Args:
        name: Its card's.
        recipe: Of its card; None for timm models without one.
        weights: As given.
    """
    on_purpose = recipe is not None and recipe.untrained
    bare = weights == "random" or (recipe is None and weights is None)
    return f"{name}@random0" if bare and not on_purpose else name


@dataclass(frozen=True)
class Holding:
    """How much of a bank is there; a map is one tile in one layer and view.

    Attributes:
        stored: Maps that are stored.
        passes: Tiles that have yet to pass the encoder, over all views.
        maps: Maps that have yet to be written.
    """

    stored: int = 0
    passes: int = 0
    maps: int = 0


class Inventory:
    """The stores and runs of a home, looked at once.

    Encoders are told by name, precision and version of their code, but not by their weights; runs by their settings.
    What is found here is about what a run will find.

    Args:
        home: The home folder.
    """

    def __init__(self, home: Home) -> None:
        self._rows: dict[Key, int] = {}
        for store in all_stores(home).values():
            if isinstance(store, FeatureStore):
                rows = sum(record.rows for record in store.records())
                tiles, (name, precision, code), layer = _key(store.identity)
                for known in (code, ""):
                    key = tiles, (name, precision, known), layer
                    self._rows[key] = max(self._rows.get(key, 0), rows)
        self._promised: set[Key] = set()
        self._runs = {_facts(record) for record in find_runs(home).records}

    def look(self, tiles: CellTiles, encoder: Encoder, layers: Sequence[str], count: int) -> Holding:
        """What there is of a bank.

        Args:
            tiles: The tiles.
            encoder: The encoder.
            layers: What is to be stored.
            count: Views; 0 for nothing.
        """
        stored = passes = maps = 0
        for keys in _keys(tiles, encoder, layers, count):
            rows = [self._rows.get(key, 0) for key in keys]
            lacking = [
                0 if key in self._promised else len(tiles.index()) - there
                for key, there in zip(keys, rows, strict=True)
            ]
            stored, passes, maps = stored + sum(rows), passes + max(lacking, default=0), maps + sum(lacking)
        return Holding(stored, passes, maps)

    def promise(self, tiles: CellTiles, encoder: Encoder, layers: Sequence[str], count: int) -> None:
        """Count a bank as there from now on, as runs that come first will have made it; arguments as of `look`."""
        for keys in _keys(tiles, encoder, layers, count):
            self._promised.update(keys)

    def has(self, spec: RunSpec, encoder: str) -> bool:
        """Whether a run of these settings is finished.

        Args:
            spec: The run.
            encoder: Name of its encoder, as resolved.
        """
        scale = load_protocol(spec.protocol).at(spec.mpp).tiling.mpp
        mode = str(spec.resolved_mode())
        about = (spec.dataset, spec.split, encoder, spec.head, spec.protocol, spec.fraction, spec.seed)
        return _Run(*about, mode, float(scale)) in self._runs


@dataclass(frozen=True)
class _Run:
    dataset: str
    split: str
    encoder: str
    head: str
    protocol: str
    fraction: float
    seed: int
    mode: str
    mpp: float


def _facts(record: RunRecord) -> _Run | None:
    s = record.settings
    names = ("dataset", "split", "encoder", "head", "protocol", "fraction", "seed")
    if any(name not in s for name in names) or s.get("mpp") is None:
        return None
    mode = s.get("mode") or record.training.get("mode", "cached")
    return _Run(**{name: s[name] for name in names}, mode=str(mode), mpp=float(s["mpp"]))


def _keys(tiles: CellTiles, encoder: Encoder, layers: Sequence[str], count: int) -> Iterator[list[Key]]:
    """Of each view, the keys of its layers."""
    for view in views(count) if count else ():
        pixels = digest(ViewedTiles(tiles, view).identity())
        yield [(pixels, encoder, layer) for layer in layers]


def _key(identity: Mapping[str, Any]) -> Key:
    encoder = identity.get("encoder") or {}
    tiles = digest(identity.get("tiles") or {})
    known = str(encoder.get("encoder")), str(encoder.get("precision")), str(encoder.get("code"))
    return tiles, known, str(identity.get("layer"))
