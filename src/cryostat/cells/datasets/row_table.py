"""What a table says of patients or fields of view: clinical tables, and lists of fields."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from cryostat.cells.datasets.tables import find_column, read_text_table
from cryostat.cells.field import Field
from cryostat.core.errors import InputError

MISSING = frozenset({"", "na", "n/a", "nan", "<na>"})
"""What stands for a value that is not known, in lower case."""

KEYS: Mapping[str, tuple[str, ...]] = {
    "fov_id": ("fov_id", "fov", "sample_name", "field", "image"),
    "patient_id": ("patient_id", "patient", "patient_no", "patient_number", "case_id", "case"),
}
"""Names under which the key column is found, whatever their case and punctuation."""

Names = Sequence[tuple[str, str | None]]
"""(fov_id, patient_id) of fields of view; the patient is None where it is not known."""


@dataclass(frozen=True)
class RowTable:
    """What a table says of each field of view or each patient.

    Attributes:
        path: The file.
        key: What a row stands for, `fov_id` or `patient_id`.
        rows: Key to column to value; values that are not known are left out.
        varying: Columns that differ between rows of one patient and so say nothing of the patient.
    """

    path: Path
    key: str
    rows: Mapping[str, Mapping[str, str]]
    varying: tuple[str, ...] = ()

    def of(self, fov_id: str, patient_id: str | None) -> dict[str, str]:
        """The values for a field of view of a patient; empty when the table does not know it."""
        return dict(self.rows.get(self._key(fov_id, patient_id), {}))

    def _key(self, fov_id: str, patient_id: str | None) -> str:
        return fov_id if self.key == "fov_id" else patient_id or ""

    def columns(self) -> list[str]:
        """The columns beside the key, in alphabetical order."""
        return sorted({column for row in self.rows.values() for column in row})

    def join(self, field: Field) -> Field:
        """The field with its patient and site as the table has them, and every other column as a group."""
        about = self.of(field.fov_id, field.patient_id)
        patient, site = about.pop("patient_id", field.patient_id), about.pop("site", field.site)
        return replace(field, patient_id=patient, site=site, groups={**field.groups, **about})

    def require_matches(self, fields: Names) -> None:
        """Raise an InputError when the table knows none of the fields."""
        keys = [self._key(*field) for field in fields]
        if not set(keys) & set(self.rows):
            raise InputError(
                f"knows none of the fields: its first {self.key} is {next(iter(self.rows))!r}, "
                f"the data's {keys[0] if keys else ''!r}",
                where=self.path,
                remedy=f"Write the column {self.key} as the data has it",
            )

    def notes(self, fields: Names) -> list[str]:
        """Sentences on the columns that could not be used and the fields that the table does not know."""
        unknown = sorted({self._key(*field) for field in fields} - set(self.rows))
        found = []
        if unknown:
            more = f" and {len(unknown) - 5} more" if len(unknown) > 5 else ""
            found.append(f"{self.path.name} does not know the {self.key} {', '.join(unknown[:5])}{more}.")
        if self.varying:
            columns = ", ".join(self.varying)
            found.append(f"Columns of {self.path.name} that differ between a patient's rows are left out: {columns}.")
        return found


def read_row_table(path: Path, patient_key: Callable[[str], str] = str) -> RowTable:
    """A table with a row a field of view (column `fov_id`) or else rows by patient (column `patient_id`).

    Args:
        path: CSV, TSV, Parquet or Excel.
        patient_key: Brings a patient's name in the table into the form of the dataset.

    Raises:
        InputError: There is no key column, a key is empty, or a field of view has two rows.
    """
    frame = read_text_table(path)
    key, column = _key_column(frame, path)
    if key == "fov_id" and (patient := find_column(frame, KEYS["patient_id"])):
        frame = frame.rename(columns={patient: "patient_id"})
        frame["patient_id"] = frame["patient_id"].map(patient_key)
    if (site := find_column(frame, ("site",))) and site != column:
        frame = frame.rename(columns={site: "site"})
    keys = frame.pop(column).map(patient_key if key == "patient_id" else str)
    _check_keys(keys, key, path)
    varying = [str(c) for c in frame.columns if (frame[c].groupby(keys.to_numpy()).nunique() > 1).any()]
    records = frame.drop(columns=varying).to_dict("records")
    rows = {
        name: {str(c): value for c, value in row.items() if value.lower() not in MISSING}
        for name, row in zip(keys, records, strict=True)
    }
    return RowTable(path, key, rows, tuple(varying))


def _key_column(frame: pd.DataFrame, path: Path) -> tuple[str, str]:
    for key, names in KEYS.items():
        if column := find_column(frame, names):
            return key, column
    raise InputError(
        f"has neither a column 'fov_id' nor 'patient_id' (it has: {', '.join(map(str, frame.columns))})",
        where=path,
        remedy="Name the column that identifies the field of view or the patient",
    )


def _check_keys(keys: pd.Series, key: str, path: Path) -> None:
    if (keys == "").any():
        raise InputError(f"has a row without {key}", where=path, remedy="Fill in or delete the row")
    if key == "fov_id" and keys.duplicated().any():
        twice = keys[keys.duplicated()].iloc[0]
        raise InputError(f"has two rows for the field of view {twice!r}", where=path, remedy="Keep one row a field")
