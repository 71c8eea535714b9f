"""Replication of PathoCellBench: each published row beside our runs of it, or beside what stands in their way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from cryostat.cells.heads import head_card
from cryostat.cells.planning.encoders import known_encoder
from cryostat.cells.planning.obstacles import (
    Tissue,
    fields_of,
    missing_packages,
    parts,
    tissue,
    untrainable,
)
from cryostat.cells.protocols import load_protocol
from cryostat.cells.runs.spec import RunSpec, Study, read_study
from cryostat.cells.runs.study import Outcome, run_specs
from cryostat.cells.studies import find_study
from cryostat.cells.studies.overrides import Overrides
from cryostat.core.errors import SettingError
from cryostat.core.home import Home
from cryostat.core.identity import differences
from cryostat.results.intervals import intervals_of
from cryostat.results.published import PublishedRow, PublishedTable, published_benchmark
from cryostat.results.records import CELLS, RunRecord, find_runs
from cryostat.runs.obstacles import Obstacle

BENCHMARK = "pathocellbench"
"""The published benchmark, and the prefix of the studies that ship for its tables."""

PROTOCOL = "paper"
"""The rules whose runs are compared."""

FAILED = "Mend it and run it again; finished runs are found"
"""Remedy of a run that failed."""


@dataclass(frozen=True)
class Ours:
    """Our runs of a published row.

    Attributes:
        macro_f1: Mean over seeds.
        low: Lower end of the 95 % interval from resampled patients, else fields of view, of the test part.
        high: Upper end.
        macro_f1_sd: Standard deviation over seeds; NaN for one.
        accuracy: Mean over seeds.
        per_class: F1 by class, means over seeds; undefined ones are absent.
        cells: Cells of the test part.
        supports: True cells by class.
        seeds: Of the runs.
        runs: Names of the runs, a seed each.
        departures: In what their settings differ from the published, `setting ours / published`.
    """

    macro_f1: float
    low: float
    high: float
    macro_f1_sd: float
    accuracy: float
    per_class: Mapping[str, float]
    cells: int
    supports: Mapping[str, int]
    seeds: tuple[Any, ...]
    runs: tuple[str, ...]
    departures: tuple[str, ...]


@dataclass(frozen=True)
class ReplicatedRow:
    """A published row and what became of it.

    Attributes:
        published: As printed.
        spec: The run that repeats it.
        ours: Our runs; None where there is none.
        obstacles: What keeps the run from starting.
    """

    published: PublishedRow
    spec: RunSpec
    ours: Ours | None = None
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def within(self) -> bool | None:
        """Whether the published macro F1 lies in our interval; None where either is missing."""
        paper = self.published.metrics.get("macro_f1")
        if paper is None or self.ours is None or np.isnan(self.ours.low):
            return None
        return self.ours.low <= paper <= self.ours.high


@dataclass(frozen=True)
class ReplicatedTable:
    """A published table and what became of its rows.

    Attributes:
        published: As printed.
        rows: Those that were asked for.
        fields: Of its dataset, those that are imported and those that were published; None where it is not imported.
    """

    published: PublishedTable
    rows: tuple[ReplicatedRow, ...]
    fields: tuple[int, int] | None = None

    def same_test(self, row: ReplicatedRow) -> bool | None:
        """Whether our test part has the published number of cells in every class; None where either is unknown."""
        if row.ours is None or not self.published.supports:
            return None
        return dict(row.ours.supports) == {name: n for name, n in self.published.supports.items() if n}


@dataclass(frozen=True)
class Choice:
    """Which rows are wanted; empty chooses all.

    Attributes:
        tables: Names of published tables.
        encoders: Names of our cards.
        heads: Names of our heads.
        encoder_options: Encoder to `weights` and `precision`, in place of the study's.
        seeds: Of the runs, in place of the one that was published.
    """

    tables: Sequence[str] = ()
    encoders: Sequence[str] = ()
    heads: Sequence[str] = ()
    encoder_options: Mapping[str, Mapping[str, Any]] | None = None
    seeds: Sequence[int] = (0,)

    def has(self, row: PublishedRow) -> bool:
        """Whether a row is wanted."""
        return (not self.encoders or row.encoder in self.encoders) and (not self.heads or row.head in self.heads)


def replicate_cells(
    home: Home,
    choice: Choice | None = None,
    *,
    run: bool = False,
    limit: int | None = None,
    device: str = "auto",
    batch_size: int = 32,
) -> tuple[ReplicatedTable, ...]:
    """Put the published rows beside our runs of the protocol `paper`.

    Args:
        home: Where datasets and runs live.
        choice: Which rows.
        run: Run first what is not finished and can start.
        limit: Run only the first so many.
        device: Where encoders and heads run.
        batch_size: Tiles an encoder pass.

    Raises:
        SettingError: There is no such table, no row fits, or weights are given that cannot replicate anything.
    """
    wanted = choice or Choice()
    tables = _planned(home, wanted)
    if not any(table.rows for table in tables):
        raise SettingError("no published row fits", remedy="Ask for other encoders, heads or tables")
    tables = _compared(tables, home)
    if not run:
        return tables
    specs = _ready(tables, wanted.seeds)[:limit]
    outcomes = run_specs(specs, home, device=device, batch_size=batch_size, study=f"replicate-{BENCHMARK}")
    return _compared(_with_failures(tables, outcomes), home)


def study_of(table: PublishedTable) -> Study:
    """The shipped study that repeats a table."""
    return read_study(find_study(f"{BENCHMARK}-{table.name}"))


def command_of(table: PublishedTable, row: PublishedRow) -> str:
    """The command that runs a row, once nothing stands in its way."""
    encoder = f" --encoder {row.encoder}" if row.head != "hovernext" else ""
    return f"cryostat replicate {BENCHMARK} --table {table.name}{encoder} --head {row.head} --run"


def _planned(home: Home, wanted: Choice) -> tuple[ReplicatedTable, ...]:
    """The wanted rows with their specs and obstacles."""
    benchmark = published_benchmark(BENCHMARK)
    tables = [benchmark.table(name) for name in wanted.tables] or list(benchmark.tables)
    look = _Look(home)
    return tuple(_plan_table(table, wanted, look) for table in tables)


def _plan_table(table: PublishedTable, wanted: Choice, look: _Look) -> ReplicatedTable:
    study = study_of(table)
    rows = tuple(_plan_row(study, row, wanted, look) for row in table.rows if wanted.has(row))
    return ReplicatedTable(table, rows, fields_of(look.tissue(table.dataset)))


def _plan_row(study: Study, row: PublishedRow, wanted: Choice, look: _Look) -> ReplicatedRow:
    spec = _spec(study, row, wanted)
    return ReplicatedRow(row, spec, obstacles=look.obstacles(spec))


def _spec(study: Study, row: PublishedRow, wanted: Choice) -> RunSpec:
    """The run of a row: the study's rules and settings with the row's encoder, head and fraction."""
    options = wanted.encoder_options or {}
    if str(options.get(row.encoder, {}).get("weights")) == "random":
        raise SettingError(
            f"random weights of {row.encoder} replicate nothing", remedy="Give the published weights, or leave them out"
        )
    chosen = Overrides(encoders=[row.encoder], heads=[row.head], encoder_options=options).of(study)
    chosen = replace(chosen, fractions=[row.fraction], seeds=[wanted.seeds[0]])
    return chosen.specs_with(lambda _, split: [split])[0]


class _Look:
    """What stands in the way of runs, each dataset looked at once."""

    def __init__(self, home: Home) -> None:
        self._home, self._tissues = home, dict[str, Tissue]()
        self._found: dict[tuple[object, ...], tuple[Obstacle, ...]] = {}

    def obstacles(self, spec: RunSpec) -> tuple[Obstacle, ...]:
        """What keeps a run from starting."""
        key = (spec.dataset, spec.split, spec.encoder, spec.head, spec.weights, spec.mode)
        if key not in self._found:
            self._found[key] = tuple(dict.fromkeys(self._look(spec)))
        return self._found[key]

    def tissue(self, dataset: str) -> Tissue:
        """What is known of a dataset."""
        if dataset not in self._tissues:
            self._tissues[dataset] = tissue(dataset, self._home)
        return self._tissues[dataset]

    def _look(self, spec: RunSpec) -> list[Obstacle]:
        known = self.tissue(spec.dataset)
        encoder, mode = known_encoder(spec), spec.resolved_mode()
        own_network = ["hovernext"] if head_card(spec.head).reads == "pixels" else []
        split = parts(known, spec.split, load_protocol(spec.protocol))[1]
        packages = missing_packages([mode.kind, *own_network])
        return [
            *known.obstacles,
            *split,
            *encoder.obstacles,
            *packages,
            *untrainable(encoder.recipe, encoder.name, mode),
        ]


def _ready(tables: Sequence[ReplicatedTable], seeds: Sequence[int]) -> list[RunSpec]:
    """What can run and has not run as published, each once, those that share an encoder pass together."""
    rows = [row for table in tables for row in table.rows if not row.obstacles]
    specs = [
        replace(row.spec, seed=seed)
        for row in rows
        for seed in seeds
        if row.ours is None or row.ours.departures or seed not in row.ours.seeds
    ]
    unique = {repr(spec): spec for spec in specs}
    return sorted(unique.values(), key=lambda spec: (spec.dataset, spec.encoder))


def _with_failures(tables: Sequence[ReplicatedTable], outcomes: Sequence[Outcome]) -> tuple[ReplicatedTable, ...]:
    failed = {repr(replace(o.spec, seed=0)): Obstacle(o.reason, FAILED) for o in outcomes if o.record is None}

    def told(row: ReplicatedRow) -> ReplicatedRow:
        reason = failed.get(repr(replace(row.spec, seed=0)))
        return replace(row, obstacles=(reason,)) if reason else row

    return tuple(replace(table, rows=tuple(map(told, table.rows))) for table in tables)


def _compared(tables: Sequence[ReplicatedTable], home: Home) -> tuple[ReplicatedTable, ...]:
    """The tables with our runs of their rows, as far as there are any."""
    found: dict[tuple[Any, ...], list[RunRecord]] = {}
    for record in find_runs(home, benchmark=CELLS, protocol=PROTOCOL).records:
        found.setdefault(_labels(record.settings), []).append(record)

    def with_runs(row: ReplicatedRow) -> ReplicatedRow:
        records = found.get(_labels(asdict(row.spec)))
        return replace(row, ours=ours_of(records, row.spec)) if records else row

    return tuple(replace(table, rows=tuple(map(with_runs, table.rows))) for table in tables)


def _labels(settings: Mapping[str, Any]) -> tuple[Any, ...]:
    """What a run must share with a published row."""
    return tuple(settings.get(name) for name in ("dataset", "split", "encoder", "head", "fraction"))


def ours_of(records: Sequence[RunRecord], spec: RunSpec) -> Ours:
    """The runs that are closest to a published row, one a seed, the newest of each.

    Args:
        records: Runs of its dataset, split, encoder, head and share of the training data.
        spec: The run that repeats it.
    """
    by_departures: dict[tuple[str, ...], dict[Any, RunRecord]] = {}
    for record in sorted(records, key=lambda record: record.created):
        by_departures.setdefault(_departures(record, spec), {})[record.settings.get("seed")] = record
    departures = min(by_departures, key=len)
    return _ours(by_departures[departures], departures)


def _departures(record: RunRecord, spec: RunSpec) -> tuple[str, ...]:
    """In what a run differs from the published settings; the arithmetic is the machine's affair."""
    rules = load_protocol(spec.protocol).at(spec.mpp)
    wanted = {
        "mode": str(spec.resolved_mode()),
        "mpp": rules.tiling.mpp,
        "head": _comparable(asdict(spec.resolved_settings())),
    }
    given = {
        "mode": record.settings.get("mode"),
        "mpp": record.settings.get("mpp"),
        "head": _comparable(record.settings.get("head_settings", {})),
    }
    return tuple(differences(given, wanted))


