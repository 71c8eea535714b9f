"""`data build` at full scale: the 140 spots of the CODEX colorectal study, whose masks are not public.

Draws a disc for every cell at its published position, on a canvas tinted as haematoxylin, joins the published
phenotypes by position, and compares the merged class counts with a plain count of the text files.

    python benchmarks/build_codex.py ../shared/data/nuclei/codex_crc_cells [--spots 140] [--work FOLDER]
"""

from __future__ import annotations

import argparse
import csv
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

from cryostat.cells.building import BuildReport, build_dataset
from cryostat.cells.datasets.pathocell import TYPES
from cryostat.core.home import Home

HEIGHT, WIDTH, RADIUS = 1440, 1920, 4
EOSIN, NUCLEUS = (232, 180, 210), (104, 72, 150)


def draw_spot(positions: Path, stem: str, folder: Path, rng: np.random.Generator) -> int:
    """Write the image and the mask of one spot; how many cells it has."""
    xy = np.loadtxt(positions, dtype=np.float64, ndmin=2)
    x, y = np.rint(xy).astype(int).T
    mask = np.zeros((HEIGHT + 2 * RADIUS, WIDTH + 2 * RADIUS), np.int32)
    dy, dx = np.mgrid[-RADIUS : RADIUS + 1, -RADIUS : RADIUS + 1]
    disc = np.flatnonzero((dy**2 + dx**2 <= RADIUS**2).ravel())
    for k in disc:
        mask[y + RADIUS + dy.flat[k], x + RADIUS + dx.flat[k]] = np.arange(1, len(x) + 1)
    # Later discs cover earlier ones; every cell gets its own centre back.
    mask[y + RADIUS, x + RADIUS] = np.arange(1, len(x) + 1)
    mask = mask[RADIUS:-RADIUS, RADIUS:-RADIUS]
    image = np.where(mask[..., None] > 0, NUCLEUS, EOSIN) + rng.integers(-8, 9, (HEIGHT, WIDTH, 1))
    Image.fromarray(image.astype(np.uint8)).save(folder / "images" / f"{stem}.png", compress_level=1)
    Image.fromarray(mask.astype(np.uint16)).save(folder / "masks" / f"{stem}.png", compress_level=1)
    return len(x)


def plain_counts(source: Path, stems: list[str]) -> Counter[str]:
    """Lines of the text files, each counted for the class that the merge table gives it."""
    with TYPES.open(newline="") as stream:
        merge = {row["phenotype"]: row["class"] for row in csv.DictReader(stream)}
    files = (source / f"{stem}_CellTypeLabel.txt" for stem in stems)
    return Counter(merge[line] for file in files for line in file.read_text().splitlines() if merge[line])


def build(source: Path, work: Path, stems: list[str]) -> tuple[BuildReport, float, float]:
    """Draw, then build; the report and the seconds that each took."""
    for name in ("images", "masks"):
        (work / name).mkdir(parents=True, exist_ok=True)
    rng, began = np.random.default_rng(0), time.perf_counter()
    for stem in stems:
        draw_spot(source / f"{stem}_Coordinates.txt", stem, work, rng)
    drawn = time.perf_counter()
    report = build_dataset(
        work / "images",
        work / "masks",
        source,
        Home(work / "home"),
        name="codex",
        merge=TYPES,
        mpp=0.377,
        overwrite=True,
    )
    return report, drawn - began, time.perf_counter() - drawn


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path)
    parser.add_argument("--spots", type=int)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    files = sorted(given.source.glob("*_CellTypeLabel.txt"))[: given.spots]
    stems = [path.name.removesuffix("_CellTypeLabel.txt") for path in files]
    with tempfile.TemporaryDirectory() as scratch:
        report, drawing, building = build(given.source, given.work or Path(scratch), stems)
        expected = plain_counts(given.source, stems)
        print(f"{'class':<24}{'plain count':>12}{'dataset':>10}")
        for name, count in report.counts.items():
            print(f"{name:<24}{expected[name]:>12}{count:>10}{'' if expected[name] == count else '  differs'}")
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{len(stems)} spots, {sum(report.counts.values())} nuclei, {report.unmatched} rows unmatched")
        print(f"proposed for exclusion: {(report.qc['reason'] != '').sum()}")
        print(f"drawing {drawing:.0f} s, building {building:.0f} s, peak memory {peak:.0f} MiB")
        return 0 if +expected == Counter(report.counts) - Counter() else 1


if __name__ == "__main__":
    sys.exit(main())
