"""`cryostat plan` as a user types it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from cryostat.cases.simulated import simulate
from cryostat.cells.planning import Machine, Work
from cryostat.cli import cryostat
from cryostat.cli.plan_tables import count, duration, size
from cryostat.core.errors import SettingError

WIDE = {"COLUMNS": "200"}


def call(home: Path, *words: str) -> Result:
    return CliRunner(env=WIDE).invoke(cryostat, ["--home", str(home), "plan", *words], catch_exceptions=False)


def test_a_study_that_ships_is_planned_in_an_empty_home(tmp_path: Path) -> None:
    ended = call(tmp_path / "home", "pathocellbench-lizard-glas", "--json", str(tmp_path / "plan.json"))
    assert ended.exit_code == 0
    for said in ("virchow2", "finetune", "~5,950", "no dataset 'lizard'", "cryostat data import lizard SOURCE", "A100"):
        assert said in ended.output
    assert not (tmp_path / "home").exists()
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert [row["runs"] for row in plan["rows"]] == [1] * 8
    musk = next(row for row in plan["rows"] if row["encoder"] == "musk")
    reasons = [plan["obstacles"][number]["problem"] for number in musk["obstacles"]]
    assert any("the weights of musk are not on this machine and are gated" in reason for reason in reasons)
    assert plan["rows"][0]["seconds_gpu"] > 0


def test_the_same_under_other_rules_with_another_encoder(tmp_path: Path) -> None:
    words = (
        "pathocellbench-lizard-glas",
        "--protocol",
        "standard",
        "--encoder",
        "stain-filters",
        "--head",
        "cell-probe",
    )
    ended = call(tmp_path, *words, "--gpu", "H100")
    assert "Plan of pathocellbench-lizard-glas-standard · protocol standard" in ended.output
    assert "cached" in ended.output
    assert "H100" in ended.output
    assert "were dropped" in ended.stderr


def test_what_is_not_known_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="there is no study 'lizard'"):
        call(tmp_path, "lizard")
    with pytest.raises(SettingError, match="there is no protocol 'mine'"):
        call(tmp_path, "pathocellbench-lizard", "--protocol", "mine")
    with pytest.raises(SettingError, match="there is no reference GPU 'K80'"):
        call(tmp_path, "pathocellbench-lizard", "--gpu", "K80")


def test_figures_are_short() -> None:
    assert [count(n) for n in (6867, 192_000, 3_843_500)] == ["6,867", "192 k", "3.8 M"]
    assert [size(n) for n in (36_600_000, 365_800_000, 11e9)] == ["36.6 MB", "366 MB", "11.0 GB"]
    toy = Machine("toy", 1.0, 1.0, "")
    seconds = (0, 30, 600, 7200, 172_800, 2 * 365.25 * 86400)
    assert [duration(toy, Work(n)) for n in seconds] == ["–", "< 1 min", "10 min", "2.0 h", "2.0 d", "2.0 y"]
    assert duration(toy, None) == "?"


def test_a_study_of_cases_is_planned_too(tmp_path: Path) -> None:
    simulate(tmp_path / "cohort", patients=60, draws=1000)
    study = tmp_path / "study.toml"
    study.write_text(
        '[study]\nname = "three"\n[cases]\ncohorts = ["cohort/cohort.toml"]\ntasks = ["lgg_hgg"]\n'
        'methods = ["nearest-mean", "magic"]\nrepeats = 1\nfolds = 3\n'
    )
    ended = call(tmp_path / "home", str(study), "--json", str(tmp_path / "plan.json"))
    for said in (
        "Plan of three",
        "mri_features.csv",
        "nearest-mean",
        "fits on noise",
        "is no method",
        "1 wait, 1 to run",
    ):
        assert said in ended.output
    assert not (tmp_path / "home").exists()
    plan = json.loads((tmp_path / "plan.json").read_text())
    assert [(row["method"], row["splits"], row["obstacles"]) for row in plan["rows"]] == [
        ("nearest-mean", 3, []),
        ("magic", 0, [0]),
    ]
    with pytest.raises(SettingError, match="takes no --encoder"):
        call(tmp_path, str(study), "--encoder", "uni")
