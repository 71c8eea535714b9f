"""The studies that ship are complete, readable, and say what was published."""

from __future__ import annotations

from pathlib import Path

import pytest

from cryostat.cells.heads import head_settings
from cryostat.cells.protocols import load_protocol
from cryostat.cells.runs.spec import read_study
from cryostat.cells.studies import find_study, study_names
from cryostat.core.errors import SettingError
from cryostat.core.files import read_toml

SEVEN = ["uni", "uni2-h", "virchow2", "prov-gigapath", "phikon-v2", "musk", "conch-v1-5"]


def test_every_experiment_of_the_paper_ships() -> None:
    assert study_names() == [
        "pathocellbench-arctique",
        "pathocellbench-lizard",
        "pathocellbench-lizard-dpt",
        "pathocellbench-lizard-efficiency",
        "pathocellbench-lizard-glas",
        "pathocellbench-pannuke",
        "pathocellbench-pathocell",
        "pathocellbench-pathocell-clr",
        "pathocellbench-pathocell-dpt",
        "pathocellbench-pathocell-efficiency",
        "pathocellbench-pathocell-msi",
        "pathocellbench-pathocell-stage",
        "pathocellbench-pathocell-type",
    ]


@pytest.mark.parametrize("name", study_names())
def test_each_is_named_as_its_file_follows_the_paper_and_has_settings_that_its_heads_know(name: str) -> None:
    study, file = read_study(find_study(name)), read_toml(find_study(name))
    assert study.name == name
    assert study.base == {"protocol": "paper"}
    assert len(file["study"]["about"]) > 20
    for head in study.heads:
        settings = {**load_protocol("paper").heads[head], **study.head_options.get(head, {})}
        assert head_settings(head, settings, on_tiles=True).steps >= 10_000


@pytest.mark.parametrize(
    ("name", "steps", "batch", "period", "lowest"),
    [
        ("lizard", 10_000, 64, 10_000, 1e-7),
        ("pannuke", 20_000, 64, 10_000, 1e-7),
        ("arctique", 10_000, 64, 10_000, 1e-6),
        ("pathocell", 20_000, 128, 20_000, 1e-6),
    ],
)
def test_the_recipe_of_each_dataset_is_the_published_one(
    name: str, steps: int, batch: int, period: int, lowest: float
) -> None:
    study = read_study(find_study(f"pathocellbench-{name}"))
    unetr = head_settings("unetr", {**load_protocol("paper").heads["unetr"], **study.head_options["unetr"]})
    assert (unetr.steps, unetr.batch, unetr.period, unetr.lowest_lr) == (steps, batch, period, lowest)
    assert study.head_options["hovernext"]["batch"] == (64 if name == "arctique" else 128)
    assert list(study.encoders) == SEVEN
    assert list(study.heads) == ["linear", "unetr", "hovernext"]


def test_data_efficiency_goes_down_to_a_hundredth() -> None:
    study = read_study(find_study("pathocellbench-pathocell-efficiency"))
    assert list(study.fractions) == [0.01, 0.05, 0.1, 0.2, 0.5, 1.0]


def test_a_file_wins_over_a_name_and_a_name_needs_no_ending(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shipped = find_study("pathocellbench-lizard")
    assert find_study("pathocellbench-lizard.toml") == shipped
    own = tmp_path / "pathocellbench-lizard.toml"
    own.write_text("")
    assert find_study("pathocellbench-lizard.toml") == Path("pathocellbench-lizard.toml")
    assert find_study(own) == own


def test_an_unknown_study_lists_those_there_are() -> None:
    with pytest.raises(SettingError, match="pathocellbench-arctique, pathocellbench-lizard"):
        find_study("lizard")
