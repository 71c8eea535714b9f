from __future__ import annotations

import dataclasses
import json

import numpy as np
import pandas as pd
import pytest

from cryostat.core.errors import InputError, SettingError, StoreError
from cryostat.core.files import write_json
from cryostat.results.cases.predictions import write_case_predictions
from cryostat.results.cases.scores import score_cases
from cryostat.results.records import SEGMENTATION, RunRecord, find_runs, split_family
from cryostat.results.segmentation import score_segmentation


def record(**changes) -> RunRecord:
    made = RunRecord(
        "r1",
        "cells",
        "2026-01-01T00:00:00+00:00",
        identity={"dataset": "d1"},
        settings={"dataset": "colon", "seed": 0},
        training={"epochs": 3},
        phases={"fit": {"seconds": 1.5}},
        environment={"python": "3.11"},
        failures=[{"fov_id": "x", "reason": "unreadable"}],
    )
    return dataclasses.replace(made, **changes)


def test_a_record_is_read_as_it_was_written(tmp_path):
    record().save(tmp_path / "r1")
    loaded = RunRecord.load(tmp_path / "r1")
    assert loaded == record()
    assert loaded.folder == tmp_path / "r1"
    assert list(json.loads((tmp_path / "r1" / "run.json").read_text())) == [
        "run_id",
        "benchmark",
        "created",
        "identity",
        "settings",
        "training",
        "phases",
        "environment",
        "failures",
    ]


def test_a_record_is_never_overwritten(tmp_path):
    record().save(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    with pytest.raises(StoreError, match="never overwritten"):
        record(run_id="r2").save(tmp_path)
    assert (tmp_path / "run.json").read_bytes() == before


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        ('{"run_id": "r', "not valid JSON"),
        ("[1]", "is no run record"),
        ('{"run_id": "r"}', "look at benchmark, created, identity"),
        ('{"run_id": 3}', "look at run_id"),
    ],
)
def test_damaged_records_are_our_error(tmp_path, content, message):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=message):
        RunRecord.load(tmp_path)


def test_scores_and_predictions_come_from_the_folder(home, put_run):
    folder = put_run(home, [1, 1, 2], [1, 2, 2])
    loaded = RunRecord.load(folder)
    assert loaded.scores().accuracy == pytest.approx(2 / 3)
    assert loaded.predictions()["y_pred"].tolist() == [1, 2, 2]
    with pytest.raises(SettingError, match="not read from a folder"):
        record().scores()


def test_runs_are_found_and_filtered(home, put_run):
    put_run(home, [1], [1], encoder="vit", seed=0)
    put_run(home, [1], [1], encoder="vit", seed=1)
    put_run(home, [1], [1], encoder="rcf", split="5fold-3")
    assert len(find_runs(home).records) == 3
    assert [r.settings["seed"] for r in find_runs(home, encoder="vit").records] == [0, 1]
    assert len(find_runs(home, encoder=("vit", "rcf"), seed=0).records) == 2
    assert len(find_runs(home, split="5fold").records) == 1
    assert len(find_runs(home, split="5fold-3", head=None).records) == 1
    assert find_runs(home, split="5fold-2").records == ()


def test_half_written_and_garbled_folders_are_listed_with_their_reason(home, put_run):
    put_run(home, [1], [1])
    put_run(home, [1], [1], run_id="no-scores")
    (home.runs / "no-scores" / "scores.json").unlink()
    put_run(home, [1], [1], run_id="torn")
    (home.runs / "torn" / "run.json").write_text('{"run')
    (home.runs / "empty").mkdir()
    (home.runs / ".run-draft").mkdir()
    (home.runs / "stray.txt").write_text("x")
    found = find_runs(home)
    assert [r.run_id for r in found.records] == ["colon-base-vit-linear-1.0-0"]
    reasons = {b.folder.name: b.reason for b in found.broken}
    assert set(reasons) == {"empty", "no-scores", "torn"}
    assert reasons["empty"] == "run.json does not exist"
    assert reasons["no-scores"] == "no-scores has no scores.json"
    assert reasons["torn"].startswith("run.json is not valid JSON")


def test_no_runs_folder_is_no_error(home):
    assert find_runs(home).records == ()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("5fold-0", ("5fold", 5, 0)),
        ("10fold-9", ("10fold", 10, 9)),
        ("5fold-5", ("5fold-5", None, None)),
        ("5fold", ("5fold", None, None)),
        ("leave-glas", ("leave-glas", None, None)),
        ("manifold-1", ("manifold-1", None, None)),
        ("base", ("base", None, None)),
    ],
)
def test_families_of_folds(name, expected):
    assert split_family(name) == expected


def test_segmentation_scores_where_a_run_has_them(tmp_path):
    record().save(tmp_path / "r1")
    loaded = RunRecord.load(tmp_path / "r1")
    assert loaded.segmentation() is None
    maps = [np.ones((4, 4, 2), int)]
    scores = score_segmentation(maps, maps, {1: "tumour"}, match_um=3.0, mpp=0.5)
    write_json(tmp_path / "r1" / SEGMENTATION, scores.to_dict())
    assert loaded.segmentation() == scores
    (tmp_path / "r1" / SEGMENTATION).write_text("{}")
    with pytest.raises(InputError, match=SEGMENTATION):
        loaded.segmentation()
    with pytest.raises(SettingError):
        record().segmentation()


def put_case_run(home):
    """A run of cases of two patients, as a runner writes it."""
    table = pd.DataFrame(
        {
            "run_id": "c1",
            "repeat": 0,
            "fold": 0,
            "seed": 0,
            "patient_id": ["p1", "p2"],
            "ablation": "full",
            "offered": "mri",
            "seen": "mri",
            "y_true": ["a", "b"],
            "y_pred": ["a", "a"],
            "p_a": [0.9, 0.6],
            "p_b": [0.1, 0.4],
        }
    )
    folder = home.runs / "c1"
    write_case_predictions(folder / "predictions.parquet", table)
    write_json(folder / "scores.json", score_cases(table, ["a", "b"], ["mri"], draws=10).to_dict())
    record(run_id="c1", benchmark="cases").save(folder)
    return folder


def test_a_record_of_cases_reads_its_own_predictions_and_scores(home):
    loaded = RunRecord.load(put_case_run(home))
    assert loaded.predictions()["y_pred"].tolist() == ["a", "a"]
    assert loaded.scores() == loaded.case_scores()
    assert loaded.case_scores().of("mri").metrics["accuracy"].value == 0.5
    with pytest.raises(SettingError, match="is of the benchmark 'cases', not 'cells'"):
        loaded.cell_scores()


def test_runs_of_both_benchmarks_are_found(home, put_run):
    put_case_run(home)
    put_run(home, [1, 2], [1, 1], run_id="a1")
    assert [r.run_id for r in find_runs(home).records] == ["a1", "c1"]
    assert [r.run_id for r in find_runs(home, benchmark="cases").records] == ["c1"]
    with pytest.raises(SettingError, match="not 'cases'"):
        RunRecord.load(home.runs / "a1").case_scores()


def test_scores_of_another_benchmark_are_our_error(home, put_run):
    folder = put_case_run(home)
    cells = put_run(home, [1, 2], [1, 1])
    (folder / "scores.json").write_bytes((cells / "scores.json").read_bytes())
    with pytest.raises(InputError, match="does not hold scores of cases"):
        RunRecord.load(folder).scores()
