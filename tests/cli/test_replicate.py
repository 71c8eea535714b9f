"""`cryostat replicate`: what it prints and writes."""

from __future__ import annotations

import json
from dataclasses import asdict

import pandas as pd
import pytest
from click.testing import CliRunner

from cryostat.cases.simulated import simulate
from cryostat.cells.replication import Choice, replicate_cells
from cryostat.cells.synthetic.dataset import make_dataset
from cryostat.cli import cryostat
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score


def run(*arguments, home, env=None):
    result = CliRunner().invoke(cryostat, ["--home", str(home), "replicate", *map(str, arguments)], env=env)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.output


def test_rows_that_wait_are_shown_with_reasons(tmp_path):
    file = tmp_path / "rows.json"
    shown = run("pathocellbench", "--table", "lizard", "--head", "linear", "--json", file, home=tmp_path)
    assert "Lizard, base split" in shown
    assert "0.6844" in shown
    assert "waits:" in shown
    assert "no dataset 'lizard'" in shown
    assert "cryostat data import lizard" in shown
    assert "the weights of uni2-h are not on this machine and are gated" in shown
    assert "tiling.kind: 'even-cut' / 'overlapping'" in shown
    assert "7 published rows: 0 compared" in shown
    rows = json.loads(file.read_text())
    assert len(rows) == 7
    assert rows[0]["ours"] is None
    assert rows[0]["obstacles"][0]["remedy"].startswith("Import it with")


def test_a_finished_run_stands_beside_the_paper(tmp_path):
    home = Home(tmp_path)
    spec = replicate_cells(home, Choice(["lizard"], ["uni2-h"], ["linear"]))[0].rows[0].spec
    settings = {**asdict(spec), "mode": "live", "mpp": 0, "head_settings": {"steps": 7}, "classes": {"1": "Plasma"}}
    # Four fields with two plasma cells each, one of the eight called background: F1 = 14/15.
    table = pd.DataFrame({"run_id": "r", "fov_id": [*"aabbccdd"], "tile": 0, "cell_id": range(8), "y_true": 1})
    table = table.assign(y_pred=[0, 1, 1, 1, 1, 1, 1, 1])
    write_predictions(home.runs / "r" / "predictions.parquet", table)
    write_json(home.runs / "r" / "scores.json", score(table, {1: "Plasma"}, class_set="floating").to_dict())
    RunRecord("r", "cells", "2026-01-01T00:00:00+00:00", {}, settings).save(home.runs / "r")
    shown = run("pathocellbench", "--table", "lizard", "--encoder", "uni2-h", "--head", "linear", home=tmp_path)
    assert "0.9333" in shown
    assert "8 nuclei" in shown
    assert "head.steps: 7 / 30000" in shown
    assert "1 compared with runs in" in shown


def test_a_row_whose_run_fails_says_why(tmp_path):
    make_dataset(Home(tmp_path), name="lizard", hospitals=1, patients=3, fields=1, size=64)
    (tmp_path / "uni.bin").write_bytes(b"junk")
    chosen = ["--table", "lizard", "--encoder", "uni", "--head", "linear", "--weights", tmp_path / "uni.bin"]
    arguments = ["--home", tmp_path, "replicate", "pathocellbench", *chosen, "--run", "--device", "cpu"]
    result = CliRunner().invoke(cryostat, list(map(str, arguments)))
    assert result.exit_code == 1
    assert "uni.bin: is damaged or no file of weights" in result.output.replace("\n", " ")
    assert "1 wait" in result.output


def test_marks_are_explained(tmp_path):
    shown = run("pathocellbench", "--table", "lizard", "--encoder", "musk", home=tmp_path)
    assert "u  the sheet calls its encoder unfrozen" in shown


def test_weights_must_say_whose_they_are(tmp_path):
    with pytest.raises(Exception, match="does not say for which of"):
        run("pathocellbench", "--weights", "uni.bin", home=tmp_path)


def test_without_a_cohort_the_published_tables_are_shown(tmp_path):
    file = tmp_path / "rows.json"
    shown = run("core-bt", "--json", file, home=tmp_path)
    assert "Low grade against high grade" in shown
    assert "right of 4 / 24" in shown
    assert "3 / 21" in shown
    assert "MYB/MYBL1-altered" in shown
    assert "What does not agree" in shown
    assert "accuracy equals recall in all 18 rows" in shown
    assert len(json.loads(file.read_text())) == 5 + 20 + 18
    assert not (tmp_path / "runs").exists()


def test_on_a_cohort(tmp_path):
    simulate(tmp_path / "cohort", patients=80, draws=1000)
    manifest = tmp_path / "cohort" / "cohort.toml"
    text = manifest.read_text()
    manifest.write_text(text[: text.index("[tasks.")] + text[text.index("[tasks.lgg_hgg]") :])
    file = tmp_path / "rows.json"
    shown = run("core-bt", "--cohort", manifest, "--json", file, home=tmp_path, env={"COLUMNS": "100"})
    assert "Fusion (Both ablated)" in shown
    assert "core-bt.space: 'logits' / 'log_probs'" in shown
    assert "--as level1=NAME" in shown
    assert "2 runs are in" in shown
    rows = json.loads(file.read_text())
    assert len(rows) == 18
    assert rows[0]["figures"]["balanced_accuracy"]["paper"] == 0.812


def test_pairs_are_pairs(tmp_path):
    with pytest.raises(Exception, match="is not WHAT=NAME"):
        run("core-bt", "--cohort", tmp_path / "c.toml", "--as", "pathology", home=tmp_path)
