"""`cryostat run ladder` and `results ladder` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result

from cryostat.cells.synthetic import make_dataset
from cryostat.cli import cryostat
from cryostat.core.errors import SettingError
from cryostat.core.home import Home


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Home:
    home = Home(tmp_path_factory.mktemp("home"))
    make_dataset(home, name="tissue", hospitals=1, patients=3, fields=1, size=128)
    what = ("--dataset", "tissue", "--split", "base", "--encoder", "stain-filters")
    assert call(home, "run", "cells", *what, "--set", "steps=60").exit_code == 0
    return home


def call(home: Home, *words: str) -> Result:
    return CliRunner().invoke(cryostat, ["--home", str(home.root), *words], catch_exceptions=False)


def test_a_ladder_is_climbed_listed_written_and_drawn(home: Home, tmp_path: Path) -> None:
    empty = call(home, "results", "ladder")
    assert "Climb one with" in empty.output
    climbed = call(home, "run", "ladder", "tissue-base", "--perturbation", "jpeg", "--forget")
    assert climbed.exit_code == 0
    assert "same bits" in climbed.output
    files = {form: tmp_path / f"curves.{form}" for form in ("csv", "json")}
    drawn = tmp_path / "curves.svg"
    listed = call(home, "results", "ladder", *(f"--{f}={p}" for f, p in files.items()), "--figure", str(drawn))
    assert "jpeg" in listed.output
    assert "area" in listed.output
    table = pd.read_csv(files["csv"])
    assert table["amount"].tolist() == [100, 80, 60, 40, 20, 10]
    assert f"{table['macro_f1'].iloc[-1]:.3f}" in listed.output
    assert len(json.loads(files["json"].read_text())) == 6
    assert "JPEG quality" in drawn.read_text()
    again = call(home, "run", "ladder", "tissue-base", "--perturbation", "jpeg")
    assert again.exit_code == 0


def test_what_does_not_exist_is_named(home: Home) -> None:
    with pytest.raises(SettingError, match="no run 'elsewhere'"):
        call(home, "run", "ladder", "elsewhere")
    with pytest.raises(SettingError, match="no perturbation 'fog'"):
        call(home, "run", "ladder", "tissue-base", "--perturbation", "fog")


def test_a_run_that_cannot_climb_ends_in_an_error_with_the_reason(home: Home) -> None:
    (folder,) = home.runs.iterdir()
    kept = (folder / "head.safetensors").rename(home.root / "kept")
    ended = call(home, "run", "ladder", str(folder), "--perturbation", "jpeg")
    kept.rename(folder / "head.safetensors")
    assert ended.exit_code == 1
    assert "has no fitted head" in ended.output
