"""How often 95 % intervals hold the truth: resampled patients against resampled rows, by simulation.

Patients differ in their mix of classes and in how well each class is recognised, so the rows of one patient (its
nuclei) hang together; with one row a patient the table is that of the cases benchmark. The truth is the metric of
400,000 patients. A 95 % interval should hold it in 95 of 100 studies; one from resampled rows, as if each nucleus were
a study of its own, holds it the less the more nuclei a patient has.

Run: python benchmarks/coverage.py [--trials N] [--draws N]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from cryostat.results.cases.metrics import confusion_metrics
from cryostat.results.uncertainty import bootstrap, interval

MIX = np.array([0.5, 0.3, 0.2])
RECALL = np.array([0.85, 0.7, 0.6])
CONCENTRATION = 6.0
"""Of the beta distributions by which patients differ: 1 / (1 + 6) of the variance of a hit lies between patients."""

METRICS = ("balanced_accuracy", "macro_f1")
TRUTH_PATIENTS = 400_000


@dataclass(frozen=True)
class Case:
    """A study: how many patients, and rows (nuclei) of each."""

    patients: int
    rows: int


CASES = (
    Case(28, 1),
    Case(100, 1),
    Case(200, 1),
    Case(500, 1),
    Case(10, 300),
    Case(27, 300),
    Case(100, 30),
    Case(100, 300),
)


def simulate(case: Case, rng: np.random.Generator) -> NDArray[np.float64]:
    """(patients, C · C) confusion matrices."""
    classes = len(MIX)
    mixes = rng.dirichlet(CONCENTRATION * MIX, case.patients) if case.rows > 1 else np.tile(MIX, (case.patients, 1))
    support = rng.multinomial(case.rows, mixes)
    recall = rng.beta(CONCENTRATION * RECALL, CONCENTRATION * (1 - RECALL), (case.patients, classes))
    hits = rng.binomial(support, recall)
    near = rng.binomial(support - hits, 0.7)
    counts = np.zeros((case.patients, classes, classes))
    for c in range(classes):
        counts[:, c, c] = hits[:, c]
        counts[:, c, (c + 1) % classes] = near[:, c]
        counts[:, c, (c + 2) % classes] = (support - hits - near)[:, c]
    return counts.reshape(case.patients, -1)


def metric(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """The metrics of summed confusion matrices, (..., 2), in the order of `METRICS`."""
    classes = len(MIX)
    found = confusion_metrics(sums.reshape(*sums.shape[:-1], classes, classes))
    return np.stack([found[name] for name in METRICS], -1)


def by_rows(counts: NDArray[np.float64], draws: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The naive interval: every row drawn by itself."""
    total = counts.sum(0)
    drawn = np.random.default_rng(seed).multinomial(int(total.sum()), total / total.sum(), size=draws)
    found = interval(metric(total), metric(drawn.astype(np.float64)), int(total.sum()))
    return found.low, found.high


def by_patients(method: str) -> Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """The cluster bootstrap with a kind of interval."""

    def ends(counts: NDArray[np.float64], draws: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        found = bootstrap(counts, metric, draws=draws, seed=seed, method=method)
        return found.low, found.high

    return ends


WAYS: Mapping[str, Callable[..., tuple[NDArray[np.float64], NDArray[np.float64]]]] = {
    "patients": by_patients("percentile"),
    "patients, BCa": by_patients("bca"),
    "rows": by_rows,
}


def coverage(case: Case, trials: int, draws: int) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """For each way the share of studies whose intervals hold the truth, and their mean width, by metric."""
    truth = metric(simulate(Case(TRUTH_PATIENTS, case.rows), np.random.default_rng(1)).sum(0))
    rng = np.random.default_rng(2)
    held = {way: np.zeros((trials, len(METRICS))) for way in WAYS}
    width = {way: np.zeros((trials, len(METRICS))) for way in WAYS}
    for trial in range(trials):
        counts = simulate(case, rng)
        for way, ends in WAYS.items():
            low, high = ends(counts, draws, trial)
            held[way][trial] = (low <= truth) & (truth <= high)
            width[way][trial] = high - low
    return {way: (held[way].mean(0), width[way].mean(0)) for way in WAYS}


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000, help="studies of each kind")
    parser.add_argument("--draws", type=int, default=1000, help="resamples of each study")
    options = parser.parse_args()
    table = Table(title="Share of 95 % intervals that hold the truth (mean width), by what is resampled")
    for name in ("patients", "rows each", "metric", *WAYS):
        table.add_column(name, justify="left" if name == "metric" else "right", no_wrap=True)
    start = time.perf_counter()
    for case in CASES:
        found = coverage(case, options.trials, options.draws)
        for m, name in enumerate(METRICS):
            cells = [f"{held[m]:.3f} ({width[m]:.3f})" for held, width in found.values()]
            table.add_row(str(case.patients), str(case.rows), name, *cells)
    console = Console(width=100)
    console.print(table)
    error = np.sqrt(0.95 * 0.05 / options.trials)
    seconds = time.perf_counter() - start
    console.print(f"{options.trials} studies each, standard error of a share {error:.3f}; {seconds:.0f} s")


if __name__ == "__main__":
    main()
