"""Finished runs side by side: folds pooled, seeds averaged, nothing mixed that differs."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from cryostat.core.errors import InputError
from cryostat.core.home import Home
from cryostat.core.identity import digest
from cryostat.results.records import BrokenRun, RunRecord, find_runs, split_family
from cryostat.results.scores import ClassScore, Scores
from cryostat.results.tallies import Tallies, pooled, tallies_of

LABELS = ("dataset", "split", "encoder", "head", "mode", "protocol", "fraction")
"""Settings that name a row."""

VARYING = frozenset({"split", "seed", "source"})
"""Parts of a run's identity in which runs of one row may differ; in all else they agree."""

CLASS_F1 = "f1 "
"""Prefix of the per-class columns."""

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


@dataclass(frozen=True)
class Trial:
    """One seed of one row: a run, or the folds of a cross-validation pooled and scored once.

    Attributes:
        family: Split, or family of folds.
        folds: Folds found and folds there should be; (1, 1) for a plain split.
        records: The runs that it is made of.
        superseded: Older runs of the same fold and seed that were passed over.
        scores: Scores of all their predictions together.
    """

    family: str
    folds: tuple[int, int]
    records: tuple[RunRecord, ...]
    superseded: int
    scores: Scores

    @property
    def complete(self) -> bool:
        """All folds are there."""
        return self.folds[0] == self.folds[1]

    @property
    def supports(self) -> tuple[tuple[str, int], ...]:
        """True cells by class: equal only for one and the same test part."""
        return tuple((c.name, c.support) for c in self.scores.classes if c.support)


def summary(home: Home, **filters: Any) -> pd.DataFrame:
    """All finished runs, one row a dataset, split, encoder, head, mode, protocol and fraction.

    Args:
        home: The home folder.
        **filters: As for `find_runs`: `dataset=`, `encoder=`, `head=`, `split=`, `protocol=` …

    Returns:
        The table that `summarise` makes; runs that cannot be read are left out (`find_runs` names them).
    """
    frame, _ = summarise(find_runs(home, **filters).records)
    return frame


def summarise(records: Iterable[RunRecord]) -> tuple[pd.DataFrame, tuple[BrokenRun, ...]]:
    """Pool folds, average seeds, and lay the runs side by side.

    Folds `5fold-0` … `5fold-4` of one seed are concatenated and scored once. Means and standard deviations (n − 1) are
    over seeds whose folds are complete; an incomplete seed is a row of its own. Runs that differ in dataset, features,
    head settings, protocol rules or code stand in different rows, whose `variant` says in what they differ.

    Args:
        records: Runs, with their folders; those of other benchmarks than `cells` are passed over.

    Returns:
        A frame with the columns of `LABELS`, then `variant`, `folds`, `complete`, `seeds`, `macro_f1`, `macro_f1_sd`,
        `accuracy`, `accuracy_sd`, `cells`, `runs` (ids), `superseded` and `f1 <class>` for each class, undefined values
        as NaN; best macro F1 first within a dataset, split, protocol and fraction. And the runs that could not be read.
    """
    trials, broken = _trials(records)
    by_row = _grouped(trials, lambda t: (row_digest(t.records[0]), t.family, t.supports, None if t.complete else id(t)))
    rows = [_row(group) for group in by_row.values()]
    _name_variants(rows, [group[0].records[0] for group in by_row.values()])
    return _frame(rows), tuple(broken)


@dataclass(frozen=True)
class _Reading:
    """A run as read from its folder; its tallies, which pooling needs, where it is a fold."""

    record: RunRecord
    scores: Scores
    tallies: Tallies | None


def _trials(records: Iterable[RunRecord]) -> tuple[list[Trial], list[BrokenRun]]:
    readings, broken = _read(record for record in records if record.benchmark == "cells")
    units = _grouped(
        readings, lambda r: (row_digest(r.record), _fold(r.record)[0], digest(r.record.settings.get("seed")))
    )
    trials = []
    for (_, family, _), group in units.items():
        try:
            trials.append(_trial(family, group))
        except InputError as error:
            broken += [_broken(reading.record, error) for reading in group]
    return trials, broken


def _read(records: Iterable[RunRecord]) -> tuple[list[_Reading], list[BrokenRun]]:
    readings, broken = [], []
    for record in records:
        try:
            is_fold = _fold(record)[1] is not None
            readings.append(_Reading(record, record.cell_scores(), tallies_of(record) if is_fold else None))
        except InputError as error:
            broken.append(_broken(record, error))
    return readings, broken


def _broken(record: RunRecord, error: InputError) -> BrokenRun:
    return BrokenRun(record.folder or Path(record.run_id), error.problem)


def _trial(family: str, readings: Sequence[_Reading]) -> Trial:
    newest = {_fold(r.record)[2]: r for r in sorted(readings, key=lambda r: r.record.created)}
    total = _fold(readings[0].record)[1] or 1
    chosen = [newest[fold] for fold in sorted(newest, key=lambda fold: fold or 0)]
    scores = chosen[0].scores if len(chosen) == 1 else _pooled(chosen)
    records = tuple(reading.record for reading in chosen)
    return Trial(family, (len(chosen), total), records, len(readings) - len(chosen), scores)


def _pooled(folds: Sequence[_Reading]) -> Scores:
    """Scores of the predictions of several folds together."""
    if len({fold.scores.class_set for fold in folds}) > 1:
        raise InputError("its folds were scored by different class sets", remedy="Score them again by one rule")
    tallies = pooled([fold.tallies for fold in folds if fold.tallies is not None])
    names = {c.id: c.name for fold in folds for c in fold.scores.classes}
    return tallies.scores(names, folds[0].scores.class_set)


