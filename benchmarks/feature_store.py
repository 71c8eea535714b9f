"""The feature store against a plain np.memmap of the same bytes, side by side in one run.

Run: python benchmarks/feature_store.py [--folder FOLDER] [--repeats N]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from cryostat.features.store import FeatureStore

BATCH = 64
SHAPES = {
    "ViT-L/16, 14×14×1024": (1000, (14, 14, 1024)),
    "narrow, 28×28×48": (4000, (28, 28, 48)),
    "tiny, 14×14×24": (8000, (14, 14, 24)),
}
TARGET = 0.7
"""Share of the speed of a plain map that random batches must reach."""

WARM_UP = 2
"""Turns that are not counted."""

Step = Callable[[int], Any]


def build(folder: Path, tiles: int, shape: tuple[int, int, int]) -> FeatureStore:
    """A complete store of random features in `store/` and the same bytes in one file, `plain.npy`."""
    index = pd.DataFrame({"tile": range(tiles), "fov_id": "field"})
    store = FeatureStore.create_or_open(folder / "store", {"benchmark": list(shape)}, index, shape)
    plain = np.lib.format.open_memmap(folder / "plain.npy", "w+", np.float16, (tiles, *shape))
    random = np.random.default_rng(0)
    for shard in range(store.shards):
        rows = store.tiles_of(shard)
        values = random.standard_normal((len(rows), *shape), dtype=np.float32).astype(np.float16)
        plain[rows.start : rows.stop] = values
        store.write(shard, values)
    plain.flush()
    return store


def alternate(ours: Step, theirs: Step, repeats: int) -> tuple[list[float], list[float]]:
    """Seconds of both steps, taken in turns, so that whatever else the machine does slows both."""
    steps: dict[Step, list[float]] = {ours: [], theirs: []}
    for turn in range(-WARM_UP, repeats):
        for step in (ours, theirs) if turn % 2 else (theirs, ours):
            seconds = once(lambda step=step, turn=turn: step(turn))
            if turn >= 0:
                steps[step].append(seconds)
    return steps[ours], steps[theirs]


def random_batches(store: FeatureStore, plain: NDArray[Any], repeats: int) -> tuple[list[float], list[float]]:
    batches = np.random.default_rng(1).integers(0, store.tiles, (repeats + WARM_UP, BATCH))
    return alternate(lambda i: store.read(batches[i]), lambda i: plain[batches[i]], repeats)


def in_order(store: FeatureStore, plain: NDArray[Any], repeats: int) -> tuple[list[float], list[float]]:
    starts = np.arange(repeats + WARM_UP) * BATCH % (store.tiles - BATCH)
    return alternate(
        lambda i: store.read(range(starts[i], starts[i] + BATCH)),
        lambda i: np.array(plain[starts[i] : starts[i] + BATCH]),
        repeats,
    )


def first_tile(store: FeatureStore, plain: NDArray[Any], repeats: int) -> tuple[list[float], list[float]]:
    """From nothing opened to one tile read."""
    path = store.folder.parent / "plain.npy"
    return alternate(
        lambda i: FeatureStore(store.folder).read([i % store.tiles]),
        lambda i: np.array(np.load(path, mmap_mode="r")[i % store.tiles]),
        repeats,
    )


def once(step: Callable[[], Any]) -> float:
    began = time.perf_counter()
    step()
    return time.perf_counter() - began


def tiles_a_second(seconds: list[float]) -> str:
    return f"{BATCH / statistics.median(seconds):,.0f}"


def milliseconds(seconds: list[float]) -> str:
    return f"{1e3 * statistics.median(seconds):.2f} ms"


MEASURES = {
    "random batches of 64, tiles/s": (random_batches, tiles_a_second),
    "batches of 64 in order, tiles/s": (in_order, tiles_a_second),
    "open and read one tile": (first_tile, milliseconds),
}


def measure(name: str, folder: Path, repeats: int, table: Table) -> float:
    """Add the rows of one shape to the table and return the ratio of random batches."""
    tiles, shape = SHAPES[name]
    store = build(folder, tiles, shape)
    plain = np.load(folder / "plain.npy", mmap_mode="r")
    ratios = []
    for what, (run, unit) in MEASURES.items():
        ours, theirs = run(store, plain, repeats)
        ratio = [b / a for a, b in zip(ours, theirs, strict=True)]
        ratios.append(statistics.median(ratio))
        low, high = np.quantile(ratio, [0.1, 0.9])
        table.add_row(name, what, unit(ours), unit(theirs), f"{ratios[-1]:.2f} ({low:.2f}–{high:.2f})")
    table.add_row(name, "look at all shards (complete)", milliseconds([once(lambda: store.complete)]), "", "")
    speed = store.nbytes / 1e9 / once(store.verify)
    table.add_row(name, "checksum every byte (verify)", f"{speed:.2f} GB/s", "", "", end_section=True)
    return ratios[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--folder", type=Path, help="where to put about 1.2 GB for a while (default: the temporary one)"
    )
    parser.add_argument("--repeats", type=int, default=101)
    settings = parser.parse_args()
    table = Table(title="FeatureStore against np.memmap (medians; page cache warm)", title_justify="left")
    for column, side in {"features": "left", "what": "left", "store": "right", "np.memmap": "right"}.items():
        table.add_column(column, justify=side)
    table.add_column("times as fast (10–90 %)", justify="right")
    ratios = {}
    for name in SHAPES:
        with tempfile.TemporaryDirectory(dir=settings.folder) as folder:
            ratios[name] = measure(name, Path(folder), settings.repeats, table)
    console = Console(width=120)
    console.print(table)
    for name, ratio in ratios.items():
        verdict = "met" if ratio >= TARGET else "missed"
        console.print(f"{name}: random batches of {BATCH} at {ratio:.2f} of a plain map; target {TARGET}: {verdict}")


if __name__ == "__main__":
    main()
