"""What a tracker is shown of a run, whatever the tracker."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cryostat.core.errors import InputError, SettingError
from cryostat.core.identity import digest
from cryostat.results.cases.panel import FULL
from cryostat.results.cases.subsets import ALL_PATIENTS
from cryostat.results.records import CASES, PREDICTIONS, RECORD, RunRecord
from cryostat.results.segmentation import METRICS

PROJECT = "cryostat"
"""Name of the experiment or project by default."""

Setting = str | int | float | bool


@dataclass(frozen=True)
class Curve:
    """What was measured at one step of training.

    Attributes:
        step: The step.
        values: Name to value.
    """

    step: int
    values: Mapping[str, float]


@dataclass(frozen=True)
class Mirror:
    """A run as trackers see it.

    Attributes:
        run_id: Its name.
        key: Hash of the name, by which a tracker finds it again.
        created: When it finished.
        settings: Name, nested ones with dots, to value; lists as JSON.
        metrics: Name to value; what is undefined is left out. Names hold letters, digits, `_ - . / :` and spaces only.
        curves: Losses and validation scores by step.
        tags: Name to text: benchmark, identity, where the record is.
        predictions: The predictions table.
    """

    run_id: str
    key: str
    created: datetime
    settings: Mapping[str, Setting]
    metrics: Mapping[str, float]
    curves: Sequence[Curve]
    tags: Mapping[str, str]
    predictions: Path


@dataclass(frozen=True)
class Mirrored:
    """What became of one run.

    Attributes:
        run_id: The run.
        where: Its place in the tracker.
        fresh: Whether it was written now; the others were there already.
    """

    run_id: str
    where: str
    fresh: bool = True


def mirror(record: RunRecord) -> Mirror:
    """What trackers are shown of a run.

    Raises:
        SettingError: The record does not stand in a folder.
        InputError: Scores are missing or damaged, or the date is none.
    """
    if record.folder is None:
        raise SettingError(f"the record of run {record.run_id!r} was not read from a folder", remedy="Load it from one")
    metrics = _of_cases(record) if record.benchmark == CASES else _of_cells(record)
    defined = [(name, float(value)) for name, value in metrics if value is not None and math.isfinite(value)]
    safe = safe_names(name for name, _ in defined)
    return Mirror(
        run_id=record.run_id,
        key=digest(record.run_id),
        created=_date(record),
        settings=dict(flattened(record.settings)),
        metrics={safe[name]: value for name, value in defined},
        curves=_curves(record.training.get("looks")),
        tags={
            "cryostat.run_id": record.run_id,
            "cryostat.benchmark": record.benchmark,
            "cryostat.identity": digest(record.identity),
            "cryostat.record": str(record.folder.resolve() / RECORD),
        },
        predictions=record.folder / PREDICTIONS,
    )


def _date(record: RunRecord) -> datetime:
    try:
        return datetime.fromisoformat(record.created)
    except ValueError as error:
        problem, where = f"was created at {record.created!r}, which is no date", (record.folder or Path()) / RECORD
        raise InputError(problem, where=where, remedy="Run it again") from error


def flattened(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Setting]]:
    """Nested settings as `outer.inner`; lists as JSON, nothing as `none`."""
    for key, value in settings.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from flattened(value, f"{name}.")
        elif isinstance(value, str | bool | int | float):
            yield name, value
        else:
            yield name, "none" if value is None else json.dumps(value, ensure_ascii=False)


def _of_cells(record: RunRecord) -> Iterator[tuple[str, float | None]]:
    scores = record.cell_scores()
    for name in ("macro_f1", "macro_precision", "macro_recall", "accuracy", "cells"):
        yield name, getattr(scores, name)
    for c in scores.classes:
        for name in ("f1", "precision", "recall", "support"):
            yield f"class/{_one(c.name)}/{name}", getattr(c, name)
    if segmentation := record.segmentation():
        for metric in METRICS:
            yield f"segmentation/{metric.name}", metric.of(segmentation)


def _of_cases(record: RunRecord) -> Iterator[tuple[str, float | None]]:
    """With everything offered to everybody, the bare name of the metric and its interval; then all of the lattice."""
    scores = record.case_scores()
    everything = (FULL, "+".join(scores.modalities), ALL_PATIENTS)
    for arm in scores.arms:
        whole = (arm.ablation, arm.offered, arm.population) == everything
        parts = [_one(part) for part in (arm.offered, arm.population, *([arm.ablation] * (arm.ablation != FULL)))]
        for name, score in arm.metrics.items():
            if whole:
                yield from ((name, score.value), (f"{name}_low", score.low), (f"{name}_high", score.high))
            yield "/".join(("lattice", *parts, name)), score.value


def _one(name: str) -> str:
    """A name that stays one part of a path."""
    return name.replace("/", "_").strip(". ") or "_"


def safe_names(names: Iterable[str]) -> dict[str, str]:
    """Names to those that every tracker takes: other characters become `_`, `+` a blank; no two become one."""
    found: dict[str, str] = {}
    taken: set[str] = set()
    for name in dict.fromkeys(names):
        plain = re.sub(r"[^\w\-. /:]", "_", name.replace("+", " "))
        safe, number = plain, 2
        while safe in taken:
            safe, number = f"{plain}-{number}", number + 1
        found[name] = safe
        taken.add(safe)
    return found


def _curves(looks: Any) -> list[Curve]:
    """The looks that training took; nothing where it took none."""
    rows = [look for look in looks if isinstance(look, Mapping)] if isinstance(looks, list) else []
    return [_curve(row) for row in rows if _number(row.get("step"))]


def _curve(row: Mapping[str, Any]) -> Curve:
    values = {f"training/{name}": float(value) for name, value in row.items() if name != "step" and _number(value)}
    return Curve(int(row["step"]), values)


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
