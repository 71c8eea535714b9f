"""Per-cell phenotype tables: who is what, by nucleus id or by position."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cells.datasets.folders import TABLES, by_stem
from cryostat.cells.datasets.tables import find_column, read_text_table, require_column, whole_number
from cryostat.core.errors import InputError
from cryostat.core.files import require_file

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "fov_id": ("fov_id", "fov", "field", "image", "sample_name", "spot"),
    "cell_id": ("cell_id", "cell", "instance_id", "nucleus_id", "label"),
    "x": ("x", "x_px", "centroid_x"),
    "y": ("y", "y_px", "centroid_y"),
    "phenotype": ("phenotype", "cell_type", "cluster_name", "class"),
}
"""What the columns may be called, whatever their case and punctuation."""

LABELS_ENDING, POSITIONS_ENDING = "_CellTypeLabel.txt", "_Coordinates.txt"
"""A field in CODEX form: two text files, a line a cell: its phenotype, and its x and y."""

CODEX_NAME = re.compile(r"(?P<fov>reg(?P<region>\d{3})_(?P<tma>[AB]))_P(?P<patient>\d+)_D(?P<group>[01])")
"""`reg003_B_P2_D1`: region 3 on array B, patient 2, of the group with a diffuse infiltrate."""

INFILTRATE: Mapping[str, str] = {"0": "CLR", "1": "DII"}
"""Group digit of the name to the pattern of infiltrate, by comparison with PathoCell's list of patients."""


@dataclass(frozen=True)
class Phenotypes:
    """The cells of one field of view.

    Attributes:
        path: The file they come from.
        names: (n,) phenotype of each cell; "" where it is not known.
        cell_ids: (n,) ids in the instance map, or None when cells are found by position.
        positions: (n, 2) x and y in px, pixel centres at whole numbers, or None when cells are found by id.
        patient_id: Patient, where the file's name tells.
        groups: Groups, where the file's name tells.
    """

    path: Path
    names: Sequence[str]
    cell_ids: NDArray[np.int64] | None
    positions: NDArray[np.float64] | None
    patient_id: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)


def read_phenotypes(path: Path) -> dict[str, Phenotypes]:
    """The cells of each field of view.

    Args:
        path: One table with a column `fov_id`; a folder of tables named as their fields; or a folder in CODEX form.
            Tables have a column `phenotype` and either `cell_id` or `x` and `y`.

    Returns:
        Field of view to its cells. Fields in CODEX form go by their short name, `reg003_B`.

    Raises:
        InputError: A table is unreadable or lacks a column, or a nucleus has two rows.
    """
    if not path.is_dir():
        return _of_table(path)
    labels = sorted(path.glob(f"*{LABELS_ENDING}"))
    if labels:
        return _of_codex(labels)
    return {stem: _of_frame(read_text_table(table), table) for stem, table in by_stem(path, TABLES).items()}


def _of_table(path: Path) -> dict[str, Phenotypes]:
    frame = read_text_table(path)
    column = require_column(frame, COLUMNS["fov_id"], path)
    return {str(fov): _of_frame(rows, path) for fov, rows in frame.groupby(column, sort=False)}


def _of_frame(frame: pd.DataFrame, path: Path) -> Phenotypes:
    names = frame[require_column(frame, COLUMNS["phenotype"], path)].tolist()
    id_column, x, y = (find_column(frame, COLUMNS[name]) for name in ("cell_id", "x", "y"))
    if id_column:
        ids = np.array([whole_number(text, "cell id", path) for text in frame[id_column]], np.int64)
        _require_unique(ids, path)
        return Phenotypes(path, names, ids, None)
    if not x or not y:
        raise InputError(
            f"has neither a column 'cell_id' nor 'x' and 'y' (it has: {', '.join(map(str, frame.columns))})",
            where=path,
            remedy="Name the columns that identify the nucleus",
        )
    return Phenotypes(path, names, None, _numbers(frame[[x, y]].to_numpy().tolist(), path))


def _require_unique(ids: NDArray[np.int64], path: Path) -> None:
    values, counts = np.unique(ids, return_counts=True)
    if (counts > 1).any():
        raise InputError(
            f"has two rows for nucleus {values[counts > 1][0]} of one field", where=path, remedy="Keep one row each"
        )


def _numbers(rows: Any, path: Path) -> NDArray[np.float64]:
    try:
        numbers = np.array(rows, np.float64).reshape(-1, 2)
    except ValueError as error:
        raise InputError(
            f"holds positions that are not numbers ({error})", where=path, remedy="Give x and y in px"
        ) from error
    if not np.isfinite(numbers).all():
        raise InputError("holds positions that are not finite", where=path, remedy="Give x and y in px")
    return numbers


def _of_codex(labels: Sequence[Path]) -> dict[str, Phenotypes]:
    found: dict[str, Phenotypes] = {}
    for path in labels:
        full = path.name.removesuffix(LABELS_ENDING)
        parts = CODEX_NAME.fullmatch(full)
        fov = parts["fov"] if parts else full
        if fov in found:
            raise InputError(f"belongs to {fov!r}, as does {found[fov].path.name}", where=path, remedy="Keep one")
        about = _about(parts) if parts else (None, {})
        found[fov] = Phenotypes(path, *_codex_cells(path, path.with_name(full + POSITIONS_ENDING)), *about)
    return found


def _about(parts: re.Match[str]) -> tuple[str, dict[str, str]]:
    groups = {"region": parts["region"], "tma": parts["tma"], "infiltrate": INFILTRATE[parts["group"]]}
    return f"P{int(parts['patient']):02d}", groups


def _codex_cells(labels: Path, positions: Path) -> tuple[list[str], None, NDArray[np.float64]]:
    names, rows = ([line.strip() for line in _lines(path)] for path in (labels, positions))
    if len(names) != len(rows):
        raise InputError(
            f"has {len(names)} lines but {positions.name} has {len(rows)}",
            where=labels,
            remedy="Supply both files of the same field, whole",
        )
    pairs = [row.split() for row in rows]
    if wrong := next((row for row in pairs if len(row) != 2), None):
        raise InputError(f"has the line {' '.join(wrong)!r}, not x and y", where=positions, remedy="Supply x and y")
    return names, None, _numbers(pairs, positions)


def _lines(path: Path) -> list[str]:
    require_file(path)
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise InputError(f"is not a text file ({error})", where=path, remedy="Supply it as plain text") from error
