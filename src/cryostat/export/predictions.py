"""The predictions table of a run as one file, with the names of classes beside their ids."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd

from cryostat.core.errors import SettingError
from cryostat.core.files import atomic_write, write_parquet
from cryostat.results.records import CELLS, RunRecord

NAMES = {"y_true": "true_class", "y_pred": "predicted_class"}
"""Column of class ids to the column that names them."""

BACKGROUND = "background"
"""Name of class 0."""


def predictions_frame(record: RunRecord) -> pd.DataFrame:
    """The predictions of a run, a row a nucleus (or, of cases, a patient and what was offered).

    Runs of cells get two columns more: `true_class` and `predicted_class`, the names of `y_true` and `y_pred`.

    Raises:
        SettingError: The record does not stand in a folder.
        InputError: The table is missing or damaged.
    """
    frame = record.predictions()
    if record.benchmark != CELLS:
        return frame
    names = {0: BACKGROUND} | class_names(record)
    for ids, column in NAMES.items():
        frame.insert(frame.columns.get_loc("y_pred") + 1 + list(NAMES).index(ids), column, frame[ids].map(names))
    return frame


def class_names(record: RunRecord) -> dict[int, str]:
    """Class id to name, of a run of cells; ids ascending."""
    return {c.id: c.name for c in record.cell_scores().classes}


def export_predictions(record: RunRecord, path: Path) -> Path:
    """Write the predictions of a run as CSV, TSV or Parquet, by the ending of the file.

    Raises:
        SettingError: The file has another ending.
        InputError: As from `predictions_frame`.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise SettingError(
            f"predictions are not written as {path.suffix or 'a file without an ending'}",
            where=path,
            remedy=f"Choose a file that ends in {', '.join(WRITERS)}",
        )
    writer(path, predictions_frame(record))
    return path


def _write_csv(path: Path, frame: pd.DataFrame) -> None:
    _write_text(path, frame, ",")


def _write_tsv(path: Path, frame: pd.DataFrame) -> None:
    _write_text(path, frame, "\t")


def _write_text(path: Path, frame: pd.DataFrame, separator: str) -> None:
    with atomic_write(path) as stream:
        stream.write(frame.to_csv(index=False, sep=separator).encode())


WRITERS: Mapping[str, Callable[[Path, pd.DataFrame], None]] = {
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".parquet": write_parquet,
}
"""Ending of a file to its writer."""
