"""What accompanies a user's own fields of view: their scale, patients, sites and groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cryostat.cells.datasets.folders import table_in
from cryostat.cells.datasets.importing import ImportOptions
from cryostat.cells.datasets.row_table import RowTable, read_row_table
from cryostat.cells.datasets.tables import find_column, positive_number
from cryostat.cells.field import Field
from cryostat.core.errors import InputError

SCALE = ("mpp", "um_per_px", "microns_per_pixel")
"""Names of the column that holds µm per pixel."""


@dataclass(frozen=True)
class About:
    """Scale and origin of each field of view.

    Attributes:
        mpp: µm per pixel of each field of view.
        uniform: The scale that the user stated for all, or None when fields state their own.
        tables: Tables to join, later ones last.
        notes: Sentences on what of the tables could not be used.
    """

    mpp: Mapping[str, float]
    uniform: float | None
    tables: tuple[RowTable, ...] = ()
    notes: tuple[str, ...] = ()

    def join(self, field: Field) -> Field:
        """The field with its patient, site and groups."""
        for table in self.tables:
            field = table.join(field)
        return field


def read_about(source: Path, name: str, options: ImportOptions, fovs: Sequence[str]) -> About:
    """Scale and origin of fields of view from a table in the source folder and the user's options.

    Args:
        source: Folder of the data.
        name: Name of its table of fields (`fov_id`, and any of `mpp`, `patient_id`, `site`, groups); it may be absent.
        options: `mpp` is the scale of fields that state none; `clinical` is joined by field or patient.
        fovs: Ids of the fields of view.

    Raises:
        InputError: A field's scale is not known, or a table fits none of the fields.
    """
    path = table_in(source, name)
    own = read_row_table(path) if path else None
    if own and own.key != "fov_id":
        raise InputError("has no column 'fov_id'", where=own.path, remedy="Name the column that holds the image's name")
    names = [(fov, own.of(fov, None).get("patient_id") if own else None) for fov in fovs]
    clinical = read_row_table(options.clinical) if options.clinical else None
    tables = [table for table in (own, clinical) if table]
    for table in tables:
        table.require_matches(names)
    scales, tables = _scales(tables, options.mpp, fovs)
    notes = tuple(note for table in tables for note in table.notes(names))
    uniform = options.mpp if options.mpp and set(scales.values()) == {options.mpp} else None
    return About(scales, uniform, tuple(tables), notes)


def _scales(
    tables: Sequence[RowTable], stated: float | None, fovs: Sequence[str]
) -> tuple[dict[str, float], list[RowTable]]:
    """The scale of each field, and the tables without the column that held it."""
    scales = dict.fromkeys(fovs, stated or 0.0)
    stripped = []
    for table in tables:
        column = find_column(table.columns(), SCALE)
        if column and table.key == "fov_id":
            rows = {fov: table.of(fov, None).get(column, "") for fov in fovs}
            scales |= {fov: positive_number(text, column, table.path) for fov, text in rows.items() if text}
            table = _without(table, column)
        stripped.append(table)
    if unknown := [fov for fov, scale in scales.items() if not scale]:
        raise InputError(
            f"the scale of {len(unknown)} fields of view is not known (first: {unknown[0]!r})",
            remedy="State the µm per pixel with --mpp, or in a column 'mpp' of the table of fields",
        )
    return scales, stripped


def _without(table: RowTable, column: str) -> RowTable:
    rows = {key: {name: value for name, value in row.items() if name != column} for key, row in table.rows.items()}
    return replace(table, rows=rows)
