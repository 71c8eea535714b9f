from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.cases.cohort import check_cohort, load_cohort
from cryostat.cases.cohort.availability import look_alike
from cryostat.cases.cohort.report import CohortReport
from cryostat.cases.evidence import Evidence, Problem, Texts, Vectors
from cryostat.core.errors import InputError

Alter = Callable[..., Path]


def checked(manifest: Path) -> CohortReport:
    return check_cohort(load_cohort(manifest))


def said(report: CohortReport) -> list[str]:
    return [f"{finding.severity}: {finding.what} [{finding.where}]" for finding in report.findings]


def test_who_has_what(seven: Path) -> None:
    report = checked(seven / "cohort.toml")
    assert report.patients == 7
    assert [(pattern.modalities, pattern.patients) for pattern in report.patterns] == [
        (("wsi", "report"), 3),
        ((), 1),
        (("report",), 1),
        (("mri", "wsi"), 1),
        (("mri", "wsi", "report"), 1),
    ]
    assert [(m.name, m.patients, m.files) for m in report.modalities] == [
        ("mri", 2, 0),
        ("wsi", 5, 7),
        ("report", 5, 5),
    ]
    assert report.modalities[2].source == "column report, encoder tfidf"
    assert report.problems == ()
    assert report.passed


def test_classes_by_pattern(seven: Path) -> None:
    task = checked(seven / "cohort.toml").task("family")
    assert task.classes == ("astrocytoma", "oligodendroglioma", "glioblastoma")
    assert task.counts == ((1, 1, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1), (0, 0, 1))
    assert task.partial == (1, 0, 0, 0, 0)
    assert [task.of_class(number) for number in range(3)] == [2, 2, 2]
    assert task.reasons == {"'mixed glioma' may be astrocytoma or oligodendroglioma": 1}
    grade = checked(seven / "cohort.toml").task("grade")
    assert grade.unlabelled == (1, 1, 0, 0, 0)
    assert grade.ordinal


def test_sites_parts_and_groups(seven: Path) -> None:
    report = checked(seven / "cohort.toml")
    assert report.sites == {"A": 3, "B": 3, "": 1}
    assert report.parts == {"train": 4, "test": 3}
    assert report.groups == {"sex": {"m": 4, "f": 3}}
    assert "warning: 1 patients have no centre [013]" in said(report)
    assert "warning: 1 patients have nothing that can be used; of them only the prior can be told [013]" in said(report)


def test_files_that_cannot_be_used_are_problems_and_the_modality_missing_without_others(seven: Path) -> None:
    (seven / "w/010.npy").unlink()
    (seven / "w/008_2.npy").write_bytes(b"")
    (seven / "r/012.txt").write_text("\n")
    (seven / "mri.csv").write_text("patient_id,volume\n007,1\n")
    for path in seven.glob("w/009_*"):
        path.unlink()
    report = checked(seven / "cohort.toml")
    assert report.problems == (
        Problem("008", "mri", "mri.csv", "no row has patient_id '008'"),
        Problem("008", "wsi", "w/008_2.npy", "is empty", remain=1, files=2),
        Problem("009", "wsi", "w/009_*.npy", "matches no file"),
        Problem("010", "wsi", "w/010.npy", "does not exist"),
        Problem("012", "report", "r/012.txt", "is blank"),
    )
    assert [m.patients for m in report.modalities] == [1, 3, 4]
    assert not report.passed


def test_what_is_named_or_stored_twice(altered: Alter, seven: Path) -> None:
    altered("cohort.csv", "w/010.npy", "w/011.npy")
    shutil.copy(seven / "r/007.txt", seven / "r/009.txt")
    lines = said(checked(altered("cohort.csv", "008,008", "008,007")))
    assert "warning: wsi w/011.npy is named 2 times [010, 011]" in lines
    assert "warning: mri 007 is named 2 times [007, 008]" in lines
    assert "warning: report: files with the same content [r/007.txt, r/009.txt]" in lines


