"""`cryostat run`, `results` and `score` as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cryostat.cells.dataset import load_dataset
from cryostat.cells.synthetic import make_dataset
from cryostat.cli import cryostat
from cryostat.core.errors import SettingError
from cryostat.core.home import Home

STUDY = """
[study]
name = "small"
[cells]
datasets = ["tissue"]
splits = ["base", "nowhere"]
encoders = ["stain-filters"]
heads = ["cell-probe"]
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    make_dataset(home, name="tissue", hospitals=1, patients=3, fields=1, size=256)
    return home


def call(home: Home, *words: str) -> Result:
    return CliRunner().invoke(cryostat, ["--home", str(home.root), *words], catch_exceptions=False)


def test_a_run_is_scored_listed_and_scored_again_from_its_predictions(home: Home, tmp_path: Path) -> None:
    what = ("--dataset", "tissue", "--split", "base")
    ran = call(home, "run", "cells", *what, "--encoder", "stain-filters", "--set", "steps=60")
    assert ran.exit_code == 0
    assert "1 of 1 runs" in ran.output
    listed = call(home, "results", "--per-class", "--csv", str(tmp_path / "table.csv"))
    assert "stain-filters" in listed.output
    folder = next(home.runs.glob("tissue-base-stain-filters-cell-probe-*"))
    scored = call(home, "score", *what, "--predictions", str(folder / "predictions.parquet"), "--name", "again")
    assert scored.exit_code == 0
    macro = [line.split(",") for line in (tmp_path / "table.csv").read_text().splitlines()]
    figure = float(macro[1][macro[0].index("macro_f1")])
    assert f"{figure:.3f}" in scored.output


def test_a_study_lists_what_failed_and_ends_with_an_error(home: Home, tmp_path: Path) -> None:
    (tmp_path / "study.toml").write_text(STUDY)
    with pytest.raises(SettingError, match="nowhere"):
        call(home, "run", "study", str(tmp_path / "study.toml"))
    (tmp_path / "study.toml").write_text(
        STUDY.replace('"stain-filters"', '"stain-filters", "no-such-encoder"').replace(', "nowhere"', "")
    )
    ended = call(home, "run", "study", str(tmp_path / "study.toml"))
    assert ended.exit_code == 1
    assert "1 of 2 runs" in ended.output
    assert "there is no encoder 'no-such-encoder'" in ended.output.replace("\n", " ")


def test_settings_that_no_head_has_are_a_row_with_the_reason(home: Home) -> None:
    words = ("run", "cells", "--dataset", "tissue", "--encoder", "stain-filters", "--set", "hiden=3")
    ended = call(home, *words)
    assert ended.exit_code == 1
    assert "has no setting 'hiden'" in ended.output.replace("\n", " ")
    assert load_dataset("tissue", home).name == "tissue"
