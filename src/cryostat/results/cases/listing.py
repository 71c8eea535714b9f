"""Finished runs of cases side by side: one row a run, ablation, subset offered and population."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import atomic_write, write_json
from cryostat.results.cases.scores import CaseScores
from cryostat.results.cases.subsets import ALL_PATIENTS, NOTHING
from cryostat.results.records import CASES, BrokenRun, RunRecord

BLOCK = ("cohort", "task", "protocol", "split", "modalities")
"""Settings that runs of one table share."""

COLUMNS = (
    *BLOCK,
    "method",
    "variant",
    "ablation",
    "offered",
    "population",
    "n",
    "value",
    "low",
    "high",
    "sd_repeats",
    "sd_seeds",
    "run_id",
    "created",
)
"""Columns of the listing."""

HAVING = "having"
"""Instead of one population: each subset on the patients that have all of it."""


def list_cases(
    records: Iterable[RunRecord], *, metric: str = "balanced_accuracy", population: str = HAVING
) -> tuple[pd.DataFrame, tuple[BrokenRun, ...]]:
    """One metric of all runs of cases.

    Args:
        records: Runs, with their folders; those of other benchmarks are passed over.
        metric: Name of a metric.
        population: `having`: each subset on the patients that have all of it; `all`; or the modalities that patients
            have at least, joined by `+`.

    Returns:
        A frame with the columns of `COLUMNS`, runs in the order in which they were made, without those that lack that
        metric or population; and what could not be read.

    Raises:
        SettingError: No run has that metric, or that population.
    """
    rows: list[dict[str, Any]] = []
    broken: list[BrokenRun] = []
    unfit: list[SettingError] = []
    for record in sorted((r for r in records if r.benchmark == CASES), key=lambda r: r.created):
        try:
            rows += _rows(record, record.case_scores(), metric, population)
        except InputError as error:
            broken.append(BrokenRun(record.folder or Path(record.run_id), error.problem))
        except SettingError as error:
            unfit.append(error)
    if unfit and not rows:
        raise unfit[0]
    return _with_variants(rows), tuple(broken)


LATTICE = ("ablation", "offered", "population", "n", "value", "low", "high", "sd_repeats", "sd_seeds")
"""Columns of a run's lattice."""


def lattice(scores: CaseScores, metric: str = "balanced_accuracy", population: str = HAVING) -> pd.DataFrame:
    """One metric for every ablation and subset offered.

    Args:
        scores: Of a run.
        metric: Name of a metric.
        population: As for `list_cases`.

    Returns:
        A frame with the columns of `LATTICE`.

    Raises:
        SettingError: The run has no such metric or population.
    """
    known = {name for arm in scores.arms for name in arm.metrics}
    _check("metric", metric, known)
    _check("population", population, {HAVING} | {arm.population for arm in scores.arms})
    rows = []
    for arm in scores.arms:
        wanted = (ALL_PATIENTS if arm.offered == NOTHING else arm.offered) if population == HAVING else population
        if arm.population == wanted:
            score = asdict(arm.metrics[metric])
            rows.append({name: score[name] if name in score else getattr(arm, name) for name in LATTICE})
    return pd.DataFrame(rows, columns=list(LATTICE))


def _check(kind: str, name: str, known: Collection[str]) -> None:
    if name not in known:
        raise SettingError(f"there is no {kind} {name!r}", remedy=f"Choose one of: {', '.join(sorted(known))}")


def _rows(record: RunRecord, scores: CaseScores, metric: str, population: str) -> list[dict[str, Any]]:
    settings = record.settings
    shared = {name: settings.get(name) for name in BLOCK}
    shared["modalities"] = "+".join(settings["modalities"])
    shared |= {"method": settings["method"], "run_id": record.run_id, "created": record.created}
    shared["settings"] = {**settings["method_settings"], **_of_run(settings)}
    return [shared | row for row in lattice(scores, metric, population).to_dict("records")]


def _of_run(settings: Any) -> dict[str, Any]:
    """What else may part two runs of one method."""
    names = ("repeats", "folds", "seeds", "shuffled")
    return {name: settings[name] for name in names if name in settings}


def _with_variants(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The frame; runs of one method in one block are told apart by the settings in which they differ."""
    frame = pd.DataFrame(rows, columns=[*COLUMNS, "settings"]).astype({"variant": object})
    for _, group in frame.groupby([*BLOCK, "method"], sort=False, dropna=False):
        by_run = dict(zip(group["run_id"], group["settings"], strict=True))
        names = {name for settings in by_run.values() for name in settings}
        differing = sorted(n for n in names if len({str(s.get(n)) for s in by_run.values()}) > 1)
        for run_id, settings in by_run.items():
            variant = ", ".join(f"{name}={settings.get(name)}" for name in differing)
            frame.loc[group.index[group["run_id"] == run_id], "variant"] = variant
    return frame.drop(columns="settings")


def write_listing(path: Path, frame: pd.DataFrame) -> None:
    """Write a listing as CSV, or as a JSON list where the file ends in `.json`; undefined is empty or null."""
    if path.suffix.lower() == ".json":
        write_json(path, frame.astype(object).where(frame.notna(), None).to_dict("records"))
    else:
        with atomic_write(path) as stream:
            stream.write(frame.to_csv(index=False).encode())
