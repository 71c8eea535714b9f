"""Published rows in `cryostat results`."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from cryostat.cli import cryostat
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score


@pytest.fixture
def home(tmp_path) -> Home:
    """A run on Lizard's base split, another on a dataset of which nothing was published."""
    home = Home(tmp_path)
    for dataset in ("lizard", "colon"):
        columns = {"run_id": dataset, "fov_id": "f", "tile": -1, "cell_id": [1, 2, 3], "y_true": 1, "y_pred": 1}
        table, folder = pd.DataFrame(columns), home.runs / dataset
        settings = {"dataset": dataset, "split": "base", "encoder": "uni2-h", "head": "linear"}
        settings |= {"protocol": "paper", "fraction": 1.0, "seed": 0, "mpp": 0}
        write_predictions(folder / "predictions.parquet", table)
        write_json(folder / "scores.json", score(table, {1: "Neutrophil"}).to_dict())
        RunRecord(dataset, "cells", "2026-01-01", {"code": "c1"}, settings).save(folder)
    return home


def results(home: Home, *options: object) -> str:
    arguments = [str(a) for a in ("--home", home.root, "results", *options)]
    result = CliRunner(env={"COLUMNS": "160"}).invoke(cryostat, arguments)
    assert result.exit_code == 0, result.output
    return result.output


def test_they_stand_below_ours_and_say_what_they_are(home):
    output = results(home, "--dataset", "lizard", "--encoder", "uni2-h", "--per-class")
    lines = [line.split() for line in output.splitlines()]
    assert ["uni2-h", "unetr", "published", "0.729", "0.886", "162,374"] in lines
    assert ["uni2-h", "linear", "published", "0.592"] in lines  # F1 of neutrophils
    assert lines.index(["uni2-h", "unetr", "published", "0.729", "0.886", "162,374"]) > next(
        i for i, line in enumerate(lines) if line[:2] == ["uni2-h", "linear"]
    )
    assert "PathoCellBench, sheet lizard; Fig. 2a" in output
    assert "no interval, so no rank" in output


def test_marks_are_explained(home):
    (home.runs / "lizard" / "run.json").write_text(
        (home.runs / "lizard" / "run.json").read_text().replace('"uni2-h"', '"musk"')
    )
    output = results(home, "--encoder", "musk")
    assert "published b" in output
    assert "b: contradicts itself" in output


def test_they_can_be_hidden(home):
    assert "published" not in results(home, "--no-published")


def test_where_nothing_was_published_nothing_is_said(home):
    assert "published" not in results(home, "--dataset", "colon")


def test_files_have_them_too_unless_hidden(home, tmp_path: Path):
    results(home, "--json", tmp_path / "t.json")
    rows = json.loads((tmp_path / "t.json").read_text())
    assert [row["kind"] for row in rows].count("published") == 16
    results(home, "--no-published", "--json", tmp_path / "t.json")
    assert ["kind" in row for row in json.loads((tmp_path / "t.json").read_text())] == [False, False]
