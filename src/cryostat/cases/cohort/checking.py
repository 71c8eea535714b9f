"""The check of a cohort: who has what, what is asked of whom, and what is wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.cohort.availability import Availability, availability
from cryostat.cases.cohort.cohort import Cohort
from cryostat.cases.cohort.findings import cohort_findings, task_findings
from cryostat.cases.cohort.manifest import ModalitySpec
from cryostat.cases.cohort.paths import shown_path
from cryostat.cases.cohort.report import CohortReport, Finding, ModalityCounts, Pattern, TaskCounts
from cryostat.cases.evidence import Evidence
from cryostat.cases.labels import Targets, Task, targets
from cryostat.core.errors import InputError

SEVERITIES = ("error", "warning", "note")


def check_cohort(cohort: Cohort, evidence: Evidence | None = None) -> CohortReport:
    """Count who has what, and find what is wrong.

    Args:
        cohort: The cohort.
        evidence: Its embeddings, where they are read already: a file whose numbers cannot be used then counts as
            missing. Without, every file is looked at, not decoded.

    Raises:
        InputError: A table of features cannot be read, or the evidence is of other patients or modalities.
    """
    seen = availability(cohort)
    present = seen.present if evidence is None else _present_in(evidence, cohort)
    patterns, rows = _patterns(present, tuple(cohort.modalities))
    counted, failed = _tasks(cohort, rows, len(patterns))
    findings = (*failed, *cohort_findings(cohort, seen, present), *task_findings(counted))
    return CohortReport(
        cohort=cohort.name,
        about=cohort.about,
        path=str(cohort.path),
        identity=cohort.identity(),
        patients=len(cohort.patients),
        modalities=tuple(
            _modality(cohort, spec, int(present[:, place].sum()), seen)
            for place, spec in enumerate(cohort.modalities.values())
        ),
        patterns=patterns,
        tasks=counted,
        sites=_values(cohort, cohort.site),
        parts=_values(cohort, cohort.split),
        groups={column: _values(cohort, column) for column in cohort.groups},
        problems=seen.problems if evidence is None else tuple(evidence.problems),
        findings=tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))),
        read=evidence is not None,
    )


def _present_in(evidence: Evidence, cohort: Cohort) -> NDArray[np.bool_]:
    if evidence.patients != cohort.patients or tuple(evidence.modalities) != tuple(cohort.modalities):
        raise InputError(
            f"has evidence of {len(evidence.patients)} patients and {', '.join(evidence.modalities)}",
            where=cohort.path,
            remedy="Gather the evidence of this cohort, of all its patients and modalities",
        )
    return evidence.present


def _patterns(present: NDArray[np.bool_], names: Sequence[str]) -> tuple[tuple[Pattern, ...], NDArray[np.intp]]:
    """The patterns, most frequent first, and for each patient the place of theirs."""
    codes = present @ (1 << np.arange(len(names)))
    frequent = sorted(Counter(codes.tolist()).items(), key=lambda item: (-item[1], item[0].bit_count(), item[0]))
    patterns = tuple(
        Pattern(tuple(name for place, name in enumerate(names) if code >> place & 1), patients)
        for code, patients in frequent
    )
    place = {code: row for row, (code, _) in enumerate(frequent)}
    return patterns, np.array([place[code] for code in codes.tolist()], np.intp)


def _modality(cohort: Cohort, spec: ModalitySpec, patients: int, seen: Availability) -> ModalityCounts:
    series: dict[str, int] = {}
    if len(spec.columns) > 1:
        named = Counter(column for row in cohort.series(spec.name) for column in row)
        series = {column: named[column] for column in spec.columns}
    return ModalityCounts(spec.name, _source(cohort, spec), patients, len(seen.looks[spec.name]), series)


def _source(cohort: Cohort, spec: ModalitySpec) -> str:
    if spec.table:
        return f"rows of {shown_path(spec.table, cohort.root)}"
    columns = f"column {spec.column}" if len(spec.columns) == 1 else f"columns {', '.join(spec.columns)}"
    return f"{columns}, encoder {spec.encoder}" if spec.encoder else f"{columns}, embeddings, pool {spec.pool}"


def _values(cohort: Cohort, column: str | None) -> Mapping[str, int]:
    """Patients of each value of a column, most first; "" for those where it is not known."""
    if column is None:
        return {}
    counts = Counter(value or "" for value in cohort.table[column])
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _tasks(cohort: Cohort, rows: NDArray[np.intp], patterns: int) -> tuple[tuple[TaskCounts, ...], tuple[Finding, ...]]:
    """The counts of each task, and an error for each whose labels cannot be read."""
    counted, failed = [], []
    for task in cohort.tasks.values():
        try:
            found = targets(task, cohort.table, cohort.path)
        except InputError as error:
            failed.append(Finding("error", error.problem, f"task {task.name}", error.remedy))
        else:
            counted.append(_counts(task, found, rows, patterns))
    return tuple(counted), tuple(failed)


def _counts(task: Task, found: Targets, rows: NDArray[np.intp], patterns: int) -> TaskCounts:
    table = np.zeros((patterns, len(task.classes)), int)
    np.add.at(table, (rows[found.certain], found.y[found.certain]), 1)

    def each(mask: NDArray[np.bool_]) -> tuple[int, ...]:
        return tuple(np.bincount(rows[mask], minlength=patterns).tolist())

    return TaskCounts(
        task.name,
        task.column,
        task.classes,
        task.ordinal,
        tuple(tuple(row) for row in table.tolist()),
        each(found.partial),
        each(found.unlabelled),
        each(found.dropped),
        dict(Counter(reason for reason in found.reasons if reason).most_common()),
    )
