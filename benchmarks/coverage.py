"""How often 95 % intervals hold the truth, and how often a test finds what is not there, by simulation.

Patients differ in how many cells they give, in their mix of classes and in how well each class is recognised, so that
the cells of one patient hang together. For each kind of population and number of patients the same code as in `cryostat
results` and `cryostat compare` makes the intervals of the macro F1, of the F1 of the rarest class (where three patients
hold it, so that it is not marked) and of the difference of two models; beside them stands the interval that takes every
cell for a study of its own. The truth is that of all patients. Half of the studies compare models that differ, half
equal ones, of which a test at 5 % should find 5 of 100 to differ.

The methods were chosen on the first kinds; the last ones, marked *, were looked at once, afterwards.

Run: python benchmarks/coverage.py [--trials N] [--draws N] [--only KIND] [--markdown]
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table
from scipy.special import betaincinv, ndtr

from cryostat.results.comparison import compare
from cryostat.results.evidence import RARE_CLUSTERS, Evidence, summed
from cryostat.results.intervals import cell_intervals
from cryostat.results.uncertainty import bootstrap, interval, paired_difference

Floats = NDArray[np.float64]

COUNTS = (6, 10, 15, 27, 50, 100, 300)
SINGLE_COUNTS = (27, 50, 100, 300)
SHARED = 0.5
"""Correlation of how hard a patient is for the one and for the other model."""

WORSE = 0.05
"""By how much the recall of the second model is lower where the models differ."""

TRUTH_PATIENTS = 600_000
QUANTILES = np.linspace(-5, 5, 801)


@dataclass(frozen=True)
class Kind:
    """A population of patients.

    Attributes:
        name: Of the kind.
        mix: Mean share of each class, before the absent ones go.
        recall: Mean recall of each class.
        concentration: Of the Dirichlet distribution of a patient's mix; small is unlike.
        spread: Standard deviation of the logarithm of a patient's cells.
        likeness: Intraclass correlation of hits: share of their variance that lies between patients.
        present: Share of patients that have each class at all.
        common: Share of it that is one for all classes of a patient.
        informed: Correlation of a patient's size and recall.
        single: One cell a patient, as in the cases benchmark.
        cases: Scored by the plain percentiles of the cases benchmark.
        other: Intraclass correlation of the second model; as the first one's by default.
        held_out: Not looked at while methods were chosen.
    """

    name: str
    mix: tuple[float, ...] = (0.4, 0.25, 0.15, 0.1, 0.07, 0.03)
    recall: tuple[float, ...] = (0.85, 0.75, 0.7, 0.6, 0.6, 0.5)
    concentration: float = 10.0
    spread: float = 0.8
    likeness: float = 0.15
    present: tuple[float, ...] = ()
    common: float = 0.3
    informed: float = 0.0
    single: bool = False
    cases: bool = False
    other: float = 0.0
    held_out: bool = False


SOME = (1, 1, 1, 1, 0.3, 0.15)
THREE = {"mix": (0.5, 0.3, 0.2), "recall": (0.85, 0.7, 0.6), "single": True}
KINDS = (
    Kind("equal sizes", spread=0.0, concentration=50, likeness=0.05),
    Kind("unequal sizes", spread=0.8),
    Kind("unlike mixes", spread=1.0, concentration=2),
    Kind("rare in 15 %", spread=1.0, concentration=3, likeness=0.3, present=SOME),
    Kind("F1 near 1", likeness=0.2, recall=(0.97, 0.95, 0.95, 0.92, 0.9, 0.9)),
    Kind("one row each", **THREE),
    Kind("one row, cases", cases=True, **THREE),
    Kind("large are easy", spread=1.0, informed=0.6, likeness=0.2, held_out=True),
    Kind(
        "ten classes",
        mix=(0.3, 0.2, 0.1, 0.1, 0.1, 0.05, 0.05, 0.04, 0.04, 0.02),
        recall=(0.9, 0.8, 0.75, 0.7, 0.7, 0.6, 0.6, 0.5, 0.7, 0.6),
        spread=1.2,
        concentration=6,
        present=(1, 1, 1, 1, 1, 0.8, 0.5, 0.5, 0.3, 0.2),
        held_out=True,
    ),
    Kind(
        "one model unsteady",
        mix=(0.5, 0.3, 0.2),
        recall=(0.8, 0.7, 0.65),
        concentration=5,
        likeness=0.05,
        other=0.3,
        common=0.7,
        held_out=True,
    ),
)


@cache
def recall_table(mean: float, likeness: float) -> Floats:
    """Quantiles of a beta distribution at those of the normal one in `QUANTILES`."""
    total = 1 / likeness - 1
    found: Floats = betaincinv(total * mean, total * (1 - mean), ndtr(QUANTILES))
    return found


def patients(kind: Kind, number: int, rng: np.random.Generator) -> tuple[Floats, NDArray[np.int64]]:
    """(number, k + 1) mixes and the size's place in a normal distribution; (number,) cells."""
    place = rng.standard_normal(number)
    mix = np.array(kind.mix)
    if kind.single:
        return np.column_stack([np.tile(mix, (number, 1)), place]), np.ones(number, np.int64)
    drawn = rng.standard_gamma(kind.concentration * mix, (number, len(mix)))
    drawn = drawn * (rng.random(drawn.shape) < np.array(kind.present or (1,) * len(mix))) + 1e-12
    sizes = np.maximum(20, np.round(300 * np.exp(kind.spread * place))).astype(np.int64)
    return np.column_stack([drawn / drawn.sum(1, keepdims=True), place]), sizes


