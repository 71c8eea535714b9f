"""What the tests of the viewer make: pictures, runs, cells."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from cryostat.cells.dataset import CellDataset
from cryostat.cells.field import CellClass
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score

HOSTILE = "a <b>&'\"../%2e"

CLASSES = (CellClass(1, "red", "#ff0000"), CellClass(2, "<b>blue", "#0000ff"))
CORNERS = ((10, 10), (10, 60), (60, 10), (60, 60))
"""Top and left of nuclei 1 to 4; 1 and 2 are red, 3 and 4 blue."""


def gradient(height: int, width: int) -> np.ndarray:
    """(H, W, 3) picture whose red grows to the right and green downwards, from 0 to 250."""
    picture = np.full((height, width, 3), 90, np.uint8)
    picture[..., 0] = np.linspace(0, 250, width)
    picture[..., 1] = np.linspace(0, 250, height)[:, None]
    return picture


def write_run(home: Home, dataset: CellDataset, run: str, said: dict[str, list[int]], **settings) -> Path:
    """A finished run that says so of nuclei 1, 2 … of each field, with probability 0.9, or 0.6 of the first."""
    rows = [
        (fov, cell, 1 if cell < 3 else 2, predicted, 0.6 if cell == 1 else 0.9)
        for fov, classes in said.items()
        for cell, predicted in enumerate(classes, 1)
    ]
    table = pd.DataFrame(rows, columns=["fov_id", "cell_id", "y_true", "y_pred", "p"]).assign(run_id=run, tile=-1)
    for c in (0, 1, 2):
        table[f"p_{c}"] = np.where(table["y_pred"] == c, table["p"], (1 - table["p"]) / 2)
    folder = home.runs / run
    write_predictions(folder / "predictions.parquet", table.drop(columns="p"), [1, 2])
    write_json(folder / "scores.json", score(table, CLASSES).to_dict())
    known = {"dataset": dataset.name, "encoder": "vit", "head": "linear", "split": "base", "seed": 0} | settings
    RunRecord(run, "cells", "2026-01-01", {"dataset": dataset.identity, "split": run}, known).save(folder)
    return folder


def feature(left: float, top: float, side: float = 20, name: str = "tumour", **properties) -> dict:
    """A square cell as QuPath writes it."""
    ring = [[left, top], [left + side, top], [left + side, top + side], [left, top + side], [left, top]]
    about = {"objectType": "detection", "classification": {"name": name, "color": [255, 0, 0]}, **properties}
    return {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": about}
