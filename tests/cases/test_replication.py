"""The tables of CoRe-BT on a simulated cohort."""

from __future__ import annotations

import tomllib

import pytest
import tomli_w

from cryostat.cases.replication import (
    CONFIGURATIONS,
    METRICS,
    CaseChoice,
    Figure,
    replicate_cases,
)
from cryostat.cases.simulated import simulate
from cryostat.core.errors import SettingError
from cryostat.core.home import Home
from cryostat.results.published import published
from cryostat.results.records import RunRecord


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """100 patients with CoRe-BT's shares; of its tasks one that the paper has."""
    folder = tmp_path_factory.mktemp("cohort")
    simulate(folder, patients=100, draws=1000)
    return with_changes(folder, tasks=["lgg_hgg"])


def with_changes(folder, *, tasks, name="one-task.toml", rename=None):
    facts = tomllib.loads((folder / "cohort.toml").read_text())
    facts["tasks"] = {task: facts["tasks"][task] for task in tasks}
    facts["modalities"] = {(rename or {}).get(key, key): value for key, value in facts["modalities"].items()}
    path = folder / name
    path.write_text(tomli_w.dumps(facts))
    return path


@pytest.fixture(scope="module")
def found(cohort, tmp_path_factory):
    home = Home(tmp_path_factory.mktemp("home"))
    return home, {task.published.name: task for task in replicate_cases(cohort, home)}


def test_every_printed_row_has_a_way_to_be_repeated():
    rows = {row.config for table in published("core-bt") if table.task for row in table.rows}
    assert rows == set(CONFIGURATIONS)


def test_rows_carry_the_paper_and_ours(found):
    task = found[1]["lgg-hgg"]
    assert [row.published.config for row in task.rows] == list(CONFIGURATIONS)
    assert [row.figures["balanced_accuracy"].paper for row in task.rows] == [0.812, 0.812, 0.792, 0.792, 0.833, 0.812]
    for row in task.rows:
        for name in METRICS:
            figure = row.figures[name]
            assert figure.low <= figure.value <= figure.high
            assert figure.within == (figure.low <= figure.paper <= figure.high)


def test_the_test_patients_have_everything(found):
    """30 % of the complete patients with a grade, rounded up: CoRe-BT's 29 of 95."""
    task = found[1]["lgg-hgg"]
    assert task.classes == ("low-grade", "high-grade")
    assert 8 <= sum(task.supports) <= 10  # 31 of 100 have MRI and slides, a few of them no grade


def test_a_model_that_is_shown_nothing_says_the_prior(found):
    rows = {row.published.config: row for row in found[1]["lgg-hgg"].rows}
    assert rows["Fusion (Both ablated)"].withheld == pytest.approx(0.5)
    assert rows["Fusion"].withheld is None
    assert rows["MRI only"].withheld is None


def test_runs_are_of_the_paper_with_its_two_modalities(found):
    home, tasks = found
    records = [RunRecord.load(home.runs / run) for run in tasks["lgg-hgg"].runs]
    assert [record.settings["protocol"] for record in records] == ["paper", "paper"]
    assert all(record.settings["modalities"] == ["mri", "wsi"] for record in records)
    experts, fusion = (record.settings["method_settings"] for record in records)
    assert experts["steps"] == 0 < fusion["steps"]
    assert fusion["space"] == "logits"


def test_tasks_that_the_cohort_lacks_say_so(found):
    task = found[1]["who-grade"]
    assert task.runs == ()
    assert "no task that is called like who-grade" in task.reason
    assert "--as who-grade=NAME" in task.remedy
    assert task.rows[0].figures["macro_f1"] == Figure(0.579)
    assert task.rows[0].figures["macro_f1"].within is None


def test_quirks_are_of_protocol_and_method(found):
    told = found[1]["lgg-hgg"].quirks
    assert "splits.kind: 'complete-test' / 'kfold'" in told
    assert "core-bt.space: 'logits' / 'log_probs'" in told


def test_modalities_of_other_names_are_asked_for(cohort, tmp_path):
    renamed = with_changes(cohort.parent, tasks=["lgg_hgg"], name="renamed.toml", rename={"wsi": "glass"})
    with pytest.raises(SettingError, match="nothing that is called like pathology") as raised:
        replicate_cases(renamed, Home(tmp_path))
    assert "--as pathology=NAME" in raised.value.remedy
    with pytest.raises(SettingError, match="pathology=wsi names what the cohort does not have"):
        replicate_cases(renamed, Home(tmp_path), CaseChoice({"pathology": "wsi"}))
    with pytest.raises(SettingError, match="no modality or table 'slides'"):
        CaseChoice({"slides": "wsi"})
