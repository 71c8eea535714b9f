from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score

CLASSES = {1: "tumour", 2: "stroma"}


@pytest.fixture(scope="session")
def put_run() -> Callable[..., Path]:
    """Writes a small finished run as a runner writes it."""
    return _put_run


def _put_run(
    home: Home,
    true: Sequence[int],
    predicted: Sequence[int],
    *,
    fov: str = "a",
    run_id: str | None = None,
    created: str = "2026-01-01T00:00:00+00:00",
    identity: dict[str, Any] | None = None,
    class_set: str = "fixed",
    **settings: Any,
) -> Path:
    """One field of view; settings name the run, the identity follows from them."""
    resolved = {
        "dataset": "colon",
        "split": "base",
        "encoder": "vit",
        "head": "linear",
        "protocol": "standard",
        "fraction": 1.0,
        "seed": 0,
        "mpp": 0.5,
    } | settings
    facts = {
        "dataset": "d1",
        "split": resolved["split"],
        "seed": resolved["seed"],
        "protocol": {"name": resolved["protocol"], "version": 1},
        "code": "c1",
    } | (identity or {})
    name = run_id or "-".join(str(resolved[k]) for k in ("dataset", "split", "encoder", "head", "fraction", "seed"))
    folder = home.runs / name
    table = pd.DataFrame(
        {
            "run_id": name,
            "fov_id": fov,
            "tile": -1,
            "cell_id": range(1, len(true) + 1),
            "y_true": true,
            "y_pred": predicted,
        }
    )
    write_predictions(folder / "predictions.parquet", table)
    write_json(folder / "scores.json", score(table, CLASSES, class_set=class_set).to_dict())
    RunRecord(name, "cells", created, facts, resolved).save(folder)
    return folder


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path)
