from __future__ import annotations

import numpy as np
import pytest

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.writer import DatasetWriter
from cryostat.core.home import Home

CLASSES = (CellClass(1, "Tumour"), CellClass(2, "Plasma cells"), CellClass(4, "Stroma"))


@pytest.fixture(scope="session")
def scored_home(tmp_path_factory) -> Home:
    """A home with one dataset, `tiny`: fields of 8 × 10 px in which nucleus n fills column 2n − 1 and 2n − 2.

    Nuclei 1 to 4 have the classes 1, 2, 4 and none; nucleus 9, two columns, has class 1.
    """
    home = Home(tmp_path_factory.mktemp("scored"))
    facts = DatasetFacts("tiny", "Tiny", CLASSES, 0.5, "CC0", "nobody")
    instances = np.repeat(np.array([1, 2, 3, 4, 9], np.uint16), 2)[None].repeat(8, 0)
    instances[0] = 0
    with DatasetWriter(home.datasets / "tiny", facts) as writer:
        for number, fov in enumerate(("crag_1", "007", "reg_A.hdf", "unused")):
            writer.add(
                field_from_table(
                    fov,
                    np.full((8, 10, 3), 40 * number, np.uint8),
                    instances,
                    {1: 1, 2: 2, 3: 4, 9: 1},
                    mpp=0.5,
                    source=fov,
                    patient_id=f"patient {number}",
                    groups={"stage": "3"},
                )
            )
        parts = {"crag_1": "test", "007": "valid", "reg_A.hdf": "train"}
        twice = {"crag_1": "test", "007": "test", "reg_A.hdf": "train", "unused": "valid"}
        writer.add_splits([Split("base", parts), Split("two", twice)])
    return home


@pytest.fixture(scope="session")
def tiny(scored_home) -> CellDataset:
    return CellDataset(scored_home.datasets / "tiny")
