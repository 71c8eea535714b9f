"""How fast synthetic tissue grows, in fields a second and beside a Gaussian blur of an image of the same size.

Run: OMP_NUM_THREADS=1 python benchmarks/synthetic_tissue.py [--repeats N]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table
from scipy.ndimage import gaussian_filter

from cryostat.cells.synthetic import make_field
from cryostat.cells.synthetic.tissue import architecture_of

TARGET = 5.0
"""Fields of 512 px a second on one core that are asked for."""

VIEWS = {"512 px, 0.5 µm/px": (512, 0.5), "512 px, 0.25 µm/px": (512, 0.25), "1024 px, 0.5 µm/px": (1024, 0.5)}


def seconds(step: Callable[[], Any]) -> float:
    """Processor time, so that other work on the machine counts little."""
    start = time.process_time()
    step()
    return time.process_time() - start


def measure(size: int, mpp: float, patient: int, repeats: int) -> tuple[float, float, int]:
    """Median seconds of a field and of blurring an image of its size, taken in turns; nuclei of a field."""
    image = np.random.default_rng(0).random((size, size, 3), dtype=np.float32)
    make_field(0, 1, patient, 0, size=size, mpp=mpp)
    fields, blurs, nuclei = [], [], []
    for turn in range(1, repeats + 1):
        made: list[Any] = []
        fields.append(
            seconds(lambda made=made, turn=turn: made.append(make_field(0, 1, patient, turn, size=size, mpp=mpp)))
        )
        blurs.append(seconds(lambda: gaussian_filter(image, (2, 2, 0))))
        nuclei.append(len(made[0].cell_ids))
    return statistics.median(fields), statistics.median(blurs), int(statistics.median(nuclei))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    table = Table("field", "architecture", "nuclei", "fields a second", "in Gaussian blurs (σ 2 px)")
    rates = []
    for name, (size, mpp) in VIEWS.items():
        for patient in (1, 2, 3):
            field, blur, nuclei = measure(size, mpp, patient, repeats)
            if (size, mpp) == (512, 0.5):
                rates.append(1 / field)
            row = (architecture_of(0, 1, patient).name, str(nuclei), f"{1 / field:.1f}", f"{field / blur:.1f}")
            table.add_row(name, *row)
    console = Console()
    console.print(table)
    console.print(f"Slowest at 512 px, 0.5 µm/px: {min(rates):.1f} fields a second; asked for: {TARGET:.0f}.")


if __name__ == "__main__":
    main()
