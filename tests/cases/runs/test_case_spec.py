from __future__ import annotations

from pathlib import Path

import pytest

from cryostat.cases.runs.spec import CaseSpec, read_case_study
from cryostat.core.errors import InputError, SettingError

STUDY = """
[study]
name = "glioma"
seeds = [0, 1]
[cases]
cohorts = ["cohort.toml"]
tasks = ["idh", "who_grade"]
methods = ["core-bt", "late"]
modalities = [["mri"], ["mri", "wsi"]]
repeats = 2
[methods.core-bt]
width = 16
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "study.toml"
    path.write_text(text)
    return path


def test_a_study_is_crossed(tmp_path):
    specs = read_case_study(written(tmp_path, STUDY)).specs()
    assert len(specs) == 2 * 2 * 2
    assert {spec.cohort for spec in specs} == {tmp_path / "cohort.toml"}
    assert {spec.modalities for spec in specs} == {("mri",), ("mri", "wsi")}
    assert all(spec.seeds == (0, 1) and spec.rules().splits.repeats == 2 for spec in specs)
    assert all((spec.settings == {"width": 16}) == (spec.method == "core-bt") for spec in specs)


def test_specs_of_one_cohort_and_its_modalities_stand_together(tmp_path):
    kinds = [spec.modalities for spec in read_case_study(written(tmp_path, STUDY)).specs()]
    assert kinds == sorted(kinds, key=len)


@pytest.mark.parametrize(
    ("old", "new", "part"),
    [
        ("methods =", "method =", "cases.method"),
        ("[methods.core-bt]", "[method.core-bt]", "'method'"),
        ("seeds = [0, 1]", "seeds = [0.5]", "seeds"),
        ('tasks = ["idh", "who_grade"]', 'tasks = "idh"', "tasks"),
        ('name = "glioma"\n', "", "name"),
    ],
)
def test_a_faulty_study_names_the_fault(tmp_path, old, new, part):
    with pytest.raises(InputError) as caught:
        read_case_study(written(tmp_path, STUDY.replace(old, new)))
    assert part in str(caught.value)
    assert "study.toml" in str(caught.value)


def test_what_a_run_replaces_of_its_protocol():
    rules = CaseSpec(Path("c.toml"), "idh", "late", protocol="paper", split="kfold", folds=3).rules()
    assert (rules.splits.kind, rules.splits.folds, rules.splits.repeats) == ("kfold", 3, 1)
    assert rules.evaluation.ablations == ("phi_only", "full")
    assert rules.name == "paper"


@pytest.mark.parametrize("wrong", [{"folds": 1}, {"repeats": 0}, {"split": "hospital"}, {"seeds": ()}])
def test_impossible_splits_are_refused(wrong):
    with pytest.raises(SettingError):
        CaseSpec(Path("c.toml"), "idh", "late", **wrong)
