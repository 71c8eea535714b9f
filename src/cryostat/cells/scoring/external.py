"""Predictions that were made elsewhere, scored against a part of a dataset's split."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryostat.cells.dataset import GROUP, PARTS, CellDataset, Split
from cryostat.cells.scoring.cell_tables import read_cell_table
from cryostat.cells.scoring.field_files import files_of
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import write_json
from cryostat.core.identity import digest, sha256_file
from cryostat.results.predictions import WHOLE, in_order, validate, write_predictions
from cryostat.results.records import PREDICTIONS, RECORD, SCORES, RunRecord
from cryostat.results.scores import Scores, score

HEAD = "external"
"""What stands for the head in the record of such a run."""


@dataclass(frozen=True)
class ExternalProtocol:
    """How predictions from elsewhere are scored; nuclei are whole and their truth is the dataset's, always.

    Attributes:
        name: Its name.
        class_set: Rule for the classes that count, of `results.scores.CLASS_SETS`.
        background_may_win: Background takes part in the argmax or in the majority.
    """

    name: str
    class_set: str
    background_may_win: bool


PROTOCOLS = {
    p.name: p
    for p in (
        ExternalProtocol("standard", class_set="fixed", background_may_win=False),
        ExternalProtocol("paper-classes", class_set="floating", background_may_win=True),
    )
}
"""The rules by name."""

KINDS = ("auto", "cells", "labels", "probabilities")
"""Forms of predictions: a table of cells, a folder of label maps, a folder of probability maps."""

BACKGROUND = ("auto", "first", "none")
"""Where probability maps have background."""

MISSING = ("refuse", "wrong")
"""What becomes of cells without a prediction."""


@dataclass(frozen=True)
class External:
    """Predictions from elsewhere, and what was asked of them.

    Attributes:
        path: Table or folder.
        part: Part of the split that is scored.
        kind: Of `KINDS`.
        protocol: Name, of `PROTOCOLS`.
        missing: Of `MISSING`.
        background: Of `BACKGROUND`.
        name: What the model is called.
    """

    path: Path
    part: str = "test"
    kind: str = "auto"
    protocol: str = "standard"
    missing: str = "refuse"
    background: str = "auto"
    name: str = HEAD

    def __post_init__(self) -> None:
        choices = {"part": PARTS, "kind": KINDS, "protocol": PROTOCOLS, "missing": MISSING, "background": BACKGROUND}
        for setting, allowed in choices.items():
            if (value := getattr(self, setting)) not in allowed:
                raise SettingError(f"there is no {setting} {value!r}", remedy=f"Choose one of: {', '.join(allowed)}")


def score_predictions(
    dataset: CellDataset,
    split: str | Split,
    part: str,
    path: Path | str,
    *,
    kind: str = "auto",
    protocol: str = "standard",
    missing: str = "refuse",
    background: str = "auto",
    name: str = HEAD,
) -> tuple[pd.DataFrame, Scores]:
    """Score predictions that were made elsewhere.

    Args:
        dataset: The dataset they are for.
        split: One of its splits.
        part: `train`, `valid` or `test`; predictions for other fields of the dataset are passed over.
        path: A table (fov_id, cell_id, y_pred or a probability column a class), a folder of label maps (H, W) with
            class ids, or a folder of probability maps (C, H, W) or (H, W, C); files are named after the fields.
        kind: `cells`, `labels`, `probabilities`, or `auto` to tell by looking.
        protocol: `standard` (fixed class set, background never wins) or `paper-classes` (floating class set, background
            may win).
        missing: `refuse` when a cell has no prediction, or count it as `wrong`.
        background: Where probability maps have background: `first`, `none`, or `auto` by the number of channels.
        name: What the model is called; becomes the run_id.

    Returns:
        The predictions table, and its scores. Cells to which the dataset gives no class are not scored.

    Raises:
        InputError: The predictions are damaged, do not fit the dataset, or are incomplete.
        SettingError: A setting or the split is unknown.
    """
    asked = External(Path(path), part, kind, protocol, missing, background, name)
    return score_external(dataset, dataset.split(split) if isinstance(split, str) else split, asked)


def score_external(dataset: CellDataset, split: Split, asked: External) -> tuple[pd.DataFrame, Scores]:
    """`score_predictions` with the settings in one piece."""
    fovs = split.fovs(asked.part)
    truth = _truth(dataset, fovs, asked)
    given = _read(dataset, fovs, asked)
    table = truth.merge(given, on=["fov_id", "cell_id"], how="left", validate="one_to_one")
    lacking = table["y_pred"].isna()
    if lacking.any() and asked.missing == "refuse":
        raise _incomplete(table[lacking], given, table, asked.path)
    table["y_pred"] = table["y_pred"].fillna(0).astype(np.int64)
    frame = in_order(table)
    validate(frame, [c.id for c in dataset.classes], where=asked.path)
    return frame, score(frame, dataset.classes, class_set=PROTOCOLS[asked.protocol].class_set)


def _truth(dataset: CellDataset, fovs: Sequence[str], asked: External) -> pd.DataFrame:
    cells = dataset.cells
    cells = cells[cells["fov_id"].isin(set(fovs)) & (cells["class_id"] > 0)]
    if cells.empty:
        raise InputError(
            f"the {asked.part} part holds no cell with a class", where=dataset.folder, remedy="Choose another part"
        )
    fields = dataset.fovs.reset_index(drop=True)
    about = fields[["fov_id", "patient_id", "site", *(c for c in fields.columns if c.startswith(GROUP))]]
    rows = cells[["fov_id", "cell_id", "class_id"]].rename(columns={"class_id": "y_true"})
    rows = rows.astype({"fov_id": str, "cell_id": np.int64, "y_true": np.int64})
    return rows.merge(about.astype({"fov_id": str}), on="fov_id", how="left").assign(run_id=asked.name, tile=WHOLE)


def _read(dataset: CellDataset, fovs: Sequence[str], asked: External) -> pd.DataFrame:
    may_win = PROTOCOLS[asked.protocol].background_may_win
    kind = _kind(dataset, asked)
    if kind == "cells":
        return read_cell_table(asked.path, dataset, background_may_win=may_win)
    from cryostat.cells.scoring.map_folders import read_labels, read_probabilities  # maps need torch, tables do not

    if kind == "labels":
        return read_labels(asked.path, dataset, fovs, background_may_win=may_win)
    return read_probabilities(asked.path, dataset, fovs, background_may_win=may_win, background=asked.background)


def _kind(dataset: CellDataset, asked: External) -> str:
    if asked.kind != "auto":
        return asked.kind
    if not asked.path.is_dir():
        return "cells"
    from cryostat.cells.scoring.map_folders import LABEL_MAPS, holds_probabilities

    first = next(iter(files_of(asked.path, dataset, LABEL_MAPS).values()))
    return "probabilities" if holds_probabilities(first) else "labels"


def _incomplete(lacking: pd.DataFrame, given: pd.DataFrame, table: pd.DataFrame, path: Path) -> InputError:
    absent = sorted(set(lacking["fov_id"]) - set(given["fov_id"]))
    fields = f", {len(absent)} of {table['fov_id'].nunique()} fields wholly (first: {absent[0]!r})" if absent else ""
    first = lacking.iloc[0]
    return InputError(
        f"has no prediction for {len(lacking)} of {len(table)} cells{fields}; first: cell {first['cell_id']} of "
        f"{first['fov_id']!r}",
        where=path,
        remedy="Predict these cells too, or count them as wrong with --missing wrong",
    )


def record_external(
    dataset: CellDataset, split: Split, asked: External, *, seed: int | None = None, fraction: float | None = None
) -> RunRecord:
    """The record of such a run, so that it stands beside others in `cryostat results`.

    Args:
        dataset: The dataset.
        split: The split.
        asked: The predictions and what was asked of them.
        seed: Seed of the training elsewhere, if it is known.
        fraction: Share of the training fields that it saw, if it is known.
    """
    settings = {
        "dataset": dataset.name,
        "split": split.name,
        "part": asked.part,
        "encoder": asked.name,
        "head": HEAD,
        "protocol": asked.protocol,
        "fraction": fraction,
        "seed": seed,
        "mpp": None,
        "missing": asked.missing,
        "classes": {str(c.id): c.name for c in dataset.classes},
    }
    identity = {
        "benchmark": "cells",
        "dataset": dataset.identity,
        "split": digest(dict(split.parts)),
        "part": asked.part,
        "encoder": asked.name,
        "protocol": asdict(PROTOCOLS[asked.protocol]),
        "fraction": fraction,
        "seed": seed,
        "missing": asked.missing,
        "background": asked.background,
        "source": _checksums(asked.path),
    }
    run_id = "-".join((dataset.name, split.name, asked.name, HEAD, digest(identity, 10)))
    created = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    return RunRecord(run_id, "cells", created, identity, settings, training={"predictions": str(asked.path.resolve())})


def _checksums(path: Path) -> Any:
    if path.is_file():
        return sha256_file(path)
    files = sorted(p for p in path.iterdir() if p.is_file() and not p.name.startswith("."))
    return digest({p.name: sha256_file(p) for p in files})


def save_external(folder: Path, frame: pd.DataFrame, scores: Scores, record: RunRecord) -> None:
    """Keep predictions, scores and record in a folder; one that holds this very run already stays as it is.

    Raises:
        StoreError: The folder holds another run.
    """
    if (folder / RECORD).exists() and RunRecord.load(folder).run_id == record.run_id:
        return
    record.check_free(folder)
    write_predictions(folder / PREDICTIONS, frame.assign(run_id=record.run_id))
    write_json(folder / SCORES, scores.to_dict())
    record.save(folder)
