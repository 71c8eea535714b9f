"""Time and memory of the LongNet slide encoder by number of tiles, as ratios between the rows of one run.

Run with: python benchmarks/slide_encoder.py [--width 192] [--device cpu] [--tiles 1000 2000 ...]
Every size runs in a process of its own, on one thread of a CPU, so that peaks of memory are its own. Seconds are those
of the processor, which other programs on the machine do not lengthen. `--width 768` is GigaPath's own.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import resource
import time

SIZES = [1, 1000, 2000, 4000, 8000, 16000]


def measure(tiles: int, width: int, depth: int, device: str) -> tuple[float, float]:
    """Seconds of one pass, and MiB that it took beyond the network and a first short pass."""
    import numpy as np
    import torch

    from cryostat.encoders.slide.coordinates import TileCoordinates, grid_cells
    from cryostat.encoders.slide.longnet import GigaPathNetwork, LongNetSettings, initialise

    torch.set_num_threads(1)
    settings = LongNetSettings(width_in=2 * width, width=width, depth=depth, hidden=4 * width)
    network = GigaPathNetwork(settings).eval().requires_grad_(False)
    initialise(network, 0)
    network.to(device)
    draw = np.random.default_rng(0)
    side = math.ceil(math.sqrt(1.3 * tiles))
    corners = np.stack(np.divmod(np.sort(draw.permutation(side * side)[:tiles]), side)[::-1], 1) * 256.0
    cells = torch.from_numpy(grid_cells(TileCoordinates(corners), 256, 1000)).to(device)
    features = torch.randn(tiles, 2 * width, device=device)

    def work(count: int) -> None:
        with torch.no_grad():
            for state in network.states(features[:count], cells[:count]):
                state[1:].mean(0)
        if device != "cpu":
            torch.cuda.synchronize()

    work(1)
    clock = time.process_time if device == "cpu" else time.perf_counter
    before, start = peak(device), clock()
    work(tiles)
    return clock() - start, peak(device) - before


def peak(device: str) -> float:
    """Largest memory so far in MiB, of the process or of the GPU's allocator."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    import torch

    return torch.cuda.max_memory_allocated(device) / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tiles", type=int, nargs="+", default=SIZES)
    parser.add_argument("--width", type=int, default=192)
    parser.add_argument("--depth", type=int, default=12)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    print(f"LongNet, {options.depth} layers, width {options.width}, {options.device}")
    print(
        f"{'tiles':>8}{'seconds':>10}{'µs a tile':>12}{'MiB':>9}{'kiB a tile':>12}{'× tiles':>10}{'× s':>8}{'× MiB':>8}"
    )
    last: tuple[float, float, float] | None = None
    for tiles in options.tiles:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            seconds, memory = pool.apply(measure, (tiles, options.width, options.depth, options.device))
        row = f"{tiles:8}{seconds:10.2f}{seconds / tiles * 1e6:12.0f}{memory:9.0f}{memory / tiles * 1024:12.1f}"
        if last is not None:
            row += f"{tiles / last[0]:10.1f}{seconds / last[1]:8.2f}{memory / max(last[2], 0.1):8.2f}"
        print(row, flush=True)
        last = (tiles, seconds, memory)


if __name__ == "__main__":
    main()
