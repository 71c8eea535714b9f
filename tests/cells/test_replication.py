"""Published rows of PathoCellBench beside runs, planned or finished."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pandas as pd
import pytest

from cryostat.cells import replication
from cryostat.cells.replication import Choice, command_of, replicate_cells, study_of
from cryostat.cells.runs.spec import RunSpec, read_study
from cryostat.cells.runs.study import Outcome
from cryostat.cells.studies import find_study
from cryostat.core.errors import SettingError
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.predictions import write_predictions
from cryostat.results.published import published, published_benchmark
from cryostat.results.records import RunRecord
from cryostat.results.scores import score

CLASSES = {1: "Neutrophil", 2: "Epithelial"}
LINEAR = Choice(tables=["lizard"], encoders=["uni2-h"], heads=["linear"])


@pytest.fixture
def home(tmp_path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def as_published() -> RunSpec:
    """The run of UNI2 with a linear head on Lizard, as the shipped study has it."""
    found = replicate_cells(Home.find("/nonexistent"), LINEAR)
    return found[0].rows[0].spec


def put_run(home, spec, *, wrong=0.25, created="2026-01-01T00:00:00+00:00", seed=0, head=None, **settings):
    """Ten fields of 40 neutrophils and 40 epithelial cells; a share of the neutrophils is called epithelial."""
    true = np.tile(np.repeat([1, 2], 40), 10)
    predicted = true.copy()
    for field in range(10):
        share = wrong * (2 if field % 2 else 0)  # clusters differ, their mean is what was asked for
        predicted[field * 80 : field * 80 + int(40 * share)] = 2
    name = f"{spec.encoder}-{created[:10]}-{seed}"
    table = pd.DataFrame(
        {
            "run_id": name,
            "fov_id": np.repeat([f"f{i}" for i in range(10)], 80),
            "tile": 0,
            "cell_id": np.tile(np.arange(80), 10),
            "y_true": true,
            "y_pred": predicted,
        }
    )
    folder = home.runs / name
    write_predictions(folder / "predictions.parquet", table)
    write_json(folder / "scores.json", score(table, CLASSES, class_set="floating").to_dict())
    resolved = {
        **asdict(spec),
        "seed": seed,
        "mode": str(spec.resolved_mode()),
        "mpp": 0,
        "head_settings": {**asdict(spec.resolved_settings()), "precision": "fp32", **(head or {})},
        "classes": {str(k): v for k, v in CLASSES.items()},
        **settings,
    }
    RunRecord(name, "cells", created, {"dataset": "d", "seed": seed}, resolved).save(folder)
    return name


def test_all_published_rows_are_shown_and_wait_on_an_empty_home(home):
    tables = replicate_cells(home)
    rows = [row for table in tables for row in table.rows]
    assert len(rows) == sum(len(table.rows) for table in published("pathocellbench")) == 189
    assert all(row.ours is None and row.obstacles and row.within is None for row in rows)


def test_reasons_name_data_and_weights(home):
    (table,) = replicate_cells(home, Choice(tables=["pathocell-stage"], encoders=["uni2-h"]))
    problems = [obstacle.problem for obstacle in table.rows[0].obstacles]
    assert any("no dataset 'pathocell'" in problem for problem in problems)
    assert "the weights of uni2-h are not on this machine and are gated" in problems
    assert table.rows[0].spec.split == "tumour-stage"


def test_the_spec_of_a_row_is_that_of_the_shipped_study(as_published):
    study = read_study(find_study("pathocellbench-lizard"))
    expected = next(
        spec for spec in study.specs_with(lambda _, s: [s]) if (spec.encoder, spec.head) == ("uni2-h", "linear")
    )
    assert as_published == expected
    assert as_published.protocol == "paper"


def test_each_table_has_its_study():
    for table in published("pathocellbench"):
        study = study_of(table)
        assert (list(study.datasets), list(study.splits)) == ([table.dataset], [table.split])


def test_rows_of_splits_by_patients_say_what_the_import_must_be_told(home):
    (table,) = replicate_cells(home, Choice(tables=["pathocell-msi"], encoders=["uni"]))
    told = [obstacle for obstacle in table.rows[0].obstacles if "--clinical" in obstacle.remedy]
    assert [obstacle.problem for obstacle in told] == [
        "pathocell: split 'mss-to-msi' follows the patients' msi, which the release does not tell"
    ]
    assert "patient_id and msi (MSS, MSI)" in told[0].remedy
    (table,) = replicate_cells(home, Choice(tables=["pathocell-clr"], encoders=["uni"]))
    assert not [obstacle for obstacle in table.rows[0].obstacles if "--clinical" in obstacle.remedy]


def test_shares_of_training_fields_are_those_of_the_row(home):
    (table,) = replicate_cells(home, Choice(tables=["lizard-efficiency"], encoders=["uni2-h"]))
    assert [row.spec.fraction for row in table.rows] == [0.05, 0.05, 0.1, 0.2, 0.5, 1.0]


def test_a_finished_run_is_compared(home, as_published):
    put_run(home, as_published)
    (table,) = replicate_cells(home, LINEAR)
    (row,) = table.rows
    # Neutrophils: 300 of 400 found, F1 600/700; epithelial: 400 found, 100 false, F1 800/900.
    assert row.ours.macro_f1 == pytest.approx((600 / 700 + 800 / 900) / 2)
    assert row.ours.per_class["Neutrophil"] == pytest.approx(600 / 700)
    assert row.ours.accuracy == pytest.approx(700 / 800)
    assert row.ours.low < row.ours.macro_f1 < row.ours.high
    assert row.ours.departures == ()
    assert row.published.metrics["macro_f1"] == 0.6844
    assert row.within is False
    assert table.same_test(row) is False


def test_within_is_about_the_published_figure(home, as_published):
    put_run(home, as_published, wrong=0.43)
    (table,) = replicate_cells(home, LINEAR)
    ours = table.rows[0].ours
    assert table.rows[0].within == (ours.low <= 0.6844 <= ours.high)
    assert table.rows[0].within is True


def test_the_test_part_is_compared_by_its_counts(home, as_published):
    put_run(home, as_published)
    (table,) = replicate_cells(home, LINEAR)
    alike = replication.replace(table.published, supports={"Neutrophil": 400, "Epithelial": 400})
    assert replication.ReplicatedTable(alike, table.rows).same_test(table.rows[0]) is True


def test_seeds_are_averaged(home, as_published):
    put_run(home, as_published, wrong=0.25, seed=0)
    put_run(home, as_published, wrong=0.25, seed=1)
    ours = replicate_cells(home, LINEAR)[0].rows[0].ours
    assert ours.seeds == (0, 1)
    assert ours.macro_f1 == pytest.approx((600 / 700 + 800 / 900) / 2)
    assert ours.macro_f1_sd == pytest.approx(0)


def test_a_run_with_other_settings_says_in_what_it_departs(home, as_published):
    put_run(home, as_published, head={"steps": 100})
    ours = replicate_cells(home, LINEAR)[0].rows[0].ours
    assert ours.departures == ("head.steps: 100 / 30000",)


def test_a_run_as_published_goes_before_a_newer_one_that_departs(home, as_published):
    right = put_run(home, as_published)
    put_run(home, as_published, created="2026-02-02T00:00:00+00:00", head={"steps": 100})
    ours = replicate_cells(home, LINEAR)[0].rows[0].ours
    assert (ours.runs, ours.departures) == ((right,), ())


def test_runs_of_other_rules_weights_or_shares_are_not_compared(home, as_published):
    put_run(home, as_published, created="2026-01-01T00:00:00+00:00", protocol="standard")
    put_run(home, as_published, created="2026-01-02T00:00:00+00:00", encoder="uni2-h@random0")
    put_run(home, as_published, created="2026-01-03T00:00:00+00:00", fraction=0.5)
    assert replicate_cells(home, LINEAR)[0].rows[0].ours is None


def test_what_can_run_is_run_once(home, as_published, monkeypatch):
    asked = []

    def run_specs(specs, at, **_):
        asked.extend(specs)
        for spec in specs:
            put_run(at, spec, seed=spec.seed)
        return [Outcome(spec, object()) for spec in specs]

    monkeypatch.setattr(replication, "run_specs", run_specs)
    monkeypatch.setattr(replication._Look, "obstacles", lambda self, spec: ())
    (table,) = replicate_cells(home, LINEAR, run=True)
    assert asked == [as_published]
    assert table.rows[0].ours is not None
    replicate_cells(home, LINEAR, run=True)
    assert asked == [as_published]


def test_rows_that_share_a_run_share_it(home, monkeypatch):
    """MUSK with UNetR stands twice in the table of Lizard, and once more among the shares."""
    asked = []
    monkeypatch.setattr(replication, "run_specs", lambda specs, at, **_: asked.extend(specs) or [])
    monkeypatch.setattr(replication._Look, "obstacles", lambda self, spec: ())
    tables = ["lizard", "lizard-efficiency"]
    replicate_cells(home, Choice(tables, encoders=["musk"], heads=["unetr"]), run=True)
    assert sorted(spec.fraction for spec in asked) == [0.05, 0.1, 0.2, 0.5, 1.0]


def test_a_failed_run_becomes_a_reason(home, monkeypatch):
    monkeypatch.setattr(replication._Look, "obstacles", lambda self, spec: ())
    monkeypatch.setattr(replication, "run_specs", lambda specs, at, **_: [Outcome(s, None, "no memory") for s in specs])
    (table,) = replicate_cells(home, LINEAR, run=True)
    assert [obstacle.problem for obstacle in table.rows[0].obstacles] == ["no memory"]


def test_rows_that_wait_are_not_run(home, monkeypatch):
    asked = []
    monkeypatch.setattr(replication, "run_specs", lambda specs, at, **_: asked.extend(specs) or [])
    replicate_cells(home, LINEAR, run=True)
    assert asked == []


def test_commands_name_table_encoder_and_head():
    table = published_benchmark("pathocellbench").table("lizard")
    hovernext, linear = table.rows[0], table.rows[1]
    assert command_of(table, linear).endswith("--table lizard --encoder musk --head linear --run")
    assert command_of(table, hovernext).endswith("--table lizard --head hovernext --run")


def test_what_cannot_be_asked_is_refused(home):
    with pytest.raises(SettingError, match="no table 'imagenet'"):
        replicate_cells(home, Choice(tables=["imagenet"]))
    with pytest.raises(SettingError, match="no published row fits"):
        replicate_cells(home, Choice(heads=["dpt"]))
    with pytest.raises(SettingError, match="random weights of uni2-h replicate nothing"):
        replicate_cells(home, Choice(encoders=["uni2-h"], encoder_options={"uni2-h": {"weights": "random"}}))
