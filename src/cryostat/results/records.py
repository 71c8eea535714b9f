"""Run records: one immutable JSON a run, and the folders that hold them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pandas as pd

from cryostat.core.errors import InputError, SettingError, StoreError
from cryostat.core.files import read_json, write_json
from cryostat.core.home import Home
from cryostat.results.cases.predictions import read_case_predictions
from cryostat.results.predictions import read_predictions
from cryostat.results.scores import Scores

if TYPE_CHECKING:
    from cryostat.results.cases.scores import CaseScores
    from cryostat.results.segmentation.report import SegmentationScores

RECORD, PREDICTIONS, SCORES = "run.json", "predictions.parquet", "scores.json"
"""Files of a run folder; the record is written last, so a folder without one is unfinished."""

SEGMENTATION = "segmentation.json"
"""A further file, of runs that segment nuclei by themselves."""

CELLS, CASES = "cells", "cases"
"""Names of the benchmarks."""

_TEXTS = ("run_id", "benchmark", "created")
_MAPPINGS = ("identity", "settings", "training", "phases", "environment")


@dataclass(frozen=True)
class RunRecord:
    """What a run was, in full.

    Attributes:
        run_id: Name of the run and its folder.
        benchmark: `cells` or `cases`.
        created: When it finished, ISO 8601.
        identity: All that determines its result.
        settings: The resolved settings: dataset, split, encoder, head, protocol, fraction, seed, mpp and so on.
        training: What happened in training, and the proof that the encoder was frozen.
        phases: Phase to seconds and peak memory.
        environment: Versions and hardware.
        failures: What failed and why, a row each.
        folder: Where it was read from or saved to; None before.
    """

    run_id: str
    benchmark: str
    created: str
    identity: Mapping[str, Any]
    settings: Mapping[str, Any]
    training: Mapping[str, Any] = field(default_factory=dict)
    phases: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    failures: Sequence[Mapping[str, Any]] = ()
    folder: Path | None = field(default=None, compare=False, repr=False)

    def save(self, folder: Path) -> None:
        """Write `run.json` into a run folder, once.

        Raises:
            StoreError: The folder has a record already.
        """
        self.check_free(folder)
        write_json(
            folder / RECORD,
            {name: getattr(self, name) for name in (*_TEXTS, *_MAPPINGS)} | {"failures": [*self.failures]},
        )

    def check_free(self, folder: Path) -> None:
        """Raise a StoreError when a folder holds a record already: records are never overwritten."""
        if (folder / RECORD).exists():
            raise StoreError(
                "holds a run record already, and records are never overwritten",
                where=folder,
                remedy="Choose another folder, or delete this one to run it again",
            )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the record of a run folder.

        Raises:
            InputError: There is none, or it is damaged.
        """
        path = folder / RECORD
        facts = read_json(path)
        if not isinstance(facts, dict):
            raise InputError("is no run record", where=path, remedy="Delete the run's folder and run it again")
        wrong = [name for name in _TEXTS if not isinstance(facts.get(name), str)]
        wrong += [name for name in _MAPPINGS if not isinstance(facts.get(name), dict)]
        if wrong or not isinstance(facts.get("failures", []), list):
            raise InputError(
                f"is no complete run record (look at {', '.join(wrong) or 'failures'})",
                where=path,
                remedy="Delete the run's folder and run it again",
            )
        named = {name: facts[name] for name in (*_TEXTS, *_MAPPINGS)}
        return cls(**named, failures=facts.get("failures", []), folder=folder)

    def scores(self) -> Scores | CaseScores:
        """The scores of the run, of the form of its benchmark, as kept in its folder.

        Raises:
            SettingError: The record does not stand in a folder yet.
            InputError: The scores are missing or damaged.
        """
        return self.case_scores() if self.benchmark == CASES else self.cell_scores()

    def cell_scores(self) -> Scores:
        """The scores of a run of cells.

        Raises:
            SettingError: The run is of another benchmark, or as from `scores`.
            InputError: As from `scores`.
        """
        path = self._of_benchmark(CELLS) / SCORES
        return Scores.from_dict(read_json(path), path)

    def case_scores(self) -> CaseScores:
        """The scores of a run of cases.

        Raises:
            SettingError: The run is of another benchmark, or as from `scores`.
            InputError: As from `scores`.
        """
        from cryostat.results.cases.scores import CaseScores  # brings scipy, which runs of cells do not need

        path = self._of_benchmark(CASES) / SCORES
        return CaseScores.from_dict(read_json(path), path)

    def lattice(self, metric: str = "balanced_accuracy", population: str = "having") -> pd.DataFrame:
        """One metric of a run of cases for every subset of the modalities.

        Args:
            metric: Name of a metric.
            population: `having`: each subset on the patients that have all of it; `all`; or modalities joined by `+`.

        Returns:
            A row an ablation and subset: ablation, offered, population, n, value, low, high, sd_repeats, sd_seeds.

        Raises:
            SettingError: The run is of another benchmark, or there is no such metric.
            InputError: As from `scores`.
        """
        from cryostat.results.cases.listing import lattice  # brings scipy, which runs of cells do not need

        return lattice(self.case_scores(), metric, population)

    def segmentation(self) -> SegmentationScores | None:
        """The scores of the instance maps that the run predicted; None where it predicted none.

        Raises:
            SettingError: The record does not stand in a folder yet.
            InputError: The scores are damaged.
        """
        path = self._home() / SEGMENTATION
        if not path.exists():
            return None
        from cryostat.results.segmentation.report import SegmentationScores  # brings scipy, which few runs need

        return SegmentationScores.from_dict(read_json(path), path)

    def predictions(self) -> pd.DataFrame:
        """The predictions table of the run.

        Raises:
            SettingError: The record does not stand in a folder yet.
            InputError: The table is missing or damaged.
        """
        read = read_case_predictions if self.benchmark == CASES else read_predictions
        return read(self._home() / PREDICTIONS)

    def folder_of(self, benchmark: str) -> Path:
        """The folder of a run of that benchmark.

        Raises:
            SettingError: The run is of another benchmark, or its record was not read from a folder.
        """
        return self._of_benchmark(benchmark)

    def _of_benchmark(self, benchmark: str) -> Path:
        if self.benchmark != benchmark:
            raise SettingError(
                f"run {self.run_id!r} is of the benchmark {self.benchmark!r}, not {benchmark!r}",
                remedy=f"Choose a run of {benchmark}",
            )
        return self._home()

    def _home(self) -> Path:
        if self.folder is None:
            raise SettingError(
                f"the record of run {self.run_id!r} was not read from a folder",
                remedy="Use RunRecord.load on the run's folder",
            )
        return self.folder


