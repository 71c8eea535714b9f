"""Published tables as data: rows, test sets, marks and contradictions, read from the files that ship."""

from __future__ import annotations

import csv
import io
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Any

from cryostat.core.errors import SettingError

BENCHMARKS = ("pathocellbench", "core-bt")
"""Names of the benchmarks whose numbers ship."""

FACTS = "benchmark.toml"
"""Beside the tables: what they are."""

CLASS_F1 = "f1 "
"""Prefix of the columns that hold the F1 of a class."""

TEXTS = ("model", "head", "config", "marks")
"""Columns that hold no number."""


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published table.

    Attributes:
        model: As printed.
        encoder: Name of our card of it; `none` for a network without one, empty where the table has no encoders.
        head: Name of our head, of benchmarks of encoders.
        config: What was given and withheld, of benchmarks of cases, as printed.
        fraction: Share of the training data.
        metrics: By the names that our scores use: `macro_f1`, `balanced_accuracy`, `patients` …; absent if not printed.
        per_class: F1 of each class.
        marks: What is known to be wrong with the row; see `PublishedBenchmark.marks`.
    """

    model: str = ""
    encoder: str = ""
    head: str = ""
    config: str = ""
    fraction: float = 1.0
    metrics: Mapping[str, float] = field(default_factory=dict)
    per_class: Mapping[str, float] = field(default_factory=dict)
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImpliedRow:
    """What a row implies of the test patients, found by exhaustive search.

    Attributes:
        configs: Rows of the table that it stands for.
        right: Patients named rightly, by class.
        predicted: Patients named so, by class.
        low: Lower end of the 95 % interval of balanced accuracy (parametric bootstrap); None where not worked out.
        high: Upper end.
    """

    configs: tuple[str, ...]
    right: tuple[int, ...]
    predicted: tuple[int, ...]
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class ImpliedTest:
    """The smallest test set that reproduces a table.

    Attributes:
        classes: Names of its classes; letters where they are not known.
        patients: By class.
        certain: No other set of a plausible size does.
        note: How sure that is, and what it means.
        rows: What each row of the table implies.
    """

    classes: tuple[str, ...]
    patients: tuple[int, ...]
    certain: bool
    note: str
    rows: tuple[ImpliedRow, ...]

    def accuracy(self, row: ImpliedRow) -> float:
        """Share of all patients named rightly."""
        return sum(row.right) / sum(self.patients)


@dataclass(frozen=True)
class PublishedTable:
    """A published table.

    Attributes:
        name: Ours.
        benchmark: Name of the benchmark.
        title: What it shows.
        source: Where it stands.
        rows: Its rows, in the published order.
        dataset: Of cells: name of the dataset.
        split: Of cells: name of our split that follows the published one; empty where none can.
        task: Of cases: name of the task.
        supports: True cells of the test part by class, worked out from the published recalls.
        test: Of cases: the test set that the table implies.
    """

    name: str
    benchmark: str
    title: str
    source: str
    rows: tuple[PublishedRow, ...]
    dataset: str = ""
    split: str = ""
    task: str = ""
    supports: Mapping[str, int] = field(default_factory=dict)
    test: ImpliedTest | None = None

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of all metrics that some row has."""
        return tuple(dict.fromkeys(name for row in self.rows for name in row.metrics))


@dataclass(frozen=True)
class Contradiction:
    """What a publication says, and what speaks against it.

    Attributes:
        claim: What it says.
        source: Where.
        against: What speaks against it.
        consequence: What that means for whoever compares with it.
    """

    claim: str
    source: str
    against: str
    consequence: str


