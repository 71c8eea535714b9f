"""A cohort: its patients, what is recorded of them, and where their evidence lies."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from cryostat.cases.cohort.manifest import ModalitySpec, nearest
from cryostat.cases.cohort.paths import resolved_paths, shown_path
from cryostat.cases.cohort.tables import read_text_table
from cryostat.cases.labels import Task
from cryostat.core.errors import InputError, SettingError
from cryostat.core.identity import digest

Files = tuple[Path, ...]

LATER: Mapping[str, Any] = {"values": False, "words": (), "unknown": (), "incomplete": "use"}
"""Facts of a modality that count only where they differ: cohorts from before they existed keep their identity."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Patients with the evidence and the labels that a manifest describes.

    Attributes:
        name: What it is called.
        path: The manifest.
        root: Folder under which all paths lie.
        table: One row a patient, every value as text, None where it is not known.
        modalities: Name to how it is found, in the order of the manifest.
        tasks: Name to task, its classes settled.
        patient: Column of the table with the patients' ids.
        site: Column with the hospital or scanner, or None.
        split: Column with a fixed division into train and test, or None.
        groups: Columns that scores are broken down by.
        about: A sentence on it.
        notes: What was particular in reading the table.
    """

    name: str
    path: Path
    root: Path
    table: pd.DataFrame
    modalities: Mapping[str, ModalitySpec]
    tasks: Mapping[str, Task]
    patient: str = "patient_id"
    site: str | None = None
    split: str | None = None
    groups: tuple[str, ...] = ()
    about: str = ""
    notes: tuple[str, ...] = ()

    @cached_property
    def patients(self) -> tuple[str, ...]:
        """Ids of the n patients, in the order of the table."""
        return tuple(self.table[self.patient])

    def modality(self, name: str) -> ModalitySpec:
        """A modality by name; a SettingError that names the nearest where there is none."""
        if name not in self.modalities:
            raise self._unknown("modality", name, self.modalities)
        return self.modalities[name]

    def task(self, name: str) -> Task:
        """A task by name; a SettingError that names the nearest where there is none."""
        if name not in self.tasks:
            raise self._unknown("task", name, self.tasks)
        return self.tasks[name]

    def series(self, modality: str) -> tuple[Mapping[str, Files], ...]:
        """For each patient the files of a modality by column; columns without any are left out.

        A pattern that matches no file stays as a path, so that it is met as a missing file and not passed over.
        """
        if self.modality(modality).values:
            return ({},) * len(self.patients)
        columns = self._cells(modality)
        found = ({c: resolved_paths(cell, self.root) for c, cell in row.items()} for row in columns)
        return tuple({column: files for column, files in row.items() if files} for row in found)

    def files(self, modality: str) -> tuple[Files, ...]:
        """For each patient the files of a modality, in the order of its columns; empty where it is missing.

        A modality that is rows of a table, or values in the patients' own, has none.
        """
        if self.modality(modality).table:
            return ((),) * len(self.patients)
        return tuple(tuple(path for files in row.values() for path in files) for row in self.series(modality))

    def keys(self, modality: str) -> tuple[str | None, ...]:
        """For each patient the key of the row in the modality's table; None where it is missing.

        Where the key is the patient's id itself, a patient without a row in that table lacks the modality.
        """
        spec = self.modality(modality)
        if not spec.table:
            return (None,) * len(self.patients)
        if spec.column != self.patient:
            return tuple(self.table[spec.column])
        there = set(table_keys(spec))
        return tuple(patient if patient in there else None for patient in self.patients)

    def facts(
        self, *, tasks: Collection[str] | None = None, modalities: Collection[str] | None = None
    ) -> dict[str, Any]:
        """All that determines who is in the cohort, what they have and what is asked, ready for an identity.

        Columns that the manifest does not name do not count, nor where the cohort lies; what the files hold is in the
        identity of the evidence.

        Args:
            tasks: Of these tasks alone; None: of all.
            modalities: Of these modalities alone; None: of all.
        """
        asked = {name: task for name, task in self.tasks.items() if tasks is None or name in tasks}
        had = {name: spec for name, spec in self.modalities.items() if modalities is None or name in modalities}
        about = [name for name in (self.patient, self.site, self.split, *self.groups) if name]
        columns = [*about, *(c for spec in had.values() for c in spec.columns), *(t.column for t in asked.values())]
        return {
            "name": self.name,
            "columns": {name: digest(list(self.table[name])) for name in columns},
            "patient": self.patient,
            "site": self.site,
            "split": self.split,
            "groups": list(self.groups),
            "modalities": {name: self._modality_facts(spec) for name, spec in had.items()},
            "tasks": {name: task.facts() for name, task in asked.items()},
        }

    def identity(self, *, tasks: Collection[str] | None = None, modalities: Collection[str] | None = None) -> str:
        """Hash of `facts`."""
        return digest(self.facts(tasks=tasks, modalities=modalities))

    def _cells(self, modality: str) -> list[dict[str, str | None]]:
        columns = self.modality(modality).columns
        return [dict(zip(columns, row, strict=True)) for row in self.table[list(columns)].itertuples(False)]

    def _modality_facts(self, spec: ModalitySpec) -> dict[str, Any]:
        table = shown_path(spec.table, self.root) if spec.table else None
        facts = {key: value for key, value in asdict(spec).items() if key not in LATER or value != LATER[key]}
        return facts | {"table": table}

    def _unknown(self, kind: str, name: str, known: Mapping[str, Any]) -> SettingError:
        return SettingError(f"has no {kind} {name!r}", where=self.path, remedy=nearest(name, known))


def table_keys(spec: ModalitySpec) -> tuple[str, ...]:
    """The keys of a modality's table of features, row by row; none where it has no table.

    Raises:
        InputError: The table cannot be read or lacks the column.
    """
    if spec.table is None or spec.key is None:
        return ()
    table = read_text_table(spec.table)
    if spec.key not in table.columns:
        raise InputError(
            f"has no column {spec.key!r}, which is the key in [modalities.{spec.name}]",
            where=spec.table,
            remedy=nearest(spec.key, table.columns),
        )
    return tuple(table.column(spec.key))
