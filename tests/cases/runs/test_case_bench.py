"""Runs of cases from a cohort to a record, on a simulated cohort whose best figures are known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cryostat.cases.runs.bench import CaseBench
from cryostat.cases.runs.spec import CaseSpec
from cryostat.cases.runs.study import run_case_specs
from cryostat.cases.simulated import simulate
from cryostat.core.errors import SettingError
from cryostat.core.home import Home
from cryostat.results.records import RunRecord


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("cohort") / "it", patients=120, draws=2000).manifest


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> CaseBench:
    return CaseBench(Home(tmp_path_factory.mktemp("home")))


def spec(manifest: Path, method: str = "nearest-mean", **other: object) -> CaseSpec:
    return CaseSpec(manifest, "lgg_hgg", method, **{"repeats": 1, "folds": 3, **other})


@pytest.fixture(scope="module")
def record(bench: CaseBench, manifest: Path) -> RunRecord:
    return bench.run(spec(manifest))


def test_a_patient_is_predicted_once_for_every_subset(record: RunRecord) -> None:
    frame = record.predictions()
    scores = record.case_scores()
    assert len(frame) == scores.patients * 8
    assert not frame.duplicated(["patient_id", "offered"]).any()
    assert set(frame["run_id"]) == {record.run_id}


def test_what_a_patient_saw_is_what_was_offered_and_there(record: RunRecord) -> None:
    frame = record.predictions().set_index(["patient_id", "offered"])["seen"]
    everything = frame.xs("mri+wsi+report", level="offered")
    alone = frame.xs("wsi", level="offered")
    assert ((alone == "wsi") == everything.str.contains("wsi")).all()


def test_predictions_carry_site_and_groups(record: RunRecord) -> None:
    frame = record.predictions()
    assert frame["site"].notna().all()
    assert [name for name in frame.columns if name.startswith("group_")]


def test_the_record_says_how_and_under_which_rules(record: RunRecord) -> None:
    settings = record.settings
    assert (settings["method"], settings["task"], settings["protocol"]) == ("nearest-mean", "lgg_hgg", "standard")
    assert settings["modalities"] == ["mri", "wsi", "report"]
    assert len(record.training["splits"]) == 3
    assert {"evidence", "fit", "score"} <= set(record.phases)


def test_the_same_run_is_found_again_and_another_setting_is_another_run(
    bench: CaseBench, manifest: Path, record: RunRecord
) -> None:
    assert bench.run(spec(manifest)).created == record.created
    others = [
        bench.prepare(spec(manifest, **change)).run_id
        for change in (
            {"settings": {"extra": 3.0}},
            {"seeds": (1,)},
            {"folds": 4},
            {"modalities": ("mri", "wsi")},
            {"shuffled": True},
            {"protocol": "paper", "split": "kfold"},
        )
    ]
    assert len({record.run_id, *others}) == 7


def test_the_best_possible_is_not_exceeded_beyond_luck(bench: CaseBench, manifest: Path, record: RunRecord) -> None:
    best = bench.run(spec(manifest, "best-possible"))
    ours, bound = (run.lattice("log_loss").set_index("offered")["value"] for run in (record, best))
    assert (bound[["mri", "mri+wsi+report"]] < ours[["mri", "mri+wsi+report"]] + 0.02).all()


def test_shuffled_labels_end_near_chance(bench: CaseBench, manifest: Path) -> None:
    found = bench.run(spec(manifest, shuffled=True)).lattice(population="all").set_index("offered")
    assert 0.3 < found.loc["mri+wsi+report", "value"] < 0.7
    assert found.loc["nothing", "value"] == 0.5


def test_the_best_possible_is_known_of_simulated_cohorts_alone(manifest: Path, tmp_path: Path) -> None:
    text = manifest.read_text()
    other = tmp_path / "cohort.toml"
    other.write_text(text.replace("[cohort]", f'[cohort]\nroot = "{manifest.parent}"', 1))
    outcome = run_case_specs([spec(other, "best-possible")], Home(tmp_path / "home"))[0]
    assert outcome.record is None
    assert "bayes.json" in outcome.reason


def test_an_unknown_task_or_modality_lists_those_there_are(bench: CaseBench, manifest: Path) -> None:
    for wrong, part in (
        (replace(spec(manifest), task="grade"), "who_grade"),
        (spec(manifest, modalities=("ct",)), "mri"),
    ):
        with pytest.raises(SettingError) as caught:
            bench.prepare(wrong)
        assert part in str(caught.value)
