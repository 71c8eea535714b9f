from __future__ import annotations

import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.core.errors import InputError, SettingError
from cryostat.export.trackers.mirror import flattened, mirror, safe_names
from cryostat.results.records import RunRecord


def test_a_run_of_cells_shows_settings_scores_and_curves(record: RunRecord) -> None:
    shown, scores = mirror(record), record.cell_scores()
    assert shown.metrics["macro_f1"] == scores.macro_f1
    assert shown.metrics["accuracy"] == scores.accuracy
    first = scores.classes[0]
    assert shown.metrics[f"class/{first.name}/support"] == first.support
    assert shown.settings["encoder"] == "stain-filters"
    assert shown.settings["head_settings.steps"] == 100
    assert shown.settings["layers"] == '["final"]'
    assert [curve.step for curve in shown.curves] == [look["step"] for look in record.training["looks"]]
    assert shown.curves[0].values["training/loss"] == record.training["looks"][0]["loss"]
    assert record.folder
    assert shown.predictions == record.folder / "predictions.parquet"
    assert shown.tags["cryostat.record"] == str(record.folder / "run.json")


def test_a_run_of_cases_shows_the_lattice(case_run: RunRecord) -> None:
    metrics = mirror(case_run).metrics
    assert metrics["balanced_accuracy"] == 1.0
    assert metrics["lattice/mri wsi/all/balanced_accuracy"] == 1.0
    assert metrics["lattice/mri/all/balanced_accuracy"] == 0.75
    assert metrics["balanced_accuracy_low"] <= 1.0
    assert mirror(case_run).curves == []


def test_settings_are_flat() -> None:
    nested = {"a": {"b": 1, "c": {"d": None}}, "e": [1, "x"], "f": True}
    assert dict(flattened(nested)) == {"a.b": 1, "a.c.d": "none", "e": '[1, "x"]', "f": True}


@given(st.lists(st.text(max_size=6)))
def test_names_become_safe_and_stay_apart(names: list[str]) -> None:
    safe = safe_names(names)
    assert set(safe) == set(names)
    assert len(set(safe.values())) == len(safe)
    assert all(re.fullmatch(r"[\w\-. /:]*", name) for name in safe.values())


def test_names_that_would_become_one_are_numbered() -> None:
    assert safe_names(["a(b", "a)b", "mri+wsi"]) == {"a(b": "a_b", "a)b": "a_b-2", "mri+wsi": "mri wsi"}


def test_damaged_records_are_refused(record: RunRecord) -> None:
    with pytest.raises(InputError, match="is no date"):
        mirror(dataclasses.replace(record, created="yesterday"))
    with pytest.raises(SettingError, match="was not read from a folder"):
        mirror(dataclasses.replace(record, folder=None))