def recalls(kind: Kind, place: Floats, worse: float, rng: np.random.Generator) -> Iterator[Floats]:
    """(patients, k) recall of the first and of the second model."""
    number, k = len(place), len(kind.mix)

    def latent() -> Floats:
        whole: Floats = np.sqrt(kind.common) * rng.standard_normal((number, 1))
        return whole + np.sqrt(1 - kind.common) * rng.standard_normal((number, k))

    both = latent()
    for less, likeness in ((0.0, kind.likeness), (worse, kind.other or kind.likeness)):
        hard = np.sqrt(SHARED) * both + np.sqrt(1 - SHARED) * latent()
        hard = np.sqrt(1 - kind.informed**2) * hard + kind.informed * place[:, None]
        columns = [np.interp(hard[:, c], QUANTILES, recall_table(kind.recall[c] - less, likeness)) for c in range(k)]
        yield np.stack(columns, 1)


def errors_to(kind: Kind) -> Floats:
    """(k, k) to which class the cells of each class go where it is missed."""
    found = np.tile(kind.mix, (len(kind.mix), 1))
    np.fill_diagonal(found, 0)
    return found / found.sum(1, keepdims=True)


def study(kind: Kind, number: int, worse: float, rng: np.random.Generator) -> list[NDArray[np.int64]]:
    """Confusion matrices of both models by patient, (number, k, k)."""
    about, sizes = patients(kind, number, rng)
    support = rng.multinomial(sizes, about[:, :-1])
    found, diagonal = [], np.arange(support.shape[1])
    for recall in recalls(kind, about[:, -1], worse, rng):
        hits = rng.binomial(support, np.clip(recall, 0, 1))
        matrices = rng.multinomial(support - hits, errors_to(kind))
        matrices[:, diagonal, diagonal] += hits
        found.append(matrices)
    return found


