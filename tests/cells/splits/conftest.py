"""Tables of fields of view, and a small dataset, for the tests of splits."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryostat.cells.dataset import CellDataset
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.writer import DatasetWriter

FovTable = Callable[..., pd.DataFrame]


@pytest.fixture(scope="session")
def fov_table() -> FovTable:
    """Makes a table as `fovs.parquet`, from ids and columns."""

    def make(ids: Sequence[str], **columns: Sequence[object]) -> pd.DataFrame:
        plain = {"patient_id": None, "site": None, "height": 256, "width": 256, "mpp": 0.5, "source": ""}
        return pd.DataFrame({"fov_id": list(ids), **(plain | columns)})

    return make


@pytest.fixture
def small_dataset(tmp_path: Path) -> Callable[[Sequence[str]], CellDataset]:
    """Writes a dataset of tiny fields of view with the given ids."""

    def make(ids: Sequence[str]) -> CellDataset:
        facts = DatasetFacts("tiny", "Tiny", (CellClass(1, "round"),), 0.5, "CC0", "none")
        instances = np.zeros((8, 8), np.int32)
        instances[2:5, 2:5] = 1
        image = np.full((8, 8, 3), 200, np.uint8)
        with DatasetWriter(tmp_path / "datasets" / "tiny", facts) as writer:
            for fov in ids:
                writer.add(field_from_table(fov, image, instances, {1: 1}, mpp=0.5, source=fov))
        return CellDataset(tmp_path / "datasets" / "tiny")

    return make
