"""The feature store: one layer's token maps of all tiles, as memory-mapped fp16 shards.

A folder with `store.json` (the whole identity and the geometry), `tiles.parquet` (the index of the tiles), and for each
shard `shard-00000.npy` (n, h, w, C) and `shard-00000.json` (checksum, size, tiles, time, failures), written in this
order and each appearing whole. A shard counts once both are there and fit together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.core.errors import IdentityError, StoreError
from cryostat.core.files import write_json, write_npy
from cryostat.core.identity import Facts, canonical, differences, digest, sha256_file
from cryostat.features.claims import is_held
from cryostat.features.layout import Shape, check_index, make_store, read_facts, read_index
from cryostat.features.shards import REDO, Failure, ShardRecord, first_unstorable, map_shard, unstorable

MAPS_KEPT = 128
"""Shards kept mapped at once; each holds a file descriptor, of which some systems allow no more than 256."""

DERIVED = "pooled-*"
"""Files that readers may keep beside the shards; they go as soon as a shard does."""


class FeatureStore:
    """Features of one layer on disk.

    Args:
        folder: Folder of a store.

    Attributes:
        folder: As above.
        identity: All that determines the features.
        tiles: Number of tiles.
        shape: (h, w, C) of one tile's features.
        shard_tiles: Tiles in every shard but the last.
        shards: Number of shards when complete.

    Raises:
        StoreError: The folder is not a store, or is damaged or of another version.
    """

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)
        facts = read_facts(self.folder)
        self.identity, self.tiles, self.shape = facts.identity, facts.tiles, facts.shape
        self.shard_tiles, self.shards = facts.shard_tiles, facts.shards
        self._maps: dict[int, NDArray[np.float16]] = {}

    def __reduce__(self) -> tuple[type[FeatureStore], tuple[Path]]:
        # The maps stay behind: another process opens its own.
        return FeatureStore, (self.folder,)

    def __repr__(self) -> str:
        return f"FeatureStore({self.folder.name!r}, {self.tiles} tiles of {self.shape})"

    @classmethod
    def create_or_open(
        cls,
        folder: Path | str,
        identity: Facts,
        tiles: pd.DataFrame,
        shape: Shape,
        shard_tiles: int | None = None,
    ) -> FeatureStore:
        """The store of an identity, made if it is not there.

        Args:
            folder: Where it is or shall be.
            identity: All that determines the features.
            tiles: `TileSource.index()`: one row a tile, in order, with `tile` and `fov_id`.
            shape: (h, w, C) of one tile's features.
            shard_tiles: Tiles a shard; by default as many as make 64 to 128 MB. A store that is there keeps its own.

        Raises:
            IdentityError: The folder holds other features; the message names the fields that differ.
            InputError: The index does not number its tiles 0 to n - 1, or lacks `fov_id`.
            StoreError: The folder is a damaged store or cannot be written.
        """
        folder, wanted = Path(folder), canonical(identity)
        check_index(tiles, folder)
        make_store(folder, wanted, tiles, shape, shard_tiles)
        store = cls(folder)
        store._require_same(wanted, len(tiles), shape)
        return store

    def _require_same(self, identity: Facts, tiles: int, shape: Shape) -> None:
        differing = differences(self.identity, identity) + differences(
            {"tiles": self.tiles, "shape": self.shape}, {"tiles": tiles, "shape": shape}
        )
        if differing:
            raise IdentityError(
                f"holds other features than these; stored / wanted: {'; '.join(differing)}",
                where=self.folder,
                remedy="Give these features a folder of their own",
            )

    @property
    def digest(self) -> str:
        """Short hash of the identity."""
        return digest(self.identity)

    @property
    def nbytes(self) -> int:
        """Bytes of all features when complete, without the files' headers."""
        return self.tiles * int(np.prod(self.shape)) * 2

    @cached_property
    def index(self) -> pd.DataFrame:
        """One row a tile, in order: tile, fov_id, and whatever locates it."""
        return read_index(self.folder)

    # Shards: where they are, and which are there.

    def tiles_of(self, shard: int) -> range:
        """The tiles in one shard."""
        if not 0 <= shard < self.shards:
            raise StoreError(f"has no shard {shard}", where=self.folder, remedy=f"It has {self.shards}, from 0")
        return range(shard * self.shard_tiles, min(self.tiles, (shard + 1) * self.shard_tiles))

    def shard_path(self, shard: int, suffix: str = "npy") -> Path:
        """A file of one shard: its array (`npy`), its record (`json`), or the lock of whoever fills it (`lock`)."""
        return self.folder / f"shard-{shard:05d}.{suffix}"

    def record(self, shard: int) -> ShardRecord | None:
        """What is recorded of a shard; None unless it is stored and its file has the recorded size.

        Looks at the disk each time, and so sees what other processes did.
        """
        tiles, record = self.tiles_of(shard), ShardRecord.read(self.shard_path(shard, "json"))
        if record is None or (record.rows, record.first, record.last) != (len(tiles), tiles[0], tiles[-1]):
            return None
        try:
            return record if self.shard_path(shard).stat().st_size == record.bytes else None
        except FileNotFoundError:
            return None

    def records(self) -> list[ShardRecord]:
        """The records of all shards that are stored."""
        return [record for record in map(self.record, range(self.shards)) if record]

    def missing(self) -> list[int]:
        """The shards that are not stored, or truncated."""
        return [shard for shard in range(self.shards) if self.record(shard) is None]

    @property
    def complete(self) -> bool:
        """Whether all shards are stored, by their records and file sizes; `verify` looks at every byte."""
        return not self.missing()

    def failures(self) -> list[Failure]:
        """The tiles that could not be read, with the reasons."""
        return [failure for record in self.records() for failure in record.failures]

    @property
    def failed(self) -> set[int]:
        """The tiles that could not be read; their features are zeros."""
        return {failure.tile for failure in self.failures()}

    # Writing.

    def write(
        self,
        shard: int,
        values: NDArray[Any],
        *,
        seconds: float = 0.0,
        device: str = "",
        failures: Iterable[Failure] = (),
    ) -> None:
        """Store one shard.

        Args:
            shard: Its number.
            values: (n, h, w, C) floats, n the tiles of this shard.
            seconds: Time in which they went through the encoder.
            device: Where that was.
            failures: Tiles that could not be read and are zeros here.

        Raises:
            StoreError: The shape is another, a value is NaN, infinite or beyond fp16, or the disk does not take it.
        """
        tiles, path = self.tiles_of(shard), self.shard_path(shard)
        if values.shape != (len(tiles), *self.shape):
            raise StoreError(
                f"shard {shard} is {(len(tiles), *self.shape)}, not {values.shape}",
                where=self.folder,
                remedy="Pass all tiles of the shard, channels last",
            )
        half = self.storable(values, tiles)
        try:
            self.discard(shard)
            write_npy(path, half)
            record = ShardRecord.of(path, tiles, seconds, device, list(failures))
            write_json(self.shard_path(shard, "json"), record.as_json())
        except OSError as error:
            raise StoreError(
                f"cannot be written ({error.strerror})",
                where=path,
                remedy="Free disk space or choose another --home, and run the same again: it resumes",
            ) from error

    def storable(self, values: NDArray[Any], tiles: Sequence[int]) -> NDArray[np.float16]:
        """(n, h, w, C) features of n tiles as fp16.

        Raises:
            StoreError: A value is NaN, infinite or beyond fp16; the message names the tile and its field.
        """
        with np.errstate(over="ignore"):
            half = np.ascontiguousarray(values, np.float16)
        row = first_unstorable(half)
        if row is not None:
            field = self.index["fov_id"].iat[tiles[row]]
            raise unstorable(values[row], f"tile {tiles[row]} (field {field!r})", self.folder)
        return half

    # Reading.

    def read(self, tiles: Sequence[int] | NDArray[Any]) -> NDArray[np.float16]:
        """Features of any tiles in any order, as a copy.

        Args:
            tiles: Their numbers; repeats are allowed.

        Returns:
            (n, h, w, C) fp16; zeros for the tiles in `failed`.

        Raises:
            StoreError: A tile is not stored yet or does not exist, or its shard is damaged.
        """
        wanted = self._checked(tiles)
        shards, rows = np.divmod(wanted, self.shard_tiles)
        found = [self._map(shard)[row] for shard, row in zip(shards.tolist(), rows.tolist(), strict=True)]
        # One copy, whatever the shards: quicker than to gather by shard, and than filling an array row by row.
        values = np.concatenate(found or [np.empty((0, *self.shape[1:]), np.float16)])
        return values.reshape(len(found), *self.shape)

    def map(self, tile: int) -> NDArray[np.float16]:
        """(h, w, C) fp16 features of one tile, a read-only view of the file.

        Raises:
            StoreError: As `read`.
        """
        shard, row = divmod(int(self._checked([tile])[0]), self.shard_tiles)
        view: NDArray[np.float16] = self._map(shard)[row]
        return view

    def _checked(self, tiles: Sequence[int] | NDArray[Any]) -> NDArray[np.int64]:
        wanted = np.asarray(tiles)
        if wanted.size == 0:
            return np.empty(0, np.int64)
        if wanted.ndim != 1 or wanted.dtype.kind not in "iu" or wanted.min() < 0 or wanted.max() >= self.tiles:
            raise StoreError(
                f"cannot give the tiles {np.array2string(wanted, threshold=8)}",
                where=self.folder,
                remedy=f"Ask for a list of whole numbers from 0 to {self.tiles - 1}",
            )
        return wanted.astype(np.int64)

    def _map(self, shard: int) -> NDArray[np.float16]:
        mapped = self._maps.get(shard)
        return self._open(shard) if mapped is None else mapped

    def _open(self, shard: int) -> NDArray[np.float16]:
        path, tiles = self.shard_path(shard), self.tiles_of(shard)
        if self.record(shard) is None:
            state = "is truncated or has no sound record" if path.exists() else "is not extracted yet"
            raise StoreError(f"{state} (tiles {tiles[0]} to {tiles[-1]})", where=path, remedy=REDO)
        mapped = map_shard(path, (len(tiles), *self.shape))
        while len(self._maps) >= MAPS_KEPT:
            self._maps.pop(next(iter(self._maps)), None)
        self._maps[shard] = mapped
        return mapped

    # Upkeep.

    def verify(self) -> list[int]:
        """Read every byte and return the damaged shards: another checksum, truncated, or without a sound record.

        Shards whose extraction never ended are missing, not damaged.
        """
        with ThreadPoolExecutor(max_workers=4) as pool:
            damaged = list(pool.map(self._is_damaged, range(self.shards)))
        return [shard for shard, bad in enumerate(damaged) if bad]

    def _is_damaged(self, shard: int) -> bool:
        if not self.shard_path(shard, "json").exists():
            return False
        record = self.record(shard)
        return record is None or sha256_file(self.shard_path(shard)) != record.sha256

    def repair(self, *, failed: bool = False) -> list[int]:
        """Delete damaged shards, so that the next extraction makes them anew, and return their numbers.

        Args:
            failed: Delete also shards with tiles that could not be read, to try those again.
        """
        doomed = set(self.verify())
        if failed:
            doomed |= {tile // self.shard_tiles for tile in self.failed}
        for shard in doomed:
            self.discard(shard)
        self.sweep()
        return sorted(doomed)

    def discard(self, shard: int) -> None:
        """Forget a shard and what was derived from the store; its record goes before its array."""
        self._maps.pop(shard, None)
        for path in self.folder.glob(DERIVED):
            path.unlink(missing_ok=True)
        self.shard_path(shard, "json").unlink(missing_ok=True)
        self.shard_path(shard).unlink(missing_ok=True)

    def sweep(self) -> None:
        """Delete what dead processes left of stored shards: their locks and half-written files."""
        for path in [*self.folder.glob("shard-[0-9]*.lock"), *self.folder.glob(".shard-[0-9]*.part")]:
            shard = int(path.name.lstrip(".").removeprefix("shard-").split(".")[0])
            if self.record(shard):
                path.unlink(missing_ok=True)

    def sweep_shard(self, shard: int) -> None:
        """Delete the half-written files of one shard; only for the holder of its lock."""
        for path in self.folder.glob(f".shard-{shard:05d}.*.part"):
            path.unlink(missing_ok=True)

    def in_use(self) -> bool:
        """Whether a process is filling this store right now."""
        return any(is_held(path) for path in self.folder.glob("shard-*.lock"))