@dataclass(frozen=True)
class PublishedBenchmark:
    """All that was published of a benchmark.

    Attributes:
        name: Ours.
        title: As it is called.
        source: Where the numbers are from.
        marks: Letter to what it says of a row.
        tables: Its tables.
        contradictions: What is known not to agree.
    """

    name: str
    title: str
    source: str
    marks: Mapping[str, str]
    tables: tuple[PublishedTable, ...]
    contradictions: tuple[Contradiction, ...]

    def table(self, name: str) -> PublishedTable:
        """One of the tables.

        Raises:
            SettingError: There is none of that name.
        """
        for table in self.tables:
            if table.name == name:
                return table
        known = ", ".join(table.name for table in self.tables)
        raise SettingError(f"{self.title} has no table {name!r}", remedy=f"Choose one of: {known}")


def published(benchmark: str) -> tuple[PublishedTable, ...]:
    """The published tables of a benchmark.

    Raises:
        SettingError: There is no such benchmark.
    """
    return published_benchmark(benchmark).tables


def published_on(dataset: str, split: str, fraction: float = 1.0) -> tuple[PublishedRow, ...]:
    """The published rows of one dataset, split and share of its training fields, for leaderboards.

    Where two tables repeat such rows, those of the first.

    Args:
        dataset: Name of the dataset.
        split: Name of our split.
        fraction: Share of the training fields.
    """
    for table in (t for name in BENCHMARKS for t in published(name) if (t.dataset, t.split) == (dataset, split)):
        if rows := tuple(row for row in table.rows if row.fraction == fraction):
            return rows
    return ()


@cache
def published_benchmark(name: str) -> PublishedBenchmark:
    """All that was published of a benchmark.

    Raises:
        SettingError: There is no such benchmark.
    """
    if name not in BENCHMARKS:
        raise SettingError(f"no numbers of {name!r} ship", remedy=f"Choose one of: {', '.join(BENCHMARKS)}")
    folder = files(__package__).joinpath(name)
    facts = tomllib.loads(folder.joinpath(FACTS).read_text(encoding="utf-8"))
    supports = {entry["name"]: entry.get("supports", {}) for entry in facts["tables"]}
    return PublishedBenchmark(
        name,
        facts["title"],
        facts["source"],
        facts["marks"],
        tuple(_table(name, entry, supports, list(_rows(folder, entry["name"], facts))) for entry in facts["tables"]),
        tuple(Contradiction(**entry) for entry in facts["contradictions"]),
    )


def _table(
    benchmark: str,
    entry: Mapping[str, Any],
    supports: Mapping[str, Mapping[str, int]],
    rows: Sequence[PublishedRow],
) -> PublishedTable:
    return PublishedTable(
        **{key: entry[key] for key in ("name", "title", "source", "dataset", "split", "task") if key in entry},
        benchmark=benchmark,
        rows=tuple(rows),
        supports=supports[entry.get("supports_of", entry["name"])],
        test=_test(entry["test"]) if "test" in entry else None,
    )


def _test(facts: Mapping[str, Any]) -> ImpliedTest:
    rows = [
        ImpliedRow(tuple(r["configs"]), tuple(r["right"]), tuple(r["predicted"]), r.get("low"), r.get("high"))
        for r in facts["rows"]
    ]
    return ImpliedTest(tuple(facts["classes"]), tuple(facts["patients"]), facts["certain"], facts["note"], tuple(rows))


def _rows(folder: Traversable, name: str, facts: Mapping[str, Any]) -> Iterator[PublishedRow]:
    text = folder.joinpath(f"{name}.csv").read_text(encoding="utf-8")
    for cells in csv.DictReader(io.StringIO(text)):
        numbers = {key: float(value) for key, value in cells.items() if key not in TEXTS and value}
        classes = {key.removeprefix(CLASS_F1): value for key, value in numbers.items() if key.startswith(CLASS_F1)}
        model = cells.get("model", "")
        yield PublishedRow(
            model=model,
            encoder=facts["models"].get(model, ""),
            head=cells.get("head", ""),
            config=cells.get("config", ""),
            fraction=numbers.pop("fraction", 1.0),
            metrics={key: value for key, value in numbers.items() if not key.startswith(CLASS_F1)},
            per_class=classes,
            marks=tuple(cells.get("marks", "")),
        )
