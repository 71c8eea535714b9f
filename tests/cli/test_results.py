from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cryostat.cli import cryostat
from cryostat.cli.interval_texts import caption
from cryostat.core.errors import SettingError
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def put(home) -> Callable[..., Path]:
    def put(encoder: str, split: str, predicted: list[int], seed: int = 0, dataset: str = "colon", **about) -> Path:
        name = f"{dataset}-{split}-{encoder}-{seed}"
        columns = {"run_id": name, "fov_id": split, "tile": -1, "cell_id": [1, 2, 3, 4], "y_true": [1, 1, 2, 2]}
        table = pd.DataFrame(columns | {"y_pred": predicted})
        settings = {"dataset": dataset, "split": split, "encoder": encoder, "head": "linear", "protocol": "standard"}
        settings |= {"fraction": 1.0, "seed": seed, "mpp": 0.5}
        folder = home.runs / name
        write_predictions(folder / "predictions.parquet", table)
        write_json(folder / "scores.json", score(table, {1: "tumour", 2: "stroma"}).to_dict())
        phases = {"fit": {"seconds": 1.5}}
        RunRecord(name, "cells", "2026-01-01", {"code": "c1"}, settings, phases=phases, **about).save(folder)
        return folder

    return put


def results(home: Home, *options: object):
    arguments = [str(a) for a in ("--home", home.root, "results", *options)]
    return CliRunner(env={"COLUMNS": "160"}).invoke(cryostat, arguments)


def line_with(output: str, *words: str) -> str:
    (line,) = (line for line in output.splitlines() if all(word in line for word in words))
    return line


def test_runs_stand_side_by_side_best_first(home, put):
    put("weak", "base", [1, 2, 2, 1])
    put("strong", "base", [1, 1, 2, 2], seed=0)
    put("strong", "base", [1, 1, 2, 1], seed=1)
    result = results(home)
    assert result.exit_code == 0, result.output
    assert result.output.index("strong") < result.output.index("weak")
    # Seed 1: tumour 0.8, stroma 2/3, mean 0.733; with 1.0 of seed 0 the mean is 0.867.
    assert line_with(result.output, "strong").split()[-4:] == ["0.867", "0.189", "0.875", "4"]
    assert "0.500" in line_with(result.output, "weak")
    assert "tumour" not in result.output


def test_classes_on_request(home, put):
    put("vit", "base", [1, 1, 2, 1])
    output = results(home, "--per-class").output
    assert line_with(output, "encoder", "tumour").split() == ["encoder", "head", "tumour", "stroma"]
    assert line_with(output, "0.800").split() == ["vit", "linear", "0.800", "0.667"]


def test_intervals_and_ranks_stand_beside_the_means(home, put):
    for field in range(8):
        put("strong", f"8fold-{field}", [1, 1, 2, 2])
        put("weak", f"8fold-{field}", [1, 2, 2, 2])
    output = results(home, "--per-class").output
    # Eight fields without an error are eight observations at best: 0.025 ^ (1 / 8) is 0.631 of the accuracy.
    assert line_with(output, "strong", "[0.631, 1.000]†", "8/8").split()[3] == "1"
    assert "† Fewer than 10 fields: the interval is likely too narrow." in output
    weak = line_with(output, "weak", "[0.733, 0.733]†").split()
    assert (weak[2], weak[3]) == ("8/8", "2")
    # Tumour: 8 of 16 found, 8 predicted.
    assert "0.667 [0.67, 0.67]" in line_with(output, "weak", "[0.67, 0.67]")
    assert "Intervals over 8 fields of view" in output
    assert "Equal ranks" in output
    assert "rare" not in output


def test_one_field_has_no_interval(home, put):
    put("vit", "base", [1, 1, 2, 2])
    assert "No intervals: all cells are of one field." in results(home).output


def test_folds_that_lack_are_said_to_lack(home, put):
    for fold in (0, 1, 3):
        put("vit", f"5fold-{fold}", [1, 1, 2, 2])
    output = results(home).output
    assert "3/5" in line_with(output, "vit")
    assert "Dim rows lack folds" in output
    assert "12" in line_with(output, "vit")


def test_filters_and_files(home, put, tmp_path):
    put("a", "base", [1, 1, 2, 2])
    put("b", "base", [1, 1, 2, 2], dataset="skin")
    files = ("--csv", tmp_path / "t.csv", "--json", tmp_path / "t.json", "--markdown", tmp_path / "t.md")
    result = results(home, "--dataset", "skin", *files)
    assert "colon" not in result.output
    assert pd.read_csv(tmp_path / "t.csv")["encoder"].tolist() == ["b"]
    assert [row["encoder"] for row in json.loads((tmp_path / "t.json").read_text())] == ["b"]
    assert "| skin | base | b |" in (tmp_path / "t.md").read_text()
    assert "No finished run" in results(home, "--dataset", "none").output


def test_unusable_folders_are_listed_with_their_reason(home, put):
    put("vit", "base", [1, 1, 2, 2])
    (home.runs / "half").mkdir()
    (put("torn", "base", [1, 1, 2, 2]) / "scores.json").write_text("{")
    result = results(home)
    assert result.exit_code == 0
    assert "2 run folders could not be read" in result.output
    assert "half: run.json does not exist" in result.output
    assert "is not valid JSON" in result.output


def test_nothing_yet_says_how_to_begin(home):
    assert "cryostat run cells" in results(home).output


def test_one_run_is_shown_in_full(home, put):
    put("vit", "base", [1, 1, 2, 1], failures=[{"fov_id": "x9", "reason": "unreadable"}])
    result = results(home, "show", "vit")
    assert result.exit_code == 0, result.output
    for text in ("encoder: vit", "fit.seconds: 1.5", "tumour", "0.667", "accuracy 0.750", "x9", "unreadable"):
        assert text in result.output
    # Of the two of stroma, one was called tumour.
    assert ["2", "stroma", "1", "1"] in [line.split() for line in result.output.splitlines()]


def test_a_name_must_fit_one_run(home, put):
    put("vit", "base", [1, 1, 2, 2], seed=0)
    put("vit", "base", [1, 1, 2, 2], seed=1)
    assert "names of 2 runs" in str(results(home, "show", "vit").exception)
    assert isinstance(results(home, "show", "resnet").exception, SettingError)
    assert results(home, "show", "colon-base-vit-1").exit_code == 0


def test_a_class_that_few_fields_hold_has_its_footnote_where_classes_are_shown():
    facts = {"cluster": "field", "clusters": 27, "effective_clusters": 16.0, "cells": 900, "design_effect": 9.0}
    facts |= {"doubtful": "tumour (3)", "rank": np.nan, "rare": "", "complete": True, "seeds": 1}
    rows = pd.DataFrame([facts])
    marked = [line for line in caption(rows, True) if "†" in line]
    assert marked == [
        "† Mostly held by few fields of view (as good as so many equal ones), the interval is likely too narrow: "
        "tumour (3)."
    ]
    assert not any("†" in line for line in caption(rows, False))
