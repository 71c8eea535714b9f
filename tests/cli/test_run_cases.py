"""From a cohort to tables of results on the command line."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from cryostat.cases.simulated import simulate
from cryostat.cli import cryostat


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A small simulated cohort and a home with two runs on it."""
    folder = tmp_path_factory.mktemp("cases")
    manifest = simulate(folder / "cohort", patients=80, draws=2000).manifest
    home = folder / "home"
    result = call(home, "run", "cases", manifest, "--task", "lgg_hgg", *METHODS, "--repeats", "1", "--folds", "3")
    assert result.exit_code == 0, result.output
    return manifest, home


METHODS = ("--method", "nearest-mean", "--method", "best-possible")


def call(home: Path, *words: object) -> Result:
    return CliRunner(env={"COLUMNS": "220"}).invoke(cryostat, ["--home", str(home), *map(str, words)])


def test_every_subset_stands_in_the_table_of_each_method(world: tuple[Path, Path]) -> None:
    result = call(world[1], "results", "cases")
    assert "simulated · lgg_hgg · balanced accuracy" in result.output
    assert all(name in result.output for name in ("nearest-mean", "best-possible", "mri + wsi + report", "nothing"))


def test_the_listing_as_a_file_has_a_row_for_each_subset_and_method(world: tuple[Path, Path], tmp_path: Path) -> None:
    call(
        world[1], "results", "cases", "--metric", "macro_f1", "--csv", tmp_path / "a.csv", "--json", tmp_path / "a.json"
    )
    frame = pd.read_csv(tmp_path / "a.csv")
    assert len(frame) == 2 * 8
    assert json.loads((tmp_path / "a.json").read_text())[0]["method"] == frame["method"][0]
    shown_nothing = frame[(frame["method"] == "nearest-mean") & (frame["offered"] == "nothing")]
    assert shown_nothing["n"].item() == frame["n"].max()


def test_the_papers_own_cohort_has_its_published_rows_below(world: tuple[Path, Path], tmp_path: Path) -> None:
    shutil.copytree(world[1], tmp_path / "home")
    for file in (tmp_path / "home" / "runs").glob("*/run.json"):
        file.write_text(file.read_text().replace('"cohort": "simulated"', '"cohort": "core-bt"'))
    shown = call(tmp_path / "home", "results", "cases").output
    assert "0.812 (n 28)" in shown
    assert "published: CoRe-BT, Table 2" in shown
    assert "published" not in call(tmp_path / "home", "results", "cases", "--no-published").output
    assert "published" not in call(world[1], "results", "cases").output


def test_plain_results_show_cases_where_there_is_nothing_else(world: tuple[Path, Path]) -> None:
    assert "balanced accuracy" in call(world[1], "results").output


def test_a_run_is_shown_in_full(world: tuple[Path, Path]) -> None:
    run = next((world[1] / "runs").glob("*nearest-mean*")).name
    output = call(world[1], "results", "show", run).output
    assert "patients by true (rows) and predicted class" in output
    assert "log-loss" in output


def test_a_finished_run_is_found_again(world: tuple[Path, Path]) -> None:
    before = {path: path.stat().st_mtime_ns for path in (world[1] / "runs").glob("*/run.json")}
    result = call(world[1], "run", "cases", world[0], "--task", "lgg_hgg", *METHODS, "--repeats", "1", "--folds", "3")
    assert result.exit_code == 0
    assert before == {path: path.stat().st_mtime_ns for path in (world[1] / "runs").glob("*/run.json")}


def test_a_study_file_runs_its_matrix(world: tuple[Path, Path], tmp_path: Path) -> None:
    study = tmp_path / "study.toml"
    study.write_text(
        f'[study]\nname = "small"\n[cases]\ncohorts = ["{world[0]}"]\ntasks = ["lgg_hgg"]\nmethods = ["nearest-mean"]\n'
        'modalities = [["mri"], ["mri", "wsi"]]\nrepeats = 1\nfolds = 2\n'
    )
    result = call(tmp_path / "home", "run", "study", study)
    assert result.exit_code == 0, result.output
    assert "2 of 2 runs" in result.output
    assert len(json.loads((tmp_path / "home" / "studies" / "small.json").read_text())) == 2


def test_one_impossible_method_does_not_stop_the_others(world: tuple[Path, Path], tmp_path: Path) -> None:
    few = ("--repeats", "1", "--folds", "2")
    both = (*METHODS[:2], "--method", "ordinal")
    result = call(tmp_path, "run", "cases", world[0], "--task", "tumour_type", *both, *few)
    assert result.exit_code == 1
    assert "1 of 2 runs" in result.output
    assert "ordinal" in result.output


@pytest.mark.parametrize(
    ("words", "part"),
    [
        (("--task", "lgg_hgh"), "lgg_hgg"),
        (("--task", "lgg_hgg", "--method", "core-bd"), "core-bt"),
        (("--task", "lgg_hgg", "--modalities", "mri+ct"), "'ct'"),
        (("--task", "lgg_hgg", "--ablation", "phi"), "phi_only"),
        (("--task", "lgg_hgg", "--method", "lda", "--set", "shrink=1"), "shrinkage"),
        (("--task", "lgg_hgg", "--split", "folds"), "kfold"),
        (("--task", "lgg_hgg", "--protocol", "mine"), "standard"),
    ],
)
def test_a_wrong_word_is_answered_with_the_right_one(
    world: tuple[Path, Path], tmp_path: Path, words: tuple[str, ...], part: str
) -> None:
    result = call(tmp_path, "run", "cases", world[0], *words)
    assert result.exit_code != 0
    assert part in result.output + str(result.exception)


@pytest.mark.parametrize("words", [("--metric", "f1"), ("--population", "mri+ct")])
def test_an_unknown_metric_or_population_lists_those_there_are(
    world: tuple[Path, Path], words: tuple[str, str]
) -> None:
    result = call(world[1], "results", "cases", *words)
    assert result.exit_code != 0
    assert words[0].removeprefix("--") in result.output + str(result.exception)
