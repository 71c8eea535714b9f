"""Extraction: every tile through the encoder once, into one store a layer."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from filelock import FileLock
from numpy.typing import NDArray
from torch import Tensor

from cryostat.core.errors import EncoderError, InputError, SettingError, StoreError
from cryostat.core.home import Home
from cryostat.core.progress import meter
from cryostat.encoders.tile.base import TileEncoder
from cryostat.features.claims import release, try_lock
from cryostat.features.identity import feature_identity, store_folder
from cryostat.features.layout import FACTS
from cryostat.features.shards import Failure
from cryostat.features.source import TileSource
from cryostat.features.store import FeatureStore

POLL_SECONDS = 0.25
"""Pause before looking again at shards that other processes hold."""

AHEAD = 2
"""Batches loaded ahead of the encoder, and shards that may wait for the disk."""

Spec = TypeVar("Spec")
Loaded = TypeVar("Loaded")


def extract(
    source: TileSource,
    encoder: TileEncoder,
    layers: Sequence[str],
    home: Home,
    *,
    batch_size: int = 32,
    shard_tiles: int | None = None,
    on_progress: bool = True,
) -> dict[str, FeatureStore]:
    """Fill one store a layer with the features of all tiles, in one pass of the encoder.

    Shards that are stored are not computed again, and with nothing to compute the encoder never runs. Any number of
    processes may fill the same stores at once: each shard is computed by one of them, and all return when everything is
    stored. A process that is killed loses only the shards it was at; others, or the next call, take those over.

    Args:
        source: The tiles.
        encoder: The encoder, loaded; one that learns from pixels is shown the source's sample first.
        layers: Names from the encoder's card.
        home: Where the stores are.
        batch_size: Tiles encoded at once.
        shard_tiles: Tiles a shard of a new store; by default as many as make 64 to 128 MB.
        on_progress: Show a progress bar, if stderr is a terminal.

    Returns:
        Layer name to its complete store. Tiles that could not be read are in its `failures`.

    Raises:
        SettingError: No layer, or a batch without tiles, is asked for.
        EncoderError: The encoder does not fit the tiles, or runs out of memory.
        StoreError: Features are NaN, infinite or beyond fp16, or a store is damaged or cannot be written.
    """
    if not layers or batch_size < 1:
        raise SettingError("there is nothing to extract", remedy="Ask for at least one layer and batches of 1 or more")
    if encoder.learns_from_pixels:
        encoder.prepare(source.sample_images())
    stores = _open_stores(source, encoder, tuple(dict.fromkeys(layers)), home, shard_tiles)
    extraction = _Extraction(source, encoder, batch_size)
    for alike in _by_geometry(stores):
        extraction.fill(alike, shown=on_progress)
    for store in stores.values():
        store.sweep()
    return stores


def _open_stores(
    source: TileSource, encoder: TileEncoder, layers: Sequence[str], home: Home, shard_tiles: int | None
) -> dict[str, FeatureStore]:
    tiles, facts = source.identity(), encoder.identity()
    identities = {layer: feature_identity(tiles, facts, layer) for layer in layers}
    folders = {layer: store_folder(home, identity) for layer, identity in identities.items()}
    if not all((folder / FACTS).exists() for folder in folders.values()):
        # Fails before anything is on disk where a layer is unknown, the size does not fit, or the card is wrong.
        encoder.encode(torch.zeros(1, 3, source.tile_size, source.tile_size), layers)
    side = encoder.card.tokens_across(source.tile_size)
    shape = (side, side, encoder.card.width)
    index = source.index()
    return {
        layer: FeatureStore.create_or_open(folders[layer], identities[layer], index, shape, shard_tiles)
        for layer in layers
    }


def _by_geometry(stores: Mapping[str, FeatureStore]) -> list[dict[str, FeatureStore]]:
    """Stores whose shards hold the same tiles, together: they share a pass."""
    groups: dict[int, dict[str, FeatureStore]] = {}
    for layer, store in stores.items():
        groups.setdefault(store.shard_tiles, {})[layer] = store
    return list(groups.values())


@dataclass
class _Claim:
    """A shard that this process is at, in those stores that miss it."""

    shard: int
    tiles: range
    stores: dict[str, FeatureStore] = field(default_factory=dict)
    locks: dict[str, FileLock] = field(default_factory=dict)
    values: dict[str, NDArray[np.float16]] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    began: float = 0.0

    @classmethod
    def take(cls, stores: Mapping[str, FeatureStore], shard: int) -> _Claim | None:
        """Lock a shard in all stores that miss it; None when there is none, or another process is at one of them."""
        claim = cls(shard, next(iter(stores.values())).tiles_of(shard))
        # In one order for all processes, and all or nothing: else two would share the layers and encode twice.
        for layer, store in sorted(stores.items()):
            if store.record(shard):
                continue
            lock = try_lock(store.shard_path(shard, "lock"))
            if lock is None:
                claim.release()
                return None
            claim.stores[layer], claim.locks[layer] = store, lock
        claim._look_again()
        return claim if claim.locks else None

    def _look_again(self) -> None:
        """Let go of what was stored between the look and the lock; sweep what a dead process left of the rest."""
        for layer, store in list(self.stores.items()):
            if store.record(self.shard):
                release(self.locks.pop(layer), delete=True)
                del self.stores[layer]
            else:
                store.sweep_shard(self.shard)

    def start(self) -> None:
        """Make room for the features."""
        self.began = time.perf_counter()
        self.values = {n: np.empty((len(self.tiles), *s.shape), np.float16) for n, s in self.stores.items()}

    def store(self, seconds: float, device: str) -> None:
        """Write the shard of each store and let go of it."""
        for layer, store in self.stores.items():
            values = self.values.pop(layer)
            store.write(self.shard, values, seconds=seconds, device=device, failures=self.failures)
        self.release()

    def release(self) -> None:
        """Let go of all locks; harmless when that is done."""
        while self.locks:
            layer, lock = self.locks.popitem()
            release(lock, delete=self.stores[layer].record(self.shard) is not None)


@dataclass(frozen=True)
class _Batch:
    """Some tiles of a claimed shard."""

    claim: _Claim
    tiles: range
    images: Tensor
    failures: tuple[Failure, ...]

    @property
    def rows(self) -> slice:
        """Their rows in the shard."""
        return slice(self.tiles.start - self.claim.tiles.start, self.tiles.stop - self.claim.tiles.start)


class _Extraction:
    """One encoder at work on one source."""

    def __init__(self, source: TileSource, encoder: TileEncoder, batch_size: int) -> None:
        self.source, self.encoder, self.batch_size = source, encoder, batch_size
        self.device = _device_name(encoder.device)
        self.fov_ids = source.index()["fov_id"].tolist()

    def fill(self, stores: Mapping[str, FeatureStore], *, shown: bool) -> None:
        """Compute what is missing, and wait for what other processes compute."""
        missing = _missing(stores)
        if not missing:
            return
        _require_space(stores)
        total = next(iter(stores.values())).tiles
        with meter(f"Encoding with {self.encoder.card.name}", total, "tiles", shown=shown) as show:
            while missing:
                done = total - _tiles_in(stores, missing)
                show(done)
                if self._round(stores, missing, done, show) == done:
                    time.sleep(POLL_SECONDS)
                missing = _missing(stores)

    def _round(
        self, stores: Mapping[str, FeatureStore], shards: Sequence[int], done: int, show: Callable[[int], None]
    ) -> int:
        """Encode those of the shards that are free, and return how many tiles are `done` then."""
        claims = list[_Claim]()
        try:
            with ThreadPoolExecutor(1) as loader, ThreadPoolExecutor(1) as writer:
                writing: deque[Future[None]] = deque()
                for batch in _ahead(loader, self._load, self._requests(stores, shards, claims)):
                    self._encode(batch)
                    done += len(batch.tiles)
                    show(done)
                    if batch.tiles.stop == batch.claim.tiles.stop:
                        seconds = time.perf_counter() - batch.claim.began
                        writing.append(writer.submit(batch.claim.store, seconds, self.device))
                    while len(writing) >= AHEAD:
                        writing.popleft().result()
                for future in writing:
                    future.result()
        finally:
            for claim in claims:
                claim.release()
        return done

    def _requests(
        self, stores: Mapping[str, FeatureStore], shards: Iterable[int], claims: list[_Claim]
    ) -> Iterator[tuple[_Claim, range]]:
        """The batches of all shards that can be claimed, each claimed as its first batch is asked for."""
        for shard in shards:
            claim = _Claim.take(stores, shard)
            if claim is None:
                continue
            claims.append(claim)
            for start in range(claim.tiles.start, claim.tiles.stop, self.batch_size):
                yield claim, range(start, min(start + self.batch_size, claim.tiles.stop))

    def _load(self, request: tuple[_Claim, range]) -> _Batch:
        claim, tiles = request
        failures = list[Failure]()
        try:
            images = self.source.load(tiles)
        except InputError:
            images, failures = self._load_singly(tiles)
        tensor = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2)
        if self.encoder.device.type == "cuda":
            tensor = tensor.pin_memory()
        return _Batch(claim, tiles, tensor, tuple(failures))

    def _load_singly(self, tiles: range) -> tuple[NDArray[np.float32], list[Failure]]:
        """The tiles of a batch of which some cannot be read; black in their place."""
        size, failures = self.source.tile_size, []
        images = np.zeros((len(tiles), size, size, 3), np.float32)
        for image, tile in zip(images, tiles, strict=True):
            try:
                image[:] = self.source.load([tile])[0]
            except InputError as error:
                failures.append(Failure(tile, str(self.fov_ids[tile]), str(error)))
        return images, failures

    def _encode(self, batch: _Batch) -> None:
        """Put the features of a batch into its claim."""
        claim = batch.claim
        if not claim.values:
            claim.start()
        claim.failures += batch.failures
        failed = torch.tensor([f.tile - batch.tiles.start for f in batch.failures], dtype=torch.long)
        for layer, maps in self._maps(batch.images, tuple(claim.stores)).items():
            values = maps.index_fill(0, failed.to(maps.device), 0.0) if batch.failures else maps
            half = values.half()
            if not bool(torch.isfinite(half).all()):
                claim.stores[layer].storable(values.cpu().numpy(), batch.tiles)
            claim.values[layer][batch.rows] = half.cpu().numpy()

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        try:
            return self.encoder.encode(images.to(self.encoder.device, non_blocking=True), layers)
        except torch.cuda.OutOfMemoryError as error:
            raise EncoderError(
                f"{self.encoder.card.name} has no room for {len(images)} tiles on {self.device}",
                remedy="Pass a smaller --batch-size; what is stored already is kept",
            ) from error


def _ahead(pool: ThreadPoolExecutor, load: Callable[[Spec], Loaded], requests: Iterable[Spec]) -> Iterator[Loaded]:
    """Results of `load` in order, some computed in the pool while earlier ones are used."""
    coming: deque[Future[Loaded]] = deque()
    for request in requests:
        coming.append(pool.submit(load, request))
        if len(coming) > AHEAD:
            yield coming.popleft().result()
    while coming:
        yield coming.popleft().result()


def _missing(stores: Mapping[str, FeatureStore]) -> list[int]:
    return sorted({shard for store in stores.values() for shard in store.missing()})


def _tiles_in(stores: Mapping[str, FeatureStore], shards: Iterable[int]) -> int:
    store = next(iter(stores.values()))
    return sum(len(store.tiles_of(shard)) for shard in shards)


def _require_space(stores: Mapping[str, FeatureStore]) -> None:
    """Raise a StoreError before the work, not after hours of it, when the disk cannot hold the features."""
    needed = sum(len(store.missing()) * store.shard_tiles * (store.nbytes // store.tiles) for store in stores.values())
    folder = next(iter(stores.values())).folder
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise StoreError(
            f"the features need {needed / 1e9:.1f} GB more, {free / 1e9:.1f} GB are free",
            where=folder,
            remedy="Free disk space (cryostat features prune), choose another --home, or extract fewer layers",
        )


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
