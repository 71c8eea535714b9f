from __future__ import annotations

import os

import pandas as pd
import pytest
from click.testing import CliRunner
from PIL import Image

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
def home(tmp_path_factory) -> Home:
    """Three small fields, and two runs that call all nuclei the commonest class."""
    home = Home(tmp_path_factory.mktemp("home"))
    dataset = make_dataset(home, hospitals=1, patients=3, fields=1, size=128)
    for seed in (0, 1):
        put_run(home, dataset, seed)
    return home


def put_run(home: Home, dataset: CellDataset, seed: int) -> None:
    cells = dataset.cells
    commonest = cells["class_id"].mode().iloc[0]
    columns = {"run_id": "r", "fov_id": cells["fov_id"], "tile": -1, "cell_id": cells["cell_id"]}
    table = pd.DataFrame(columns | {"y_true": cells["class_id"], "y_pred": commonest})
    folder = home.runs / f"synthetic-all-same-{seed}"
    write_predictions(folder / "predictions.parquet", table)
    write_json(folder / "scores.json", score(table, dataset.classes).to_dict())
    settings = {"dataset": dataset.name, "split": "all", "encoder": "same", "head": "linear", "seed": seed}
    RunRecord(folder.name, "cells", "2026-01-01", {"dataset": dataset.identity}, settings).save(folder)


@pytest.fixture
def picture(home, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def picture(*options: object):
        return CliRunner().invoke(cryostat, [str(a) for a in ("--home", home.root, "results", "picture", *options)])

    return picture


def test_part_of_a_name_is_enough_and_names_the_file(picture):
    result = picture("same-1", "--fields", 2)
    assert result.exit_code == 0, result.output
    assert "Drew synthetic-all-same-1.png" in result.output
    with Image.open("synthetic-all-same-1.png") as page:
        assert page.height > 2 * 640


def test_a_folder_a_field_a_crop_and_a_file(picture, home):
    fov = CellDataset(home.datasets / "synthetic").fovs.index[0]
    result = picture(home.runs / "synthetic-all-same-0", "--fov", fov, "--crop-um", 20, "-o", "sub/x.pdf")
    assert result.exit_code == 0, result.output
    assert os.listdir() == ["sub"]
    assert os.listdir("sub") == ["x.pdf"]


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (("none-such",), "no run 'none-such'"),
        (("same",), "names of 2 runs"),
        (("same-0", "--fov", "z"), "no field of view 'z'"),
        (("same-0", "-o", "x.jpg"), "not written as .jpg"),
        (("same-0", "--crop-um", "-1"), "nothing to show"),
    ],
)
def test_errors_say_what_to_do(picture, options, problem):
    error = picture(*options).exception
    assert isinstance(error, SettingError)
    assert problem in error.problem
    assert error.remedy
    assert os.listdir() == []


def test_at_most_four_fields_are_drawn_by_choice(picture):
    assert picture("same-0", "--fields", 5).exit_code == 2