def test_one_file_in_two_series_of_a_patient(altered: Alter) -> None:
    manifest = altered("cohort.toml", 'column = "wsi"', 'columns = ["wsi", "report"]')
    report = checked(altered("cohort.csv", "w/010.npy,r/010.txt", "w/010.npy,w/010.npy"))
    assert manifest.exists()
    assert "warning: wsi w/010.npy is named 2 times [010 (wsi), 010 (report)]" in said(report)
    assert report.modalities[1].series == {"wsi": 5, "report": 5}


def test_a_task_with_an_unknown_label_is_an_error_and_the_rest_is_counted(altered: Alter) -> None:
    report = checked(altered("cohort.csv", "oligodendroglioma,3", "oligodendrogliom,3"))
    assert [task.name for task in report.tasks] == ["grade"]
    (error,) = [finding for finding in report.findings if finding.severity == "error"]
    assert "'oligodendrogliom'" in error.what
    assert "'oligodendroglioma'" in error.remedy
    assert not report.passed


def test_a_modality_that_nobody_has_is_an_error(altered: Alter) -> None:
    report = checked(altered("cohort.toml", 'key = "patient_id"', 'key = "volume"'))
    assert "error: no patient has it [modality mri]" in said(report)


def test_a_table_without_its_key_is_refused(altered: Alter) -> None:
    with pytest.raises(InputError, match=r"no column 'patient', which is the key in \[modalities.mri\].*'patient_id'"):
        checked(altered("cohort.toml", 'key = "patient_id"', 'key = "patient"'))


def test_evidence_that_was_read_decides(seven: Path) -> None:
    cohort = load_cohort(seven / "cohort.toml")
    absent = Vectors(np.full((7, 2), np.nan, np.float32), np.zeros(7, bool))
    there = Texts(("text",) * 7)
    problem = Problem("007", "mri", "mri.csv", "knows no number")
    evidence = Evidence(cohort.patients, {"mri": absent, "wsi": absent, "report": there}, [problem])
    report = check_cohort(cohort, evidence)
    assert report.read
    assert [(p.modalities, p.patients) for p in report.patterns] == [(("report",), 7)]
    assert report.problems == (problem,)
    with pytest.raises(InputError, match="evidence of 7 patients and report"):
        check_cohort(cohort, Evidence(cohort.patients, {"report": there}))


def test_the_report_is_plain_json(seven: Path) -> None:
    told = json.loads(json.dumps(checked(seven / "cohort.toml").to_dict()))
    assert told["passed"] is True
    assert told["patterns"][0] == {"modalities": ["wsi", "report"], "patients": 3}


def test_ids_that_look_alike() -> None:
    assert look_alike(["P-07", "p7", "P_007", "P-70", "7", "P-1-11", "P-11-1", "–", "+"]) == [("P-07", "p7", "P_007")]


@given(st.lists(st.sampled_from(["", "w/007.npy", "w/none.npy"]), min_size=1, max_size=12))
def test_patterns_add_up_to_all_patients(tmp_path_factory: pytest.TempPathFactory, cells: list[str]) -> None:
    folder = tmp_path_factory.mktemp("cohort")
    (folder / "w").mkdir()
    np.save(folder / "w/007.npy", np.ones((1, 2), np.float32))
    rows = "".join(f"p{number},{cell}\n" for number, cell in enumerate(cells))
    (folder / "c.csv").write_text(f"patient_id,wsi\n{rows}")
    (folder / "c.toml").write_text('[cohort]\nname = "c"\ntable = "c.csv"\n[modalities.wsi]\ncolumn = "wsi"\n')
    report = checked(folder / "c.toml")
    assert sum(pattern.patients for pattern in report.patterns) == len(cells)
    assert report.modalities[0].patients == cells.count("w/007.npy")
    assert len(report.problems) == cells.count("w/none.npy")
