"""One shard of a feature store: what is recorded of it, and what may not go into it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError, StoreError
from cryostat.core.files import read_json, read_npy
from cryostat.core.identity import sha256_file

SHARD_BYTES = 96 * 2**20
"""Size aimed at: large enough for few files, small enough to lose little when an extraction is stopped."""

FEWEST_SHARDS = 16
"""A small store is still cut into about as many, so that processes can share it."""

_TILES = 32
"""Shards are a multiple of so many tiles where tiles are small: whole batches."""

REDO = "Run: cryostat features verify --repair, then the same command as before; only what is missing is encoded again"
"""What to do about a damaged shard."""

_SPECIAL = np.uint16(0x7C00)
"""Exponent bits of fp16; all of them set means NaN or infinity."""


@dataclass(frozen=True)
class Failure:
    """A tile that could not be read; its features are zeros."""

    tile: int
    fov_id: str
    reason: str


@dataclass(frozen=True)
class ShardRecord:
    """What is recorded beside a shard, after it.

    Attributes:
        sha256: Of the whole file.
        bytes: Size of the whole file.
        rows: Tiles in it.
        first: Its first tile.
        last: Its last tile.
        seconds: Time in which its tiles went through the encoder.
        device: Where that was.
        failures: Tiles that could not be read.
    """

    sha256: str
    bytes: int
    rows: int
    first: int
    last: int
    seconds: float
    device: str
    failures: tuple[Failure, ...] = ()

    @classmethod
    def of(cls, path: Path, tiles: range, seconds: float, device: str, failures: Sequence[Failure]) -> ShardRecord:
        """The record of a shard that has just been written."""
        size, checksum = path.stat().st_size, sha256_file(path)
        return cls(checksum, size, len(tiles), tiles[0], tiles[-1], round(seconds, 4), device, tuple(failures))

    @classmethod
    def read(cls, path: Path) -> ShardRecord | None:
        """A record from its file; None when it is missing or damaged."""
        try:
            facts = read_json(path)
            failures = tuple(Failure(**failure) for failure in facts.pop("failures"))
            record = cls(**facts, failures=failures)
        except (InputError, OSError, KeyError, TypeError, AttributeError):
            return None
        return record if record._is_sound() else None

    def _is_sound(self) -> bool:
        numbers = (self.bytes, self.rows, self.first, self.last, *(f.tile for f in self.failures))
        return isinstance(self.sha256, str) and all(type(n) is int and n >= 0 for n in numbers)

    def as_json(self) -> Mapping[str, Any]:
        """Ready for `write_json`."""
        return asdict(self)


def shard_tiles_for(tiles: int, shape: tuple[int, int, int]) -> int:
    """Tiles a shard so that it holds about 64 to 128 MB; fewer when the store is small.

    Args:
        tiles: Tiles of the whole store.
        shape: (h, w, C) of one tile's fp16 features.
    """
    by_size = max(1, SHARD_BYTES // (2 * int(np.prod(shape))))
    return min(_whole_batches(by_size), max(_TILES, _whole_batches(tiles // FEWEST_SHARDS)))


def _whole_batches(tiles: int) -> int:
    return max(1, round(tiles / _TILES)) * _TILES if tiles >= _TILES else tiles


def map_shard(path: Path, shape: tuple[int, ...]) -> NDArray[np.float16]:
    """A shard mapped read-only.

    Raises:
        StoreError: It is not an fp16 array of this shape.
    """
    try:
        array = read_npy(path)
    except InputError as error:
        raise StoreError(error.problem, where=path, remedy=REDO) from error
    if array.shape != shape or array.dtype != np.float16:
        raise StoreError(f"holds {array.dtype} {array.shape}, not float16 {shape}", where=path, remedy=REDO)
    # A plain array over the map: every row taken of a numpy.memmap costs a microsecond more.
    return np.asarray(array)


def first_unstorable(half: NDArray[np.float16]) -> int | None:
    """The first row of (n, ...) fp16 with a NaN or an infinity, or None."""
    if not ((half.view(np.uint16) & _SPECIAL) == _SPECIAL).any():
        return None
    return int(np.flatnonzero(~np.isfinite(half).reshape(len(half), -1).all(axis=1))[0])


def unstorable(values: NDArray[Any], tile: str, where: Path) -> StoreError:
    """The error about a tile's features that have no fp16 form.

    Args:
        values: (h, w, C) features as the encoder gave them.
        tile: What to call the tile, e.g. `tile 3 (field 'a')`.
        where: Store for which they were meant.
    """
    broken = values.size - int(np.isfinite(values).sum())
    if broken:
        kind = "NaN" if np.isnan(values).any() else "infinite"
        return StoreError(
            f"the encoder returned {broken} {kind} of {values.size} values for {tile}",
            where=where,
            remedy="Encode with --precision fp32; if they remain, look at the image of that field",
        )
    peak = float(np.abs(values.astype(np.float64)).max())
    return StoreError(
        f"the features of {tile} reach {peak:.6g}, beyond the largest fp16 number, 65504",
        where=where,
        remedy="Choose layer final, which is normalised, or an earlier block",
    )
