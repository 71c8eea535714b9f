"""What about a cohort as a whole may mislead, or is worth knowing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.cohort.availability import Availability, look_alike, used_twice
from cryostat.cases.cohort.cohort import Cohort
from cryostat.cases.cohort.inspection import equal_files
from cryostat.cases.cohort.manifest import DEFAULT_POOL
from cryostat.cases.cohort.paths import shown_path
from cryostat.cases.cohort.report import FEW, Finding, TaskCounts
from cryostat.core.errors import SettingError

SHOWN = 6
"""Patients or files that a finding names before it says how many more there are."""


def places(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def cohort_findings(cohort: Cohort, seen: Availability, present: NDArray[np.bool_]) -> Iterator[Finding]:
    """What the ids, the files and the table show."""
    for group in look_alike(cohort.patients):
        what = "ids that differ only in case, signs or zeros"
        yield Finding("warning", what, places(group), "Make sure that it is not one patient")
    for modality, thing, who in used_twice(cohort):
        yield Finding("warning", f"{modality} {thing} is named {len(who)} times", places(who), "Correct the table")
    yield from _copies(cohort, seen)
    yield from _pooled(cohort)
    yield from _without(cohort, present)
    yield from _sites(cohort)
    for note in cohort.notes:
        yield Finding("note", note)
    if not cohort.tasks:
        yield Finding("note", "no task is described", "", "Add [tasks.NAME] with a column to the manifest")


def _copies(cohort: Cohort, seen: Availability) -> Iterator[Finding]:
    for modality, looks in seen.looks.items():
        for paths in equal_files(looks):
            names = [shown_path(path, cohort.root) for path in paths]
            yield Finding("warning", f"{modality}: files with the same content", places(names), "Find out whose it is")


def _pooled(cohort: Cohort) -> Iterator[Finding]:
    """Poolings that would be passed over."""
    from cryostat.cases.embeddings.encoded import kind_of, require_pooled  # which needs cohorts in turn

    for spec in cohort.modalities.values():
        if not spec.encoder or spec.pool == DEFAULT_POOL:
            continue
        try:
            require_pooled(cohort, spec, kind_of(cohort, spec))
        except SettingError as error:
            yield Finding("error", error.problem, f"modality {spec.name}", error.remedy)


def _without(cohort: Cohort, present: NDArray[np.bool_]) -> Iterator[Finding]:
    empty = [cohort.patients[i] for i in np.flatnonzero(~present.any(1))]
    if empty:
        yield Finding(
            "warning",
            f"{len(empty)} patients have nothing that can be used; of them only the prior can be told",
            places(empty),
        )
    for place, name in enumerate(cohort.modalities):
        if not present[:, place].any():
            yield Finding("error", "no patient has it", f"modality {name}", "Correct the paths, or take it out")


def _sites(cohort: Cohort) -> Iterator[Finding]:
    if cohort.site is None:
        return
    unknown = [p for p, site in zip(cohort.patients, cohort.table[cohort.site], strict=True) if site is None]
    if unknown:
        yield Finding("warning", f"{len(unknown)} patients have no {cohort.site}", places(unknown))


def task_findings(tasks: Sequence[TaskCounts]) -> Iterator[Finding]:
    """Classes that have too few patients, and patients that a task leaves out."""
    for task in tasks:
        counts = [task.of_class(number) for number in range(len(task.classes))]
        few = [f"{name} ({n})" for name, n in zip(task.classes, counts, strict=True) if n < FEW]
        if few:
            what = f"{task.name}: classes with fewer than {FEW} patients cannot be told from chance"
            yield Finding("warning", what, places(few), "Merge or drop them in the task")
        if dropped := sum(task.dropped):
            yield Finding("note", f"{task.name}: {dropped} patients are of no class of the task and take no part")
