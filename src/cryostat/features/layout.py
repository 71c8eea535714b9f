"""What a store's folder says of itself: `store.json` and the index of its tiles."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from cryostat.core.errors import InputError, StoreError
from cryostat.core.files import read_json, read_table, write_json, write_parquet
from cryostat.core.identity import Facts, digest
from cryostat.features.claims import alone
from cryostat.features.identity import FORMAT
from cryostat.features.shards import shard_tiles_for

FACTS = "store.json"
TILES = "tiles.parquet"

DELETE = "Delete the folder and extract the features again"
"""What to do about a store that does not know any more what it holds."""

Shape = tuple[int, int, int]


@dataclass(frozen=True)
class StoreFacts:
    """What never changes of a store.

    Attributes:
        identity: All that determines its features.
        tiles: Number of tiles.
        shape: (h, w, C) of one tile's features.
        shard_tiles: Tiles in every shard but the last.
    """

    identity: dict[str, Any]
    tiles: int
    shape: Shape
    shard_tiles: int

    @property
    def shards(self) -> int:
        """Number of shards."""
        return -(-self.tiles // self.shard_tiles)


def read_facts(folder: Path) -> StoreFacts:
    """The facts of a store.

    Raises:
        StoreError: The folder is no store, or its `store.json` is damaged, altered or of another version.
    """
    path = folder / FACTS
    if not path.exists():
        raise StoreError("is not a feature store", where=folder, remedy="Look for one with: cryostat features list")
    try:
        facts = read_json(path)
    except InputError as error:
        raise StoreError(error.problem, where=path, remedy=DELETE) from error
    if not isinstance(facts, dict) or facts.get("format") != FORMAT:
        version = facts.get("format") if isinstance(facts, dict) else None
        raise StoreError(f"has layout {version}, this version reads {FORMAT}", where=path, remedy=DELETE)
    if not _is_sound(facts):
        raise StoreError("does not state a sound geometry and identity", where=path, remedy=DELETE)
    h, w, width = facts["shape"]
    return StoreFacts(facts["identity"], facts["tiles"], (h, w, width), facts["shard_tiles"])


def _is_sound(facts: dict[str, Any]) -> bool:
    shape, identity = facts.get("shape"), facts.get("identity")
    if not isinstance(shape, list) or len(shape) != 3 or not isinstance(identity, dict):
        return False
    whole = all(type(n) is int and n > 0 for n in (*shape, facts.get("shard_tiles")))
    tiles = facts.get("tiles")
    return whole and type(tiles) is int and tiles >= 0 and facts.get("digest") == digest(identity)


def make_store(folder: Path, identity: Facts, tiles: pd.DataFrame, shape: Shape, shard_tiles: int | None) -> None:
    """Make the folder of a store unless it is there; safe against other processes that do the same.

    Raises:
        StoreError: The disk does not take it.
    """
    lock = folder / "store.lock"
    if (folder / FACTS).exists() and not lock.exists():
        return
    with alone(lock):
        # Whoever left these is dead: they are written under this lock only.
        for part in (*folder.glob(f".{FACTS}.*.part"), *folder.glob(f".{TILES}.*.part")):
            part.unlink(missing_ok=True)
        if not (folder / FACTS).exists():
            _write_facts(folder, identity, tiles, shape, shard_tiles or shard_tiles_for(len(tiles), shape))


def _write_facts(folder: Path, identity: Facts, tiles: pd.DataFrame, shape: Shape, shard_tiles: int) -> None:
    facts = {
        "format": FORMAT,
        "digest": digest(identity),
        "dtype": "float16",
        "shape": shape,
        "tiles": len(tiles),
        "shard_tiles": shard_tiles,
        "shards": -(-len(tiles) // shard_tiles),
        "identity": identity,
    }
    try:
        write_parquet(folder / TILES, tiles)
        write_json(folder / FACTS, facts)
    except OSError as error:
        raise StoreError(
            f"cannot be written ({error.strerror})", where=folder, remedy="Free disk space or choose another --home"
        ) from error


def read_index(folder: Path) -> pd.DataFrame:
    """The index of a store's tiles.

    Raises:
        StoreError: It is missing or damaged.
    """
    try:
        table: pd.DataFrame = read_table(folder / TILES)
        check_index(table, folder / TILES)
    except InputError as error:
        raise StoreError(error.problem, where=error.where, remedy=DELETE) from error
    return table


def check_index(tiles: pd.DataFrame, where: Path) -> None:
    """Raise an InputError unless the tiles are numbered 0 to n - 1 and each names its field of view."""
    if "fov_id" not in tiles or "tile" not in tiles or tiles["tile"].tolist() != list(range(len(tiles))):
        raise InputError(
            "the index of tiles does not number them 0 to n - 1 in `tile`, with a `fov_id` each",
            where=where,
            remedy="Correct TileSource.index()",
        )
