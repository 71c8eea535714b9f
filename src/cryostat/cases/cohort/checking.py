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
from cryostat.cases.cohort.report import CohortReport, Finding, ModalityCounts, Pattern, TaskCounts, ValueCounts
from cryostat.cases.cohort.value_findings import value_findings
from cryostat.cases.cohort.values import ValueColumn
from cryostat.cases.evidence import Evidence
from cryostat.cases.labels import Targets, targets
from cryostat.core.errors import InputError

QUARTILES = (0, 0.25, 0.5, 0.75, 1)
SEVERITIES = ("error", "warning", "note")


def check_cohort(cohort: Cohort, evidence: Evidence | None = None) -> CohortReport:
    """Count who has what, and find what is wrong.

    Args:
        cohort: The cohort.
        evidence: Its embeddings, where they are read already: a file whose numbers cannot be used then counts as
            missing. Without, every file is looked at, not decoded.

    Raises:
        InputError: A table of features or a column of values cannot be read, or the evidence is of other patients or
            modalities.
    """
    seen = availability(cohort)
    present = seen.present if evidence is None else _present_in(evidence, cohort)
    patterns, rows = _patterns(present, tuple(cohort.modalities))
    asked, failed = _targets(cohort)
    counted = tuple(_counts(found, rows, len(patterns)) for found in asked)
    values = [(name, column) for name, columns in seen.values.items() for column in columns]
    findings = (
        *failed,
        *cohort_findings(cohort, seen, present),
        *task_findings(counted),
        *value_findings(cohort, values, asked),
    )
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
        values=tuple(_column(name, column) for name, column in values),
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
    if len(spec.columns) > 1 and not spec.values:
        named = Counter(column for row in cohort.series(spec.name) for column in row)
        series = {column: named[column] for column in spec.columns}
    return ModalityCounts(spec.name, _source(cohort, spec), patients, len(seen.looks[spec.name]), series)


def _column(modality: str, column: ValueColumn) -> ValueCounts:
    counts = Counter(column.levels[code] for code in (column.codes if column.codes is not None else ()) if code >= 0)
    numbers = None if column.numbers is None else column.numbers[column.known]
    return ValueCounts(
        modality=modality,
        column=column.name,
        kind="words" if numbers is None else "numbers",
        unit=column.unit,
        patients=int(column.known.sum()),
        read=column.read,
        levels=dict(counts.most_common()),
        spellings=column.spellings,
        quartiles=() if numbers is None or not len(numbers) else tuple(np.quantile(numbers, QUARTILES).tolist()),
    )


def _source(cohort: Cohort, spec: ModalitySpec) -> str:
    if spec.table:
        return f"rows of {shown_path(spec.table, cohort.root)}"
    if spec.values:
        return f"values of {', '.join(spec.columns)}"
    columns = f"column {spec.column}" if len(spec.columns) == 1 else f"columns {', '.join(spec.columns)}"
    return f"{columns}, encoder {spec.encoder}" if spec.encoder else f"{columns}, embeddings, pool {spec.pool}"


def _values(cohort: Cohort, column: str | None) -> Mapping[str, int]:
    """Patients of each value of a column, most first; "" for those where it is not known."""
    if column is None:
        return {}
    counts = Counter(value or "" for value in cohort.table[column])
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _targets(cohort: Cohort) -> tuple[tuple[Targets, ...], tuple[Finding, ...]]:
    """The labels of each task, and an error for each whose labels cannot be read."""
    asked, failed = [], []
    for task in cohort.tasks.values():
        try:
            asked.append(targets(task, cohort.table, cohort.path))
        except InputError as error:
            failed.append(Finding("error", error.problem, f"task {task.name}", error.remedy))
    return tuple(asked), tuple(failed)


def _counts(found: Targets, rows: NDArray[np.intp], patterns: int) -> TaskCounts:
    task = found.task
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
