from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryostat.cells.dataset import CellDataset
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.writer import DatasetWriter
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score

CLASSES = (CellClass(1, "red", "#ff0000"), CellClass(2, "blue", "#0000ff"))


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


@pytest.fixture
def squares(home) -> CellDataset:
    """Five grey fields of 100 px at 0.5 µm, four square nuclei of 20 px: two red above, two blue below."""
    instances = np.zeros((100, 100), np.int32)
    for cell, (y, x) in enumerate(((10, 10), (10, 60), (60, 10), (60, 60)), start=1):
        instances[y : y + 20, x : x + 20] = cell
    image = np.full((100, 100, 3), 128, np.uint8)
    facts = DatasetFacts("squares", "Squares", CLASSES, 0.5, "CC0", "none")
    with DatasetWriter(home.datasets / "squares", facts) as writer:
        for name in "abcde":
            truth = {1: 1, 2: 1, 3: 2, 4: 2}
            writer.add(field_from_table(name, image, instances, truth, mpp=0.5, source=name, site="north"))
    return CellDataset(home.datasets / "squares")


@pytest.fixture
def table() -> pd.DataFrame:
    """In a: nucleus 1 right, 2 wrong, 3 taken for background, 4 without prediction. In b, c, d, e: 4, 3, 2, 1 right."""
    rows = [("a", 1, 1, 1), ("a", 2, 1, 2), ("a", 3, 2, 0)]
    for fov, wrong in zip("bcde", range(4), strict=True):
        rows += [(fov, i + 1, true, true if i >= wrong else 3 - true) for i, true in enumerate((1, 1, 2, 2))]
    frame = pd.DataFrame(rows, columns=["fov_id", "cell_id", "y_true", "y_pred"])
    return frame.assign(run_id="r", tile=-1)


@pytest.fixture
def run(home, squares, table) -> Path:
    """A finished run of these predictions."""
    folder = home.runs / "squares-base-vit"
    write_predictions(folder / "predictions.parquet", table)
    write_json(folder / "scores.json", score(table, CLASSES).to_dict())
    settings = {"dataset": "squares", "split": "base", "encoder": "vit", "head": "linear", "protocol": "standard"}
    settings |= {"fraction": 0.1, "seed": 3}
    RunRecord("squares-base-vit", "cells", "2026-01-01", {"dataset": squares.identity}, settings).save(folder)
    return folder
