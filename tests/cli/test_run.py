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


def test_studies_that_ship_are_listed_and_run_by_name(home: Home) -> None:
    listed = call(home, "run", "studies")
    assert "pathocellbench-lizard-glas" in listed.output
    with pytest.raises(SettingError, match="no dataset 'lizard'"):
        call(home, "run", "study", "pathocellbench-lizard-glas")


def test_a_study_under_other_rules_drops_its_settings_and_says_so(home: Home, tmp_path: Path) -> None:
    text = STUDY.replace('name = "small"', 'name = "small"\nprotocol = "paper"').replace(', "nowhere"', "")
    (tmp_path / "study.toml").write_text(text + "[heads.cell-probe]\nno-such-setting = 1\n")
    words = ("run", "study", str(tmp_path / "study.toml"), "--protocol", "standard", "--seed", "0", "--seed", "1")
    ended = call(home, *words, "--limit", "1")
    assert ended.exit_code == 0
    assert "1 of 1 runs" in ended.output
    assert "The study's settings of cell-probe belong to its protocol 'paper' and were dropped" in ended.stderr
    assert (home.root / "studies" / "small-standard.json").exists()


def test_only_heads_without_an_encoder_may_go_without_one(home: Home) -> None:
    with pytest.raises(SettingError, match="head 'linear' needs an encoder, and none is given"):
        call(home, "run", "cells", "--dataset", "tissue", "--head", "linear")
    with pytest.raises(SettingError, match="--weights and --precision need an encoder"):
        call(home, "run", "cells", "--dataset", "tissue", "--head", "hovernext", "--weights", "uni.bin")


def test_a_mode_that_does_not_exist_is_refused(home: Home) -> None:
    with pytest.raises(SettingError, match="there is no training mode 'warm'"):
        call(home, "run", "cells", "--dataset", "tissue", "--encoder", "stain-filters", "--mode", "warm")
