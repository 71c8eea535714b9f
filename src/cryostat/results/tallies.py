"""What a run's predictions come to, field by field: all that scores, intervals and comparisons need of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.core.errors import InputError
from cryostat.core.files import atomic_write, read_json, require_file
from cryostat.core.identity import digest, sha256_file
from cryostat.results.predictions import group_columns, read_predictions
from cryostat.results.records import CELLS, PREDICTIONS, RunRecord
from cryostat.results.scores import Classes, Scores, score_counts

TALLIES = "tallies.json"
"""A further file of a run's folder: its tallies, made when they are first asked for."""

FORMAT = 1
"""Version of the file and of how nuclei are told apart."""


@dataclass(frozen=True, eq=False)
class Tallies:
    """Cells of a predictions table by field, true class and predicted class.

    Attributes:
        source: Hash of the predictions that they come from.
        fields: A row a field, ids ascending: `fov_id`, `patient_id`, `site`, groups, and `nuclei`, a hash of its
            nuclei and their true classes that does not depend on their order.
        counts: (m, 4) number of the field, true class, predicted class, cells.
    """

    source: str
    fields: pd.DataFrame
    counts: NDArray[np.int64]

    @property
    def cells(self) -> int:
        """Rows of the predictions table."""
        return int(self.counts[:, 3].sum())

    def scores(self, classes: Classes, class_set: str = "fixed") -> Scores:
        """The scores of the table, as `scores.score` computes them."""
        _, true, predicted, count = self.counts.T
        return score_counts(true, predicted, count, classes, class_set=class_set)


def tally(frame: pd.DataFrame, source: str = "") -> Tallies:
    """Count the cells of a predictions table (see `predictions.in_order`)."""
    codes, ids = pd.factorize(frame["fov_id"].astype(str), sort=True)
    about = ["patient_id", "site", *group_columns(frame.columns)]
    first = frame.drop_duplicates("fov_id").assign(fov_id=lambda f: f["fov_id"].astype(str))
    fields = first.set_index("fov_id")[about].reindex(ids).rename_axis("fov_id").reset_index().astype(object)
    fields = fields.where(fields.notna(), None)
    keys = np.stack([codes, frame["y_true"], frame["y_pred"]], 1).astype(np.int64)
    pairs, count = np.unique(keys, axis=0, return_counts=True)
    return Tallies(source, fields.assign(nuclei=_nuclei(frame, codes, len(ids))), np.column_stack([pairs, count]))


def pooled(folds: Sequence[Tallies]) -> Tallies:
    """The tallies of several folds together.

    Raises:
        InputError: A field is in the test parts of two folds.
    """
    if len(folds) == 1:
        return folds[0]
    fields = pd.concat([fold.fields for fold in folds], ignore_index=True)
    if fields["fov_id"].duplicated().any():
        raise InputError(
            f"{int(fields['fov_id'].duplicated().sum())} fields are in the test parts of two of its folds, "
            "so these are not of one cross-validation",
            where="tallies of folds",
            remedy="Run all folds on the splits as they now are",
        )
    order = np.argsort(fields["fov_id"].to_numpy(str), kind="stable")
    start = np.repeat(np.cumsum([0, *(len(fold.fields) for fold in folds[:-1])]), [len(f.counts) for f in folds])
    counts = np.concatenate([fold.counts for fold in folds])
    counts[:, 0] = np.argsort(order)[counts[:, 0] + start]
    source = digest(sorted(fold.source for fold in folds))
    return Tallies(source, fields.iloc[order].reset_index(drop=True), counts)


def tallies_of(record: RunRecord) -> Tallies:
    """The tallies of a finished run of cells, from its folder where they are kept for these very predictions.

    Raises:
        InputError: The predictions are missing or damaged.
        SettingError: The record does not stand in a folder.
    """
    folder = record.folder_of(CELLS)
    path = folder / PREDICTIONS
    require_file(path)
    source = sha256_file(path)
    found = _kept(folder / TALLIES, source)
    if found is None:
        found = tally(read_predictions(path), source)
        _keep(folder / TALLIES, found)
    return found


def _nuclei(frame: pd.DataFrame, codes: NDArray[Any], fields: int) -> NDArray[np.int64]:
    """(fields,) sums of hashes of nuclei: equal where the same nuclei have the same true classes."""
    mixed = np.zeros(len(frame), np.uint64)
    for column in ("tile", "cell_id", "y_true"):
        mixed = _mix(mixed + frame[column].to_numpy(np.int64).view(np.uint64))
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(fields))
    return np.add.reduceat(mixed[order], starts).view(np.int64) if fields else np.zeros(0, np.int64)


def _mix(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """SplitMix64 (Steele, Lea, Flood 2014): spreads each bit over all."""
    values = values + np.uint64(0x9E3779B97F4A7C15)
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def _kept(path: Path, source: str) -> Tallies | None:
    """The tallies of a file; None where there are none of these predictions."""
    if not path.exists():
        return None
    try:
        facts = read_json(path)
        if not isinstance(facts, Mapping) or (facts.get("format"), facts.get("source")) != (FORMAT, source):
            return None
        counts = np.array(facts["counts"], np.int64).reshape(4, -1).T
        columns = {name: np.array(values, object) for name, values in facts["fields"].items()}
        fields = pd.DataFrame(columns | {"nuclei": np.array(facts["fields"]["nuclei"], np.int64)})
    except (InputError, OSError, KeyError, ValueError, TypeError, AttributeError):
        return None  # damaged: it is made again
    return Tallies(source, fields, counts)


def _keep(path: Path, tallies: Tallies) -> None:
    facts = {
        "format": FORMAT,
        "source": tallies.source,
        "fields": tallies.fields.to_dict("list"),
        "counts": tallies.counts.T.tolist(),
    }
    keep_text(path, json.dumps(facts, ensure_ascii=False))


def keep_text(path: Path, text: str) -> None:
    """Write what can be computed again; results that may only be read are used without."""
    try:
        with atomic_write(path) as stream:
            stream.write(text.encode())
    except OSError:
        return
