"""What a check of a cohort says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from cryostat.cases.evidence import Problem

Severity = Literal["error", "warning", "note"]

FEW = 5
"""Fewer patients of a class than this cannot be told from chance."""


@dataclass(frozen=True)
class Finding:
    """Something about the cohort as a whole that results may suffer from.

    Attributes:
        severity: `error` (a task cannot be used), `warning` (results may mislead) or `note` (worth knowing).
        what: What was found, as a clause without a full stop.
        where: Patients, files or classes; empty for all.
        remedy: What to do, as an imperative sentence without a full stop; empty where nothing is to be done.
    """

    severity: Severity
    what: str
    where: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Pattern:
    """Patients who have exactly these modalities and no other.

    Attributes:
        modalities: Names, in the order of the cohort; empty for those who have none.
        patients: How many.
    """

    modalities: tuple[str, ...]
    patients: int


@dataclass(frozen=True)
class ModalityCounts:
    """How much there is of one modality.

    Attributes:
        name: The modality.
        source: Where it comes from, in words.
        patients: Those who have it.
        files: Files named, readable or not; 0 where it is rows of a table.
        series: Where it has several columns, each with its number of patients.
    """

    name: str
    source: str
    patients: int
    files: int
    series: Mapping[str, int]


@dataclass(frozen=True)
class ValueCounts:
    """How a clinical column was read.

    Attributes:
        modality: The modality that it belongs to.
        column: The column.
        kind: `numbers` or `words`.
        unit: `years` for times, `percent`, or empty.
        patients: Those of whom it is known.
        read: How many cells were read in which way.
        levels: Patients of each word, most first; empty for numbers.
        spellings: Words that are written in several ways, to these.
        quartiles: Least, lower quartile, median, upper quartile and greatest number; empty for words, or where none is
            known.
    """

    modality: str
    column: str
    kind: str
    unit: str
    patients: int
    read: Mapping[str, int]
    levels: Mapping[str, int]
    spellings: Mapping[str, tuple[str, ...]]
    quartiles: tuple[float, ...]


@dataclass(frozen=True)
class TaskCounts:
    """Patients of each class of a task.

    Attributes:
        name: The task.
        column: Column with the label.
        classes: Names of its C classes.
        ordinal: They are ordered.
        counts: For each pattern, in the report's order, the patients of each class.
        partial: For each pattern those whose label leaves the class open; they train, and are never tested.
        unlabelled: For each pattern those without a label.
        dropped: For each pattern those who are of no class of the task.
        reasons: Why patients have no certain class, each with their number.
    """

    name: str
    column: str
    classes: tuple[str, ...]
    ordinal: bool
    counts: tuple[tuple[int, ...], ...]
    partial: tuple[int, ...]
    unlabelled: tuple[int, ...]
    dropped: tuple[int, ...]
    reasons: Mapping[str, int]

    def of_class(self, number: int) -> int:
        """Patients of a class, whatever they have."""
        return sum(row[number] for row in self.counts)


@dataclass(frozen=True)
class CohortReport:
    """Who has what, what is asked of whom, and what is wrong.

    Attributes:
        cohort: Name of the cohort.
        about: A sentence on it.
        path: Its manifest.
        identity: Its identity.
        patients: How many.
        modalities: One each.
        patterns: Most frequent first; together all patients.
        tasks: One each.
        sites: Patients of each, most first; "" for unknown; empty when the cohort has no sites.
        parts: Patients of each part of the split; empty when it has none.
        groups: For each group column the patients of each value.
        problems: What of a patient could not be used, and how many files remain in its place.
        findings: Worst first.
        read: Embeddings were read; else files were only looked at.
        values: How each clinical column was read.
    """

    cohort: str
    about: str
    path: str
    identity: str
    patients: int
    modalities: tuple[ModalityCounts, ...]
    patterns: tuple[Pattern, ...]
    tasks: tuple[TaskCounts, ...]
    sites: Mapping[str, int]
    parts: Mapping[str, int]
    groups: Mapping[str, Mapping[str, int]]
    problems: tuple[Problem, ...]
    findings: tuple[Finding, ...]
    read: bool
    values: tuple[ValueCounts, ...] = ()

    @property
    def passed(self) -> bool:
        """Nothing is unusable: no problem and no error."""
        return not self.problems and all(finding.severity != "error" for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """Plain types, as JSON has them."""
        return asdict(self) | {"passed": self.passed}

    def task(self, name: str) -> TaskCounts:
        """A task by name; KeyError where there is none."""
        return {task.name: task for task in self.tasks}[name]
