"""A small home with one real run of each kind that exports differ for, and a run of cases."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from cryostat.cells.dataset import CellDataset
from cryostat.cells.runs.bench import Bench
from cryostat.cells.runs.spec import RunSpec
from cryostat.cells.synthetic import make_dataset
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.cases.predictions import write_case_predictions
from cryostat.results.cases.scores import score_cases
from cryostat.results.records import RunRecord

QUICK = {"steps": 100}


@pytest.fixture(scope="session")
def export_home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    return Home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def tissue(export_home: Home) -> CellDataset:
    return make_dataset(export_home, name="tissue", hospitals=2, patients=3, fields=1, size=128, seed=1)


@pytest.fixture(scope="session")
def record(export_home: Home, tissue: CellDataset) -> RunRecord:
    """A cell probe on colour filters, under the standard protocol."""
    spec = RunSpec("tissue", "stain-filters", "cell-probe", "base", head_settings=QUICK)
    return Bench(export_home).run(spec)


@pytest.fixture(scope="session")
def cut(export_home: Home, tissue: CellDataset) -> RunRecord:
    """The same under the published protocol, which cuts nuclei by tiles and lets background win."""
    spec = RunSpec("tissue", "stain-filters", "cell-probe", "base", protocol="paper", head_settings=QUICK)
    return Bench(export_home).run(spec)


def case_table() -> pd.DataFrame:
    """Four patients, offered mri, then mri and wsi: with both all are right, with mri alone one of four is wrong."""
    rows = []
    for offered, wrong in (("mri", "d"), ("mri+wsi", "")):
        for patient, true in zip("abcd", ("low", "low", "high", "high"), strict=True):
            said = {"low": "high", "high": "low"}[true] if patient == wrong else true
            odds = {
                "p_low": np.float32(0.9 if said == "low" else 0.1),
                "p_high": np.float32(0.1 if said == "low" else 0.9),
            }
            rows.append(
                {"patient_id": patient, "offered": offered, "seen": offered, "y_true": true, "y_pred": said} | odds
            )
    return pd.DataFrame(rows).assign(run_id="c", repeat=0, fold=0, seed=0, ablation="full")


@pytest.fixture
def case_run(tmp_path: Path) -> RunRecord:
    folder, table = tmp_path / "case-run", case_table()
    write_case_predictions(folder / "predictions.parquet", table, ("low", "high"), ("mri", "wsi"))
    scores = score_cases(table, ("low", "high"), ("mri", "wsi"), draws=50)
    write_json(folder / "scores.json", scores.to_dict())
    settings = {"cohort": "four", "method": "mean", "modalities": ["mri", "wsi"], "task": "grade"}
    RunRecord("case-run", "cases", "2026-01-02T03:04:05+00:00", {"cohort": "x"}, settings).save(folder)
    return RunRecord.load(folder)
