"""Modalities that are rows of one table of features."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from cryostat.cases.cohort import Cohort, ModalitySpec
from cryostat.cases.embeddings.arrays import Embedding
from cryostat.cases.embeddings.feature_tables import FeatureTable, read_features
from cryostat.cases.embeddings.files import Gathered, content_hash, each_patient
from cryostat.cases.embeddings.formats import Format, file_format
from cryostat.cases.embeddings.pooling import pooled
from cryostat.core.errors import InputError
from cryostat.core.identity import digest

TABLES = (Format.PARQUET, Format.TEXT_TABLE)


def from_table(cohort: Cohort, spec: ModalitySpec, path: Path) -> Gathered:
    """The rows of a table, one or several a patient.

    Raises:
        InputError: It is no table, lacks the column of keys, or has a label or the split among its numbers.
    """
    found = file_format(path)
    if found not in TABLES:
        raise InputError(f"is no table but {found}", where=path, remedy="Save it as .csv, .tsv or .parquet")
    table = read_features(path, found, key=spec.key or cohort.patient)
    _require_no_label(cohort, table, path)
    places = _places(table)

    def rows_of(key: str) -> list[Embedding]:
        return _rows(table, places, key, path)

    keys = cohort.keys(spec.name)
    rows, problems = each_patient(cohort, spec.name, keys, rows_of)
    identity = {
        "source": "table",
        "pool": spec.pool,
        "content": content_hash(path),
        "keys": digest(list(keys), 32),
        "columns": len(table.columns),
        "left_out": dict(table.left_out),
        "infinite_cells": table.infinite,
        "empty_cells": int(np.isnan(table.values).sum()) - table.infinite,
        "keys_with_several_rows": sum(len(rows) > 1 for rows in places.values()),
    }
    return Gathered(pooled([each or [] for each in rows], spec.pool), problems, identity)


def _require_no_label(cohort: Cohort, table: FeatureTable, path: Path) -> None:
    """Raise an InputError where a feature has the name of a column that tells what is asked, or who is tested."""
    never = {task.column: f"the label of task {task.name}" for task in cohort.tasks.values()}
    if cohort.split is not None:
        never[cohort.split] = "the division into train and test"
    if shown := next((name for name in table.columns if name in never), None):
        raise InputError(
            f"has among its numbers {shown!r}, the name of the column with {never[shown]}",
            where=path,
            remedy="Take it out of this table, or rename it where it is something else",
        )


def _places(table: FeatureTable) -> dict[str, list[int]]:
    """Rows of each key; a row that repeats another of its key word by word counts once."""
    found: dict[str, dict[bytes, int]] = {}
    for row, key in enumerate(table.keys):
        found.setdefault(key, {}).setdefault(table.values[row].tobytes(), row)
    return {key: list(rows.values()) for key, rows in found.items()}


def _rows(table: FeatureTable, places: dict[str, list[int]], key: str, path: Path) -> list[Embedding]:
    rows = places.get(key, [])
    if not rows:
        raise InputError("has no row for the patient's key", where=path, remedy="Leave the key out, or add the row")
    values = table.values[rows]
    if np.isnan(values).all(1).any():
        raise InputError("knows no number of the patient", where=path, remedy="Leave the key out, or fill in the row")
    return [Embedding(row[None], str(path)) for row in values]
