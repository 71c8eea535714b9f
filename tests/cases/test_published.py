"""Published rows among those of a listing of cases."""

from __future__ import annotations

import json

import pandas as pd
import pytest

from cryostat.cases.published import footnote, published_cases, with_published
from cryostat.results.cases.listing import COLUMNS, write_listing


def listing(cohort: str = "CoRe-BT", task: str = "who_grade", modalities: str = "mri+wsi+report") -> pd.DataFrame:
    facts = {"cohort": cohort, "task": task, "modalities": modalities, "ablation": "full", "offered": "mri", "n": 9}
    return pd.DataFrame([{**dict.fromkeys(COLUMNS), **facts, "method": "late", "value": 0.6, "run_id": "r"}])


def test_the_rows_of_a_task_stand_where_ours_would() -> None:
    rows = published_cases(listing(), "balanced_accuracy")
    full = rows[rows["ablation"] == "full"].set_index(["method", "offered"])["value"].to_dict()
    assert full == {("single experts", "mri"): 0.567, ("single experts", "wsi"): 0.6, ("core-bt", "mri+wsi"): 0.6}
    ablated = rows[rows["ablation"] == "phi_only"].set_index("offered")["value"].to_dict()
    assert ablated == {"mri+wsi": 0.6, "wsi": 0.6, "mri": 0.667, "nothing": 0.6}
    assert set(rows["n"]) == {28}
    assert set(rows["kind"]) == {"published"}
    assert rows["low"].isna().all()


def test_names_of_tasks_and_modalities_are_the_cohorts() -> None:
    rows = published_cases(listing(task="LGG-HGG", modalities="pathology+mri"), "macro_f1")
    assert "pathology+mri" in set(rows["offered"])
    assert rows.set_index("printed").loc["MRI only", "value"] == 0.757


@pytest.mark.parametrize(
    "other", [{"cohort": "tcga-glioma"}, {"cohort": "simulated"}, {"task": "idh"}, {"modalities": "mri+report"}]
)
def test_other_cohorts_tasks_and_modalities_have_none(other: dict[str, str]) -> None:
    assert published_cases(listing(**other), "balanced_accuracy").empty


def test_metrics_that_the_paper_lacks_have_none() -> None:
    assert published_cases(listing(), "auroc").empty


def test_the_footnote_names_the_table_and_the_patients() -> None:
    text = footnote(published_cases(listing(), "balanced_accuracy"))
    assert "CoRe-BT, Table 3" in text
    assert "28" in text
    assert "no interval" in text


def test_files_have_each_once_and_flagged(tmp_path) -> None:
    ours = listing()
    table = with_published(ours, published_cases(ours, "balanced_accuracy"))
    write_listing(tmp_path / "t.json", table)
    run, *published = json.loads((tmp_path / "t.json").read_text())
    assert (run["kind"], run["n"], run["printed"]) == ("run", 9, "")
    assert sorted(row["printed"] for row in published) == [
        "Fusion",
        "Fusion (Both ablated)",
        "Fusion (MRI ablated)",
        "Fusion (Pathology ablated)",
        "MRI only",
        "Pathology only",
    ]
    assert {row["low"] for row in published} == {None}