def row_digest(record: RunRecord) -> str:
    """Hash of all in which the runs of a row must agree."""
    identity = {key: value for key, value in record.identity.items() if key not in VARYING}
    labels = {key: record.settings.get(key) for key in (*LABELS, "mpp") if key not in VARYING}
    return digest({"identity": identity, "labels": labels})


def pooled_scores(records: Sequence[RunRecord]) -> Scores:
    """Scores of a run, or of the predictions of all folds of one cross-validation together.

    Raises:
        InputError: A run cannot be read, or the folds were scored by different class sets.
    """
    if len(records) == 1:
        return records[0].cell_scores()
    return _pooled([_Reading(record, record.cell_scores(), tallies_of(record)) for record in records])


def _row(trials: Sequence[Trial]) -> dict[str, Any]:
    first = trials[0]
    settings = first.records[0].settings
    f1 = {c.name: _mean([_f1(t.scores, c) for t in trials]) for c in first.scores.classes}
    return {
        **{name: settings.get(name) for name in LABELS},
        "mode": settings.get("mode") or "",
        "split": first.family,
        "variant": "",
        "folds": "" if first.folds == (1, 1) else "{}/{}".format(*first.folds),
        "complete": first.complete,
        "seeds": len(trials),
        "macro_f1": _mean([t.scores.macro_f1 for t in trials]),
        "macro_f1_sd": _sd([t.scores.macro_f1 for t in trials]),
        "accuracy": _mean([t.scores.accuracy for t in trials]),
        "accuracy_sd": _sd([t.scores.accuracy for t in trials]),
        "cells": first.scores.cells,
        "runs": [record.run_id for t in trials for record in t.records],
        "superseded": sum(t.superseded for t in trials),
        **{CLASS_F1 + name: value for name, value in f1.items()},
    }


def _f1(scores: Scores, wanted: ClassScore) -> float | None:
    return next((c.f1 for c in scores.classes if c.name == wanted.name), None)


def _mean(values: Sequence[float | None]) -> float:
    return float(np.mean([np.nan if value is None else value for value in values]))


def _sd(values: Sequence[float | None]) -> float:
    return float(np.std([np.nan if v is None else v for v in values], ddof=1)) if len(values) > 1 else float("nan")


def _name_variants(rows: Sequence[dict[str, Any]], records: Sequence[RunRecord]) -> None:
    """Where rows share all labels, say in each what sets it apart."""
    alike = _grouped(zip(rows, records, strict=True), lambda pair: tuple(str(pair[0][name]) for name in LABELS))
    for group in alike.values():
        facts = _apart([record for _, record in group])
        for (row, record), apart in zip(group, facts, strict=True):
            seed = {} if row["complete"] else {"seed": record.settings.get("seed")}
            shown = {**seed, **(apart or ({} if seed else {"cells": row["cells"]}))}
            row["variant"] = _told(shown) if len(group) > 1 else ""


def told_apart(records: Sequence[RunRecord]) -> list[str]:
    """What sets each of some runs apart, whatever their folds and seeds: `precision fp32`; empty where nothing does."""
    return [_told(facts) for facts in _apart(records)]


def _apart(records: Sequence[RunRecord]) -> list[dict[str, Any]]:
    """For each run the settings in which it differs from any other; where all have the same, what else."""
    settings = _differing([_flat(record.settings) for record in records])
    identity = _differing([_flat(record.identity) for record in records])
    return [mine or other for mine, other in zip(settings, identity, strict=True)]


def _told(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{key} {_short(value)}" for key, value in list(facts.items())[:3])


def _flat(facts: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in facts.items():
        if not prefix and key in VARYING:
            continue
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _differing(facts: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    keys = sorted({key for one in facts for key in one})
    varying = [key for key in keys if len({digest(one.get(key)) for one in facts}) > 1]
    return [{key: one.get(key) for key in varying} for one in facts]


def _short(value: Any) -> str:
    text = "none" if value is None else str(value)
    return text if len(text) <= 12 else f"{text[:8]}…"


def _frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    if not rows:
        return pd.DataFrame(columns=[*LABELS, *_COLUMNS])
    frame = pd.DataFrame(rows)
    classes = sorted((c for c in frame.columns if c.startswith(CLASS_F1)), key=list(frame.columns).index)
    frame = frame[[*LABELS, *_COLUMNS, *classes]]
    text = {"dataset": str, "split": str, "protocol": str}
    ordered = frame.assign(**{name: frame[name].map(kind) for name, kind in text.items()}).sort_values(
        ["dataset", "split", "protocol", "fraction", "complete", "macro_f1"],
        ascending=[True, True, True, False, False, False],
        kind="stable",
    )
    return ordered.reset_index(drop=True)


_COLUMNS = (
    "variant",
    "folds",
    "complete",
    "seeds",
    "macro_f1",
    "macro_f1_sd",
    "accuracy",
    "accuracy_sd",
    "cells",
    "runs",
    "superseded",
)


def _fold(record: RunRecord) -> tuple[str, int | None, int | None]:
    return split_family(str(record.settings.get("split")))


def _grouped(items: Iterable[Item], key: Callable[[Item], Key]) -> dict[Key, list[Item]]:
    groups: dict[Key, list[Item]] = {}
    for item in items:
        groups.setdefault(key(item), []).append(item)
    return groups
