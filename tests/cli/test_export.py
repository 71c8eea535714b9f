from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from cryostat.cells.dataset import CellDataset
from cryostat.cells.synthetic import make_dataset
from cryostat.cli import cryostat
from cryostat.core.errors import SettingError
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A dataset of three fields and a run that calls all nuclei the commonest class."""
    home = Home(tmp_path_factory.mktemp("home"))
    dataset = make_dataset(home, hospitals=1, patients=3, fields=1, size=96)
    cells, folder = dataset.cells, home.runs / "same"
    columns = {"run_id": "same", "fov_id": cells["fov_id"], "tile": -1, "cell_id": cells["cell_id"]}
    table = pd.DataFrame(columns | {"y_true": cells["class_id"], "y_pred": cells["class_id"].mode().iloc[0]})
    write_predictions(folder / "predictions.parquet", table)
    write_json(folder / "scores.json", score(table, dataset.classes).to_dict())
    settings = {"dataset": dataset.name, "split": "all", "encoder": "same", "head": "linear", "seed": 0}
    created = "2026-01-01T00:00:00+00:00"
    RunRecord("same", "cells", created, {"dataset": dataset.identity}, settings).save(folder)
    return home


@pytest.fixture
def export(home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)

    def export(*options: object) -> Result:
        return CliRunner().invoke(cryostat, [str(a) for a in ("--home", home.root, "export", *options)])

    return export


def test_predictions_are_named_after_the_run(export) -> None:
    result = export("predictions", "sam")
    assert result.exit_code == 0, result.output
    assert result.output == "Wrote same.csv\n"
    assert "predicted_class" in pd.read_csv("same.csv")


def test_geojson(export, home: Home) -> None:
    fov = CellDataset(home.datasets / "synthetic").fovs.index[0]
    result = export("geojson", home.runs / "same", "-o", "out", "--show", "true", "--fov", fov)
    assert result.exit_code == 0, result.output
    (file,) = Path("out/true").iterdir()
    nuclei = len(json.loads(file.read_text())["features"])
    assert result.output == f"{nuclei} nuclei in 1 files in out\n"


def test_croissant_lies_in_the_folder_of_the_dataset(export, home: Home) -> None:
    result = export("croissant", "synthetic")
    assert result.exit_code == 0, result.output
    metadata = json.loads((home.datasets / "synthetic" / "croissant.json").read_text())
    assert metadata["name"] == "synthetic"
    assert export("croissant", "synthetic", "-o", "x.json", "--url", "https://a.b").exit_code == 0
    assert "https://a.b/fovs.parquet" in Path("x.json").read_text()


@pytest.mark.parametrize("tracker", ["mlflow", "tensorboard"])
def test_trackers(export, tracker: str) -> None:
    pytest.importorskip(tracker)
    result = export(tracker, "same", "same", "-o", "there")
    assert result.exit_code == 0, result.output
    assert [line.split(":")[0] for line in result.output.splitlines()] == ["same", "same"]
    assert ("there already" in result.output) == (tracker == "mlflow")
    assert Path("there").is_dir()


def test_a_run_without_a_frozen_encoder_has_no_embeddings(export) -> None:
    pytest.importorskip("anndata")
    error = export("anndata", "same").exception
    assert isinstance(error, SettingError)
    assert "has no frozen encoder" in str(error)


def test_a_run_that_is_not_there(export) -> None:
    assert "there is no run 'other'" in str(export("predictions", "other").exception)
