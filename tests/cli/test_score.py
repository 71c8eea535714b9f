from __future__ import annotations

import json

import numpy as np
import pytest
from click.testing import CliRunner

from cryostat.cells.dataset import Split
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.writer import DatasetWriter
from cryostat.cli import cryostat
from cryostat.core.errors import InputError, SettingError
from cryostat.core.home import Home
from cryostat.results.records import find_runs


@pytest.fixture
def home(tmp_path) -> Home:
    """A dataset `pair` of three fields with two nuclei each, of the classes A and B."""
    home = Home(tmp_path / "home")
    facts = DatasetFacts("pair", "Pair", (CellClass(1, "A"), CellClass(2, "B")), 0.5, "CC0", "nobody")
    instances = np.array([[1, 0, 2]], np.uint16).repeat(4, 0)
    with DatasetWriter(home.datasets / "pair", facts) as writer:
        for number, fov in enumerate(("x", "y", "z")):
            image = np.full((4, 3, 3), number, np.uint8)
            writer.add(field_from_table(fov, image, instances, {1: 1, 2: 2}, mpp=0.5, source=fov))
        writer.add_splits([Split("base", {"x": "train", "y": "valid", "z": "test"})])
    return home


def score(home: Home, *options: object):
    arguments = ["--home", home.root, "score", "--dataset", "pair", "--split", "base", *options]
    return CliRunner().invoke(cryostat, [str(a) for a in arguments])


def test_a_table_is_scored_printed_and_kept(home, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("fov_id,cell_id,y_pred\nz,1,A\nz,2,A\n")
    result = score(home, "--predictions", table, "--name", "my-model", "--seed", "1")
    assert result.exit_code == 0, result.output
    assert "macro of 2" in result.output
    assert "accuracy 0.500" in result.output
    (record,) = find_runs(home).records
    assert record.settings["encoder"] == "my-model"
    assert record.settings["seed"] == 1
    assert json.loads((record.folder / "scores.json").read_text())["macro_f1"] == pytest.approx(1 / 3)
    assert len(record.predictions()) == 2
    again = score(home, "--predictions", table, "--name", "my-model", "--seed", "1")
    assert again.exit_code == 0
    assert len(find_runs(home).records) == 1


def test_the_folder_can_be_chosen(home, tmp_path):
    np.save(tmp_path / "z.npy", np.array([[1, 0, 2]], np.uint8).repeat(4, 0))
    out = tmp_path / "out"
    maps = tmp_path / "maps"
    maps.mkdir()
    (tmp_path / "z.npy").rename(maps / "z.npy")
    result = score(home, "--predictions", maps, "--out", out)
    assert result.exit_code == 0, result.output
    assert sorted(p.name for p in out.iterdir()) == ["predictions.parquet", "run.json", "scores.json"]
    assert not home.runs.exists()


def test_incomplete_predictions_leave_nothing_behind(home, tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("fov_id,cell_id,y_pred\nz,1,A\n")
    result = score(home, "--predictions", table)
    assert isinstance(result.exception, InputError)
    assert not home.runs.exists()
    result = score(home, "--predictions", table, "--missing", "wrong")
    assert result.exit_code == 0
    assert "accuracy 0.500" in result.output


def test_unknown_choices_are_our_errors(home, tmp_path):
    assert isinstance(score(home, "--predictions", tmp_path, "--kind", "masks").exception, SettingError)
    assert isinstance(score(home, "--predictions", tmp_path / "none.csv").exception, InputError)
