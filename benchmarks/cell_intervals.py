"""How fast intervals of cells are, and on finished runs: do those that take each cell as independent hold?

Speed is measured on made-up counts of 100 patients and 14 classes. With --home, the fields or patients of every
finished row are cut in halves many times; the 95 % interval of one half, from resampled clusters and from resampled
cells, should hold the score of the other half in 83 of 100 cuts, as two equal estimates differ by √2 standard errors.

Run: python benchmarks/cell_intervals.py [--home FOLDER] [--cuts N] [--draws N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from cryostat.core.home import Home
from cryostat.results.comparison import compare
from cryostat.results.evidence import Evidence, gather, summed
from cryostat.results.intervals import cell_intervals, weights
from cryostat.results.leaderboard import Row, measured_rows
from cryostat.results.records import CELLS, find_runs
from cryostat.results.tables import summarise
from cryostat.results.tallies import Tallies
from cryostat.results.uncertainty import interval

LEAST_CLUSTERS = 10
"""Rows with fewer are not cut in halves."""


def made_up(clusters: int, classes: int, seeds: int, source: int) -> Evidence:
    """Evidence of random counts: the same nuclei whatever the `source`."""
    names = [f"p{i:03}" for i in range(clusters)]
    fields = pd.DataFrame({"fov_id": names, "patient_id": names, "site": None, "nuclei": np.arange(clusters)})
    rng = np.random.default_rng(source)
    tallies = []
    for seed in range(seeds):
        field, true = np.indices((clusters, classes)).reshape(2, -1)
        hits = rng.binomial(60, 0.7, len(field))
        rows = [
            np.stack([field, true + 1, true + 1, hits]),
            np.stack([field, true + 1, (true + 1) % classes + 1, 60 - hits]),
        ]
        tallies.append(Tallies(f"{source}-{seed}", fields, np.concatenate(rows, 1).T))
    return gather(tallies, {c + 1: f"class {c + 1}" for c in range(classes)})


def seconds(work: Callable[[], object]) -> float:
    """The least time of five goes, with nothing kept from the one before."""
    times = []
    for _ in range(5):
        weights.cache_clear()
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def speed() -> Table:
    """10,000 draws over 100 patients and 14 classes."""
    table = Table(title="10,000 draws, 100 patients, 14 classes")
    for name in ("seeds", "intervals, s", "paired comparison, s"):
        table.add_column(name, justify="right")
    for seeds in (1, 3, 5):
        one, two = made_up(100, 14, seeds, 0), made_up(100, 14, seeds, 1)
        times = seconds(partial(cell_intervals, one)), seconds(partial(compare, one, two))
        table.add_row(str(seeds), *(f"{value:.2f}" for value in times))
    return table


def by_cells(half: Evidence, draws: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Lower and upper end of the macro F1, every cell drawn by itself."""
    total = half.by_cluster[0].sum(0)
    drawn = rng.multinomial(int(total.sum()), (total / total.sum()).ravel(), size=draws)
    scores = half.score(summed(drawn.reshape(draws, *total.shape).astype(np.float64)))[:, 0]
    found = interval(half.total()[0], scores, int(total.sum()))
    return np.array([found.low, found.high])


def held(row: Evidence, cuts: int, draws: int) -> dict[str, tuple[float, float]]:
    """Share of cuts in which the interval of one half holds the other half's macro F1, and the mean width."""
    rng = np.random.default_rng(0)
    found: dict[str, list[tuple[bool, float]]] = {"clusters": [], "cells": []}
    for cut in range(cuts):
        inside = np.isin(row.clusters, rng.permutation(row.size)[: row.size // 2])
        one, two = row.of_fields(inside), row.of_fields(~inside)
        if not np.array_equal(one.counted, two.counted):
            continue
        ours = cell_intervals(one, draws=draws, seed=cut).macro_f1
        other = two.total()[0]
        for name, (low, high) in {"clusters": (ours.low, ours.high), "cells": by_cells(one, draws, rng)}.items():
            found[name].append((bool(low <= other <= high), high - low))
    return {name: tuple(np.mean(values, 0)) for name, values in found.items()}


def halves(home: Home, cuts: int, draws: int) -> Table:
    """Every finished row with enough clusters, its first seed."""
    records = {record.run_id: record for record in find_runs(home, benchmark=CELLS).records}
    frame, _ = summarise(records.values())
    rows = [row for row in measured_rows(frame, records)[0].values() if row.intervals.clusters >= LEAST_CLUSTERS]
    table = Table(title=f"Share of {cuts} cuts whose 95 % interval holds the other half (mean width); 0.83 is right")
    for name in ("row", "clusters", "design effect", "clusters resampled", "cells resampled"):
        table.add_column(name, justify="left" if name == "row" else "right")
    for row in rows:
        found = held(row.evidence.of_seeds([0]), cuts, draws)
        shares = [f"{share:.2f} ({width:.3f})" for share, width in found.values()]
        table.add_row(_name(row), str(row.intervals.clusters), f"{row.intervals.design_effect:.0f}", *shares)
    return table


def _name(row: Row) -> str:
    return " · ".join(str(row.facts[name]) for name in ("dataset", "split", "encoder", "head"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="home folder with finished runs")
    parser.add_argument("--cuts", type=int, default=300, help="cuts in halves of each row")
    parser.add_argument("--draws", type=int, default=1000, help="resamples of each half")
    options = parser.parse_args()
    console = Console(width=120)
    console.print(speed())
    if options.home:
        console.print(halves(Home(options.home), options.cuts, options.draws))


if __name__ == "__main__":
    main()
