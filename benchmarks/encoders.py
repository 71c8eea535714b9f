"""Tiles a second of the built-in encoders, against plain convolutions of the same size in the same run.

Run with: python benchmarks/encoders.py [--side 224] [--batch 8] [--device cpu] [NAME ...]
One thread on a CPU, so that the figure is that of one core.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch

from cryostat.encoders.registry import load_encoder
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.selftest import pixels, tissue


def seconds(work: Callable[[], object], synchronize: bool, repeats: int = 7) -> float:
    """Best of several runs: the least disturbed by whatever else the machine does."""
    work()
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        if synchronize:
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return best


def reference(images: torch.Tensor) -> Callable[[], object]:
    """A 7×7 convolution to 64 channels at full resolution: the first layer of many networks."""
    convolution = torch.nn.Conv2d(3, 64, 7, padding=3).to(images.device).requires_grad_(False)
    return lambda: convolution(images)


def encoder(name: str, device: str) -> TileEncoder:
    built = load_encoder(name, device=device)
    if built.learns_from_pixels:
        built.prepare(pixels(tissue(256, seed)) for seed in range(4))
    return built


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=["stain-filters", "rcf", "random-vit"])
    parser.add_argument("--side", type=int, default=224)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)
    images = tissue(options.side).repeat(options.batch, 1, 1, 1).to(options.device)
    cuda = images.device.type == "cuda"
    plain = seconds(reference(images), cuda) / options.batch
    print(f"{options.side} px, batches of {options.batch}, {options.device}, torch {torch.__version__}")
    print(f"{'':24}{'ms a tile':>12}{'tiles a second':>18}{'× 7×7 convolution':>20}")
    print(f"{'7×7 convolution':24}{plain * 1e3:12.2f}{1 / plain:18.1f}{1:20.1f}")
    for name in options.names:
        built = encoder(name, options.device)
        taken = seconds(lambda subject=built: subject.encode(images), cuda) / options.batch
        print(f"{name:24}{taken * 1e3:12.2f}{1 / taken:18.1f}{taken / plain:20.1f}")


if __name__ == "__main__":
    main()
