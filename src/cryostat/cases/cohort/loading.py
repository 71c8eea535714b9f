"""From a manifest and its table to a cohort, or to an error that names file, line and remedy."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from cryostat.cases.cohort.cohort import Cohort
from cryostat.cases.cohort.manifest import Manifest, nearest, read_manifest
from cryostat.cases.cohort.paths import opening, require_inside, written_paths
from cryostat.cases.cohort.tables import TextTable, known, read_text_table
from cryostat.cases.labels import Task, read_task, resolve
from cryostat.core.errors import InputError
from cryostat.core.files import require_file


def load_cohort(path: str | Path) -> Cohort:
    """Load a cohort from its manifest; the files of its patients are not opened.

    Args:
        path: The TOML file; docs/cohorts.md describes it.

    Raises:
        InputError: The manifest or the table is malformed, a column that the manifest names is not there, a patient has
            no id or two differing rows, a path leads out of the root, a label is unknown, or the number of patients is
            not the declared one.
    """
    manifest = read_manifest(Path(path))
    table = read_text_table(manifest.table)
    _require_columns(manifest, table)
    _require_evidence(manifest)
    rows, notes = _patients(table, manifest.patient)
    _require_declared(manifest, len(rows))
    _require_inside(manifest, table)
    for spec in manifest.modalities:
        if spec.table:
            with opening(spec.table):
                require_file(spec.table)
    frame = _frame(table, rows, manifest.patient)
    return Cohort(
        name=manifest.name,
        path=manifest.path,
        root=manifest.root,
        table=frame,
        modalities={spec.name: spec for spec in manifest.modalities},
        tasks={task.name: resolve(task, frame, manifest.table) for task in _tasks(manifest, table)},
        patient=manifest.patient,
        site=manifest.site,
        split=manifest.split,
        groups=manifest.groups,
        about=manifest.about,
        notes=(*table.notes, *notes),
    )


def _require_columns(manifest: Manifest, table: TextTable) -> None:
    for column, said in _columns_named(manifest):
        if column not in table.columns:
            raise InputError(
                f"has no column {column!r}, which {said} names",
                where=table.path,
                remedy=nearest(column, table.columns),
            )


def _require_evidence(manifest: Manifest) -> None:
    """Raise an InputError where a column of values is one that tells who a patient is or how he is used."""
    never = {manifest.patient: "holds the patients' ids", manifest.split: "divides them into train and test"}
    for spec in manifest.modalities:
        if spec.values and (column := next((column for column in spec.columns if column in never), None)):
            raise InputError(
                f"has the column {column!r} in values, which {never[column]}",
                where=f"{manifest.path}, [modalities.{spec.name}]",
                remedy="Take it out of values",
            )


def _columns_named(manifest: Manifest) -> Iterator[tuple[str, str]]:
    """Each column that the manifest names, and which part of it does."""
    yield manifest.patient, "patient in [cohort]"
    for key in ("site", "split"):
        if column := getattr(manifest, key):
            yield column, f"{key} in [cohort]"
    for column in manifest.groups:
        yield column, "groups in [cohort]"
    for spec in manifest.modalities:
        for column in spec.columns:
            yield column, f"[modalities.{spec.name}]"


SHOWN_LABEL = (
    "Take it out of values, or leave this task out of the manifest: nothing is learnt where the label itself is shown"
)


def _tasks(manifest: Manifest, table: TextTable) -> Iterator[Task]:
    of_modality = {column: spec for spec in manifest.modalities for column in spec.columns}
    for name, facts in manifest.tasks.items():
        task = read_task(name, facts, manifest.root, manifest.path)
        where = f"{manifest.path} [tasks.{name}]"
        if task.column not in table.columns:
            raise InputError(
                f"asks for the column {task.column!r}, which {table.path.name} does not have",
                where=where,
                remedy=nearest(task.column, table.columns),
            )
        if task.column in of_modality:
            spec = of_modality[task.column]
            raise InputError(
                f"has the column {task.column!r} as its label, from which the modality {spec.name!r} is read too",
                where=where,
                remedy=SHOWN_LABEL if spec.values else "Name the column that holds the label",
            )
        yield task


def _patients(table: TextTable, patient: str) -> tuple[list[int], tuple[str, ...]]:
    """Rows to keep, one a patient, and a note on rows that stand there twice."""
    first: dict[str, int] = {}
    repeated = []
    for number, identifier in enumerate(table.column(patient)):
        if not identifier:
            raise InputError(
                f"has no {patient} in {table.places[number]}", where=table.path, remedy="Fill it in or delete the row"
            )
        if identifier not in first:
            first[identifier] = number
        elif table.rows[number] == table.rows[first[identifier]]:
            repeated.append(table.places[number])
        else:
            raise _differing(table, identifier, first[identifier], number)
    kept = list(first.values())
    if not repeated:
        return kept, ()
    return kept, (f"{table.path.name} repeats rows word by word, which count once: {', '.join(repeated[:6])}",)


def _differing(table: TextTable, identifier: str, first: int, second: int) -> InputError:
    pairs = zip(table.columns, table.rows[first], table.rows[second], strict=True)
    column, one, other = next(pair for pair in pairs if pair[1] != pair[2])
    return InputError(
        f"has the patient {identifier!r} twice, in {table.places[first]} and {table.places[second]}, and they differ "
        f"({column}: {one!r} / {other!r})",
        where=table.path,
        remedy="Keep one row a patient; several files of a patient go in one cell, parted by semicolons",
    )


def _require_declared(manifest: Manifest, found: int) -> None:
    if manifest.patients is not None and manifest.patients != found:
        raise InputError(
            f"has {found} patients where the manifest declares {manifest.patients}",
            where=manifest.table,
            remedy=f"Find out which are missing or too many, or correct patients in {manifest.path}",
        )


def _require_inside(manifest: Manifest, table: TextTable) -> None:
    for spec in manifest.modalities:
        for column in () if spec.table or spec.values else spec.columns:
            for place, cell in zip(table.places, table.column(column), strict=True):
                for written in written_paths(known(cell)):
                    require_inside(written, manifest.root, f"{table.path}, {place}, column {column}")


def _frame(table: TextTable, rows: Sequence[int], patient: str) -> pd.DataFrame:
    columns = {name: [table.rows[i][place] for i in rows] for place, name in enumerate(table.columns)}
    read = {name: cells if name == patient else [known(cell) for cell in cells] for name, cells in columns.items()}
    return pd.DataFrame(read, dtype=object)
