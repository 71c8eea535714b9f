"""Made-up evidence: fields of view with known confusion matrices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.results.evidence import Evidence, gather
from cryostat.results.predictions import in_order
from cryostat.results.tallies import Tallies, tally

NAMES = {1: "tumour", 2: "stroma", 3: "plasma"}

Cells = Mapping[str, Sequence[tuple[int, int]]]
"""Field to (true, predicted) of its cells."""


def tallied(cells: Cells, patients: Mapping[str, str] | None = None, **groups: Mapping[str, str]) -> Tallies:
    """The tallies of some fields."""
    rows = [(field, i, *pair) for field, pairs in cells.items() for i, pair in enumerate(pairs)]
    frame = pd.DataFrame(rows, columns=["fov_id", "cell_id", "y_true", "y_pred"]).assign(run_id="r", tile=-1)
    about = {"patient_id": patients or {}, **groups}
    frame = in_order(frame.assign(**{name: frame["fov_id"].map(values.get) for name, values in about.items()}))
    return tally(frame, source=str(sorted((k, tuple(v)) for k, v in cells.items())))


def row(
    *seeds: Cells, patients: Mapping[str, str] | None = None, rule: str = "fixed", **groups: Mapping[str, str]
) -> Evidence:
    """The evidence of seeds."""
    return gather([tallied(cells, patients, **groups) for cells in seeds], NAMES, rule)


def simulated(
    fields: int,
    cells: int,
    rng: np.random.Generator,
    *,
    recall: float = 0.7,
    classes: int = 2,
    concentration: float = 6.0,
    truth: NDArray[np.int64] | None = None,
) -> Cells:
    """Fields that differ in how well their cells are recognised."""
    true = rng.integers(1, classes + 1, (fields, cells)) if truth is None else truth
    rates = rng.beta(concentration * recall, concentration * (1 - recall), (fields, 1))
    wrong = true % classes + 1
    predicted = np.where(rng.random(true.shape) < rates, true, wrong)
    return {f"f{i:03}": list(zip(true[i].tolist(), predicted[i].tolist(), strict=True)) for i in range(fields)}
