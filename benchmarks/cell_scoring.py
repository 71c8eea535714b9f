"""Pooling of softmax maps over given nuclei against skimage's `regionprops_table` per tile, side by side in one run.

Both do the same: the mean of 15 channels over the pixels of each nucleus, and the argmax. The classes are checked to be
equal. Times are the fastest of the repeats, which take turns, so that other load on the machine hits both alike.

Run: python benchmarks/cell_scoring.py [--repeats N] [--threads N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from skimage.measure import regionprops_table
from torch import Tensor

from cryostat.cells.scoring.nuclei import index_nuclei, pool

CHANNELS = 15
TARGET = 10
"""How many times faster than regionprops_table pooling is to be."""


@dataclass(frozen=True)
class Case:
    """Maps to pool: `tiles` of `height` × `width` px with `nuclei` of `area` px each."""

    name: str
    tiles: int
    height: int
    width: int
    nuclei: int
    area: int


CASES = (
    Case("tiles as in Lizard", 32, 224, 224, 92, 150),
    Case("tiles with 40 nuclei", 32, 224, 224, 40, 200),
    Case("tiles as in PathoCell", 32, 224, 224, 36, 315),
    Case("a field as in PathoCell", 1, 1440, 1920, 2250, 315),
)
"""Nuclei a tile and pixels a nucleus as the published counts give them."""


def discs(case: Case, rng: np.random.Generator) -> NDArray[np.int32]:
    """(N, H, W) instance maps: discs of about the wanted area on a jittered grid."""
    maps = np.zeros((case.tiles, case.height, case.width), np.int32)
    rows = max(1, round((case.nuclei * case.height / case.width) ** 0.5))
    columns = -(-case.nuclei // rows)
    pitch = np.array([case.height / rows, case.width / columns])
    for tile in maps:
        for k in range(case.nuclei):
            radius = (case.area / np.pi) ** 0.5 * rng.uniform(0.85, 1.13)
            y, x = (np.divmod(k, columns) + np.array(0.5)) * pitch + rng.uniform(-0.1, 0.1, 2) * pitch
            top, left = max(0, int(y - radius)), max(0, int(x - radius))
            window = tile[top : int(y + radius) + 2, left : int(x + radius) + 2]
            dy, dx = np.ogrid[top : top + window.shape[0], left : left + window.shape[1]]
            window[(dy - y) ** 2 + (dx - x) ** 2 <= radius**2] = k + 1
    return maps


def by_regionprops(maps: NDArray[np.float32], instances: NDArray[np.int32]) -> NDArray[np.int64]:
    """Class of each nucleus; `maps` are (N, H, W, C) views."""
    classes = []
    for tile, labels in zip(maps, instances, strict=True):
        table = regionprops_table(labels, intensity_image=tile, properties=("label", "intensity_mean"))
        classes.append(np.stack([table[f"intensity_mean-{c}"] for c in range(CHANNELS)], 1).argmax(1))
    return np.concatenate(classes)


def fastest(ways: Mapping[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Seconds of each way, the fastest of the repeats, taken in turns."""
    seconds = {name: float("inf") for name in ways}
    for turn in range(repeats + 1):
        for name, way in ways.items():
            start = time.perf_counter()
            way()
            took = time.perf_counter() - start
            seconds[name] = min(seconds[name], took if turn else float("inf"))
    return seconds


def measure(case: Case, repeats: int) -> list[tuple[str, float, float]]:
    """Way, seconds and ratio to regionprops_table on maps of the same layout."""
    rng = np.random.default_rng(0)
    instances = discs(case, rng)
    logits = torch.from_numpy(rng.normal(size=(case.tiles, CHANNELS, case.height, case.width)).astype(np.float32))
    labels = torch.from_numpy(instances)
    index = index_nuclei(labels)
    rows = []
    for layout, form in (("planes", torch.contiguous_format), ("channels last", torch.channels_last)):
        maps = torch.softmax(logits, 1).contiguous(memory_format=form)
        array = maps.permute(0, 2, 3, 1).numpy()
        if not np.array_equal(by_regionprops(array, instances), pool(maps, labels).means.argmax(1).numpy()):
            raise SystemExit("the two ways do not agree")
        ways = {
            "regionprops_table": lambda array=array: by_regionprops(array, instances),
            "pool": lambda maps=maps: pool(maps, labels).means.argmax(1),
            "pool, nuclei indexed before": lambda maps=maps: index.means(maps).argmax(1),
        }
        if torch.cuda.is_available():
            ways["pool on the GPU"] = on_gpu(maps, labels)
        seconds = fastest(ways, repeats)
        rows += [(f"{layout}: {name}", took, seconds["regionprops_table"] / took) for name, took in seconds.items()]
    return rows


def on_gpu(maps: Tensor, labels: Tensor) -> Callable[[], object]:
    """Pooling of maps that are on the GPU already, as those of a network are."""
    there, nuclei = maps.cuda(), labels.cuda()

    def way() -> object:
        winners = pool(there, nuclei).means.argmax(1)
        torch.cuda.synchronize()
        return winners

    return way


def main() -> None:
    """Print a table a case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    console = Console()
    console.print(f"{CHANNELS} channels, float32, {options.threads} threads; fastest of {options.repeats}")
    for case in CASES:
        size = f"{case.tiles} of {case.height} × {case.width} px with {case.nuclei} nuclei of about {case.area} px"
        table = Table("way", "ms", f"× (target {TARGET})", title=f"{case.name}: {size}", title_justify="left")
        for column in table.columns[1:]:
            column.justify = "right"
        for name, seconds, ratio in measure(case, options.repeats):
            table.add_row(name, f"{1e3 * seconds:.1f}", f"{ratio:.1f}", style="bold" if ratio >= TARGET else "")
        console.print(table)


if __name__ == "__main__":
    main()