def _comparable(settings: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name != "precision"}


def _ours(by_seed: Mapping[Any, RunRecord], departures: tuple[str, ...]) -> Ours:
    records = [by_seed[seed] for seed in sorted(by_seed, key=str)]
    scores = [record.cell_scores() for record in records]
    f1 = [np.nan if s.macro_f1 is None else s.macro_f1 for s in scores]
    names = [cls.name for cls in scores[0].classes]
    per_class = {name: [c.f1 for s in scores for c in s.classes if c.name == name] for name in names}
    sure = intervals_of(records).macro_f1
    return Ours(
        macro_f1=float(np.mean(f1)),
        low=sure.low,
        high=sure.high,
        macro_f1_sd=float(np.std(f1, ddof=1)) if len(f1) > 1 else float("nan"),
        accuracy=float(np.mean([np.nan if s.accuracy is None else s.accuracy for s in scores])),
        per_class={name: float(np.mean(known)) for name, v in per_class.items() if (known := _known(v))},
        cells=scores[0].cells,
        supports={cls.name: cls.support for cls in scores[0].classes if cls.support},
        seeds=tuple(sorted(by_seed, key=str)),
        runs=tuple(record.run_id for record in records),
        departures=departures,
    )


def _known(values: Sequence[float | None]) -> list[float]:
    return [value for value in values if value is not None]