@dataclass(frozen=True)
class BrokenRun:
    """A folder among the runs that cannot be used, and why."""

    folder: Path
    reason: str


@dataclass(frozen=True)
class FoundRuns:
    """What stands in the runs folder.

    Attributes:
        records: The complete runs that pass the filters, by run id.
        broken: Folders that are unfinished or damaged; filters cannot apply to them.
    """

    records: tuple[RunRecord, ...]
    broken: tuple[BrokenRun, ...]


def find_runs(home: Home, **filters: Any) -> FoundRuns:
    """All finished runs under a home folder.

    Args:
        home: The home folder.
        **filters: Setting to the value it must have (`dataset="lizard"`, `seed=0`) or to a tuple of those allowed; a
            family of folds may stand for its splits (`split="5fold"`), and `benchmark="cases"` chooses a benchmark.
            None filters nothing.

    Returns:
        The runs, and the folders that could not be read.
    """
    records, broken = [], []
    folders = sorted(p for p in home.runs.glob("*") if p.is_dir() and not p.name.startswith("."))
    for folder in folders:
        try:
            records.append(_complete(folder))
        except (InputError, OSError) as error:
            broken.append(BrokenRun(folder, _reason(error)))
    passed = tuple(r for r in records if all(_passes(r, key, value) for key, value in filters.items()))
    return FoundRuns(passed, tuple(broken))


def _complete(folder: Path) -> RunRecord:
    record = RunRecord.load(folder)
    for name in (PREDICTIONS, SCORES):
        if not (folder / name).is_file():
            raise InputError(f"has no {name}", where=folder, remedy="Delete the folder and run it again")
    return record


def _reason(error: Exception) -> str:
    if isinstance(error, InputError):
        name = Path(error.where).name if error.where else ""
        return f"{name} {error.problem}".strip()
    return str(error)


def _passes(record: RunRecord, key: str, wanted: Any) -> bool:
    if wanted is None:
        return True
    value = record.benchmark if key == "benchmark" else record.settings.get(key)
    allowed = wanted if isinstance(wanted, tuple | list | set) else (wanted,)
    return value in allowed or (key == "split" and split_family(str(value))[0] in allowed)


def split_family(split: str) -> tuple[str, int | None, int | None]:
    """What a split's name says of cross-validation.

    Returns:
        (`5fold`, 5, 3) for `5fold-3`; (name, None, None) for any other.
    """
    family, dash, index = split.rpartition("-")
    head, fold, tail = family.rpartition("fold")
    if dash and fold and not tail and head.isdecimal() and index.isdecimal() and 0 <= int(index) < int(head):
        return family, int(head), int(index)
    return split, None, None
