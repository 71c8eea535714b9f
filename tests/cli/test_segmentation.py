from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.scoring.instance_maps import MATCH_UM, true_map
from cryostat.cells.writer import DatasetWriter
from cryostat.cli import cryostat
from cryostat.cli.segmentation import command
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import read_json, write_json
from cryostat.core.home import Home
from cryostat.results.predictions import write_predictions
from cryostat.results.records import RunRecord
from cryostat.results.scores import score
from cryostat.results.segmentation import SegmentationScores


@pytest.fixture
def home(tmp_path) -> Home:
    """A dataset `pair`: fields x, y, z, v of 4 × 9 px with a nucleus of class A and one of B; z and v are tested."""
    home = Home(tmp_path / "home")
    facts = DatasetFacts("pair", "Pair", (CellClass(1, "A"), CellClass(2, "B")), 0.5, "CC0", "nobody")
    instances = np.array([[1, 1, 1, 1, 0, 2, 2, 2, 2]], np.uint16).repeat(4, 0)
    with DatasetWriter(home.datasets / "pair", facts) as writer:
        for number, fov in enumerate(("x", "y", "z", "v")):
            image = np.full((4, 9, 3), number, np.uint8)
            writer.add(field_from_table(fov, image, instances, {1: 1, 2: 2}, mpp=0.5, source=fov))
        writer.add_splits([Split("base", {"x": "train", "y": "valid", "z": "test", "v": "test"})])
    return home


@pytest.fixture
def maps(home, tmp_path) -> Path:
    """The truth of z, and of v without its second nucleus."""
    folder = tmp_path / "maps"
    folder.mkdir()
    truth = true_map(CellDataset(home.datasets / "pair"), "z")
    np.save(folder / "z.npy", truth)
    np.save(folder / "v.npy", np.where(truth[..., :1] == 1, truth, 0))
    return folder


def run(home: Home, *arguments: object):
    return CliRunner(env={"COLUMNS": "200"}).invoke(cryostat, ["--home", str(home.root), *map(str, arguments)])


def scored(home: Home, *options: object):
    return run(home, "segmentation", "--dataset", "pair", "--split", "base", "--predictions", *options)


def cells(output: str, first: str) -> list[str]:
    (line,) = (line for line in output.splitlines() if line.strip().startswith(first + "  "))
    return line.split()


def test_metrics_are_printed_and_written(home, maps, tmp_path):
    result = scored(home, maps, "--name", "my-[model]", "--out", tmp_path / "out" / "scores.json")
    assert result.exit_code == 0, result.output
    assert "my-[model]" in result.output
    assert cells(result.output, "PQ")[1] == "0.833"  # 1 and 1 / 1.5
    assert cells(result.output, "mPQ+")[1] == "0.833"  # 1 and 1 / 1.5
    assert cells(result.output, "detection F1")[2] == "0.857"  # 6 / 7
    assert cells(result.output, "B")[1:4] == ["2", "1", "0.667"]
    assert "2 fields · centres within 3 µm (6 px) · IoU above 0.5" in result.output
    facts = read_json(tmp_path / "out" / "scores.json")
    assert SegmentationScores.from_dict(facts).metrics()["pq"] == pytest.approx(5 / 6)
    assert (facts["about"]["name"], facts["about"]["split"], facts["fields"]) == ("my-[model]", "base", 2)
    assert facts["metrics"]["detection_f1"] == pytest.approx(6 / 7)


def test_the_match_radius_is_in_um(home, maps):
    truth = np.load(maps / "z.npy")
    np.save(maps / "z.npy", np.where(truth[..., :1] == 2, truth, 0)[:, ::-1].copy())  # B where A is, 5 px aside
    precision = [cells(scored(home, maps, "--match-um", radius).output, "B")[7] for radius in ("2.4", "2.5")]
    assert precision == ["0.000", "1.000"]
    assert "2.5 µm (5 px)" in scored(home, maps, "--match-um", "2.5").output


def test_the_default_radius_is_that_of_the_library():
    (option,) = (option for option in command.params if option.name == "match_um")
    assert option.default == MATCH_UM


def test_missing_fields(home, maps):
    (maps / "v.npy").unlink()
    result = scored(home, maps)
    assert isinstance(result.exception, InputError)
    assert "'v'" in str(result.exception)
    result = scored(home, maps, "--missing", "wrong")
    assert result.exit_code == 0
    assert "1 field has no map: all its nuclei count as missed" in result.output


@pytest.mark.parametrize(
    ("options", "kind"),
    [
        (("--missing", "maybe"), SettingError),
        (("--part", "exam"), SettingError),
        (("--match-um", "0"), SettingError),
        (("--predictions", "/nowhere"), InputError),
    ],
)
def test_what_cannot_be_is_our_error(home, maps, tmp_path, options, kind):
    result = scored(home, maps, "--out", tmp_path / "scores.json", *options)
    assert isinstance(result.exception, kind)
    assert not (tmp_path / "scores.json").exists()


def put_run(home: Home, maps: Path, seed: int, *, segments: bool = True) -> Path:
    """A run on given nuclei, with the segmentation scores that the command writes."""
    name = f"pair-base-net-{seed}"
    table = pd.DataFrame({"run_id": name, "fov_id": "z", "tile": -1, "cell_id": [1, 2], "y_true": [1, 2]})
    table["y_pred"] = [1, 2]
    folder = home.runs / name
    write_predictions(folder / "predictions.parquet", table)
    write_json(folder / "scores.json", score(table, {1: "A", 2: "B"}).to_dict())
    if segments:
        assert scored(home, maps, "--out", folder / "segmentation.json").exit_code == 0
    settings = {"dataset": "pair", "split": "base", "encoder": "net", "head": "hovernext", "protocol": "standard"}
    settings |= {"fraction": 1.0, "seed": seed}
    RunRecord(name, "cells", "2026-01-01", {"code": "c1"}, settings).save(folder)
    return folder


def test_runs_with_segmentation_scores_are_listed_and_shown(home, maps, tmp_path):
    put_run(home, maps, 0)
    np.save(maps / "v.npy", np.load(maps / "z.npy"))
    put_run(home, maps, 1)
    put_run(home, maps, 2, segments=False)
    result = run(home, "results", "--segmentation", "--per-class", "--json", tmp_path / "t.json")
    assert result.exit_code == 0, result.output
    assert "pair · base · standard · centres within 3 µm (6 px)" in result.output
    assert "0.917 ± 0.118" in result.output  # PQ 5 / 6 and 1
    assert "PQ by class" in result.output
    assert json.loads((tmp_path / "t.json").read_text())[0]["seeds"] == 2
    assert "centres within" not in run(home, "results").output
    shown = run(home, "results", "show", "pair-base-net-0").output
    assert cells(shown, "mPQ+")[1] == "0.833"
    assert "accuracy 1.000" in shown
    assert "mPQ" not in run(home, "results", "show", "pair-base-net-2").output


def test_no_run_segments(home, maps):
    put_run(home, maps, 0, segments=False)
    result = run(home, "results", "--segmentation")
    assert result.exit_code == 0
    assert "No finished run" in result.output
    assert "outline nuclei by themselves" in result.output
