"""Eight live trainings on one ViT-S: beside each other, sharing every encoder pass, against one after another.

Usage: python benchmarks/one_pass.py [--steps N] [--batch N] [--threads N]
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import torch

from cryostat.cells.runs.bench import Bench
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.synthetic import make_dataset
from cryostat.core.errors import CryostatError
from cryostat.core.home import Home

ENCODER = "vit_small_patch16_224"


def specs(steps: int, batch: int) -> list[RunSpec]:
    settings = {"steps": steps, "batch": batch, "validate_every": max(1, steps // 2)}
    return [
        RunSpec("tissue", ENCODER, head, "base", seed=seed, mode="live", head_settings=settings)
        for head in ("linear", "cell-probe")
        for seed in range(4)
    ]


def tissue(folder: Path) -> Home:
    home = Home(folder)
    make_dataset(home, name="tissue", hospitals=2, patients=4, fields=2, size=512, seed=0)
    return home


def beside_each_other(home: Home, runs: list[RunSpec]) -> tuple[float, list[float | None]]:
    start = time.perf_counter()
    records = Bench(home).run_together(runs)
    seconds = time.perf_counter() - start
    failed = [record for record in records if isinstance(record, CryostatError)]
    if failed:
        raise failed[0]
    return seconds, [record.scores().macro_f1 for record in records if not isinstance(record, CryostatError)]


def one_after_another(home: Home, runs: list[RunSpec]) -> tuple[float, list[float | None]]:
    seconds, scores = 0.0, []
    for run in runs:
        start = time.perf_counter()
        record = Bench(home).run(run)
        seconds += time.perf_counter() - start
        scores.append(record.scores().macro_f1)
    return seconds, scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=48)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    runs = specs(options.steps, options.batch)
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        together, scores = beside_each_other(tissue(Path(first)), runs)
        apart, same = one_after_another(tissue(Path(second)), runs)
    size = f"{options.steps} steps of {options.batch} tiles"
    print(f"{len(runs)} live runs of {size} on {ENCODER}, {options.threads} threads")
    print(f"beside each other   {together:7.1f} s")
    print(f"one after another   {apart:7.1f} s")
    print(f"ratio               {apart / together:7.2f}")
    print(f"scores are equal to the bit: {scores == same}")


if __name__ == "__main__":
    main()