@cache
def truth(kind: Kind, worse: float) -> Floats:
    """(2, k) F1 of each class over all patients, of both models."""
    rng, k = np.random.default_rng(1), len(kind.mix)
    matrices = np.zeros((2, k, k))
    for _ in range(10):
        about, sizes = patients(kind, TRUTH_PATIENTS // 10, rng)
        support = sizes[:, None] * about[:, :-1]
        for model, recall in enumerate(recalls(kind, about[:, -1], worse, rng)):
            hits = (support * recall).sum(0)
            matrices[model] += np.diag(hits) + (support.sum(0) - hits)[:, None] * errors_to(kind)
    hits = np.diagonal(matrices, axis1=1, axis2=2)
    return 2 * hits / (matrices.sum(1) + matrices.sum(2))


def as_evidence(matrices: NDArray[np.int64], fields: pd.DataFrame) -> Evidence:
    """What one run on such patients leaves."""
    number, k, _ = matrices.shape
    confusions = np.zeros((1, number, k + 1, k + 1), np.int64)
    confusions[0, :, 1:, 1:] = matrices
    names = {c + 1: f"class {c + 1}" for c in range(k)}
    counted = matrices.sum((0, 2))[None] > 0
    return Evidence(names, "fixed", fields, np.arange(number), "patient", confusions, counted, "")


def by_cells(row: Evidence, draws: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Ends of all scores, every cell drawn by itself."""
    total = row.by_cluster[0].sum(0)
    drawn = rng.multinomial(int(total.sum()), (total / total.sum()).ravel(), size=draws)
    scores = row.score(summed(drawn.reshape(draws, *total.shape).astype(np.float64)))
    found = interval(row.total(), scores, int(total.sum()))
    return found.low, found.high


Tally = dict[str, list[tuple[float, float]]]
"""What was asked, to whether each study's interval held the truth (or its test found something), and the width."""


def note(tally: Tally, name: str, low: float, high: float, true: float) -> None:
    """Add whether an interval held."""
    tally.setdefault(name, []).append((float(low <= true <= high), high - low))


def look(kind: Kind, models: Sequence[Evidence], true: Floats, equal: bool, options: argparse.Namespace) -> Tally:
    """One study by the benchmark of cells."""
    one, two = models
    tally: Tally = {}
    here, rarest = one.counted[0], len(kind.mix) - 1
    macro = true[:, here].mean(1)
    ours = cell_intervals(one, draws=options.draws)
    low, high = by_cells(one, options.draws // 4, np.random.default_rng(0))
    note(tally, "macro", ours.macro_f1.low, ours.macro_f1.high, macro[0])
    note(tally, "macro, naive", low[0], high[0], macro[0])
    if one.spread[rarest] >= RARE_CLUSTERS:
        f1 = ours.classes[rarest].f1
        note(tally, "rarest", f1.low, f1.high, true[0, rarest])
        note(tally, "rarest, naive", low[-1], high[-1], true[0, rarest])
    found = compare(one, two, draws=options.draws).macro_f1
    note(tally, "difference", found.difference.low, found.difference.high, macro[0] - macro[1])
    if equal:
        tally["level"] = [(float(found.p_value <= 0.05), 0.0)]
    return tally


def macro_f1(sums: Floats) -> Floats:
    """The macro F1 over three classes of summed confusion matrices."""
    matrices = sums.reshape(*sums.shape[:-1], 3, 3)
    both = matrices.sum(-1) + matrices.sum(-2)
    hits = np.diagonal(matrices, axis1=-2, axis2=-1)
    mean: Floats = np.divide(2 * hits, both, out=np.zeros_like(both), where=both > 0).mean(-1)
    return mean


def look_cases(matrices: Sequence[NDArray[np.int64]], true: Floats, equal: bool, options: argparse.Namespace) -> Tally:
    """One study by the benchmark of cases."""
    one, two = (m.reshape(len(m), -1).astype(np.float64) for m in matrices)
    tally: Tally = {}
    macro = true.mean(1)
    ours = bootstrap(one, macro_f1, draws=options.draws).at()
    note(tally, "macro", ours.low, ours.high, macro[0])
    found = paired_difference(one, two, macro_f1, draws=options.draws)
    apart = found.difference.at()
    note(tally, "difference", apart.low, apart.high, macro[0] - macro[1])
    if equal:
        tally["level"] = [(float(found.p_value <= 0.05), 0.0)]
    return tally


def simulate(kind: Kind, number: int, options: argparse.Namespace) -> Tally:
    """All studies of a kind and a number of patients."""
    rng, whole = np.random.default_rng([number, 2]), Tally()
    names = [f"p{i:03}" for i in range(number)]
    fields = pd.DataFrame({"fov_id": names, "patient_id": names, "site": None, "nuclei": np.arange(number)})
    for trial in range(options.trials):
        equal = bool(trial % 2)
        worse = 0.0 if equal else WORSE
        matrices, true = study(kind, number, worse, rng), truth(kind, worse)
        if kind.cases:
            found = look_cases(matrices, true, equal, options)
        else:
            found = look(kind, [as_evidence(m, fields) for m in matrices], true, equal, options)
        for name, values in found.items():
            whole.setdefault(name, []).extend(values)
    return whole


COLUMNS = ("macro", "macro, naive", "rarest", "rarest, naive", "difference", "level")


def cell_of(tally: Tally, name: str) -> str:
    """Share in per cent and mean width."""
    values = tally.get(name, [])
    if len(values) < 50:
        return "–"
    share, width = np.mean(values, 0)
    return f"{100 * share:.1f}" if name == "level" else f"{100 * share:.1f} ({width:.2f})"


def rows(options: argparse.Namespace) -> Iterator[list[str]]:
    """The table, row by row."""
    for kind in KINDS:
        if options.only and options.only not in kind.name:
            continue
        for number in SINGLE_COUNTS if kind.single else COUNTS:
            found = simulate(kind, number, options)
            name = kind.name + " *" * kind.held_out
            yield [name, str(number), *(cell_of(found, column) for column in COLUMNS)]


def main() -> None:
    """Simulate and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=1000, help="studies of each kind and number of patients")
    parser.add_argument("--draws", type=int, default=1000, help="resamples and exchanges of each study")
    parser.add_argument("--only", default="", help="part of the name of a kind")
    parser.add_argument("--markdown", action="store_true", help="rows as they are done, for a page")
    options = parser.parse_args()
    console, start = Console(width=130), time.perf_counter()
    title = "Share (%) of 95 % intervals that hold the truth (mean width); level: share (%) of tests that are wrong"
    table = Table(title=title)
    for name in ("patients are", "number", *COLUMNS):
        table.add_column(name, justify="left" if name == "patients are" else "right", no_wrap=True)
    for row in rows(options):
        table.add_row(*row)
        if options.markdown:
            print("| " + " | ".join(row) + " |", flush=True)
    if not options.markdown:
        console.print(table)
    error = 100 * np.sqrt(0.95 * 0.05 / options.trials)
    seconds = time.perf_counter() - start
    told = f"{options.trials} studies a row, half of them for the level; standard error of a share {error:.1f}"
    console.print(f"{told}; {seconds:.0f} s")


if __name__ == "__main__":
    main()
