"""What a browser is told of a field: its nuclei, what a model said of them, and those that the model found itself."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cells.dataset import CellDataset
from cryostat.cells.drawing import class_colors
from cryostat.cells.pictures.nuclei import MISSED, UNSCORED, WRONG, field_nuclei
from cryostat.cells.pictures.segments import read_segments
from cryostat.core.errors import InputError
from cryostat.report.view.models import Model, voted
from cryostat.report.view.outlines import FINE, outlines
from cryostat.results.predictions import probability_columns
from cryostat.results.scores import score


def field_facts(dataset: CellDataset, fov: str) -> dict[str, Any]:
    """The nuclei of a field: ids, annotated classes, outlines.

    Raises:
        InputError: Its files cannot be read.
    """
    cells = dataset.cells_of(fov)
    ids = cells["cell_id"].to_numpy(np.int64)
    rings = outlines(dataset.instances(fov), ids)
    return {"fine": FINE, "ids": ids.tolist(), "classes": cells["class_id"].tolist(), "rings": rings}


def class_facts(dataset: CellDataset) -> list[dict[str, Any]]:
    """Id, name and colour of each class."""
    colours = class_colors(dataset)
    return [{"id": c.id, "name": c.name, "colour": colours[c.id]} for c in dataset.classes]


def prediction_facts(dataset: CellDataset, model: Model, fov: str) -> dict[str, Any]:
    """What a model said of a field's nuclei, in the order of `field_facts`.

    Raises:
        InputError: The predictions cannot be read.
        IdentityError: They are of other nuclei.
    """
    record = model.run_of(fov)
    if record is None:
        return {"tested": False, "why": model.absence(fov)}
    rows = model.table[model.table["fov_id"] == fov]
    nuclei = field_nuclei(dataset, voted(rows), fov)
    state = nuclei["state"]
    return {
        "tested": True,
        "run": record.run_id,
        "truth": nuclei["truth"].tolist(),
        "predicted": nuclei["predicted"].where(nuclei["cell_id"].isin(rows["cell_id"]), -1).tolist(),
        "states": "".join(str(one)[0] for one in state),
        "wrong": int(state.isin([WRONG, MISSED]).sum()),
        "scored": int((state != UNSCORED).sum()),
        "scores": _scores(dataset, nuclei),
        "found": model.segments_of(fov),
        **_probabilities(rows, nuclei["cell_id"].to_numpy(np.int64)),
    }


def _scores(dataset: CellDataset, nuclei: pd.DataFrame) -> dict[str, Any]:
    """Counts and F1 of each class on this field alone."""
    scored = nuclei[nuclei["state"] != UNSCORED]
    known = scored[scored["truth"].isin([c.id for c in dataset.classes])]
    made = score(known.rename(columns={"truth": "y_true", "predicted": "y_pred"}), dataset.classes)
    by_class = {str(c.id): {"true": c.support, "predicted": c.predicted, "f1": c.f1} for c in made.classes}
    return {"classes": by_class, "macro_f1": made.macro_f1}


def _probabilities(rows: pd.DataFrame, ids: NDArray[np.int64]) -> dict[str, Any]:
    """Class ids, and the probability of each for each nucleus in thousandths; None where there are none."""
    columns = probability_columns(rows.columns)
    means = rows.groupby("cell_id")[columns].mean().reindex(ids).to_numpy(np.float64)
    given = [i for i in range(len(columns)) if np.isfinite(means[:, i]).any()]
    values = [None if np.isnan(row).any() else np.rint(row * 1000).astype(int).tolist() for row in means[:, given]]
    return {"outputs": [int(columns[i][2:]) for i in given], "probabilities": values if given else [None] * len(ids)}


def found_facts(dataset: CellDataset, model: Model, fov: str) -> dict[str, Any]:
    """The nuclei that a run found by itself: ids, classes, outlines.

    Raises:
        InputError: The run kept none for this field, or the file is damaged.
    """
    record = model.run_of(fov)
    about = dataset.fovs.loc[fov]
    shape = (int(about["height"]), int(about["width"]))
    segments = read_segments(record.folder, fov, shape) if record and record.folder else None
    if segments is None:
        raise InputError(f"kept no nuclei of its own for the field {fov!r}", remedy="Choose another run or layer")
    order = np.argsort(segments.cell_ids)
    ids = segments.cell_ids[order].astype(np.int64)
    drawn = np.where(np.isin(segments.instances, ids), segments.instances, 0)
    classes = segments.class_ids[order].tolist()
    return {"fine": FINE, "ids": ids.tolist(), "classes": classes, "rings": outlines(drawn, ids)}
