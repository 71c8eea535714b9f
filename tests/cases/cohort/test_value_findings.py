from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cryostat.cases.cohort import check_cohort, load_cohort
from cryostat.cases.cohort.report import CohortReport, ValueCounts
from cryostat.cases.cohort.value_findings import told_by
from cryostat.cases.cohort.values import read_column

LINES = """[cohort]
name = "c"
table = "c.csv"
{cohort}
[modalities.clinical]
values = [{values}]
[tasks.t]
column = "label"
"""


def checked(folder: Path, columns: dict[str, list[str]], *, cohort: str = "") -> CohortReport:
    """A check of a cohort whose first column is the label, whose others are values."""
    names = [name for name in columns if name not in ("label", "part")]
    rows = zip(*columns.values(), strict=True)
    table = "\n".join(f"p{i}," + ",".join(row) for i, row in enumerate(rows))
    (folder / "c.csv").write_text(f"patient_id,{','.join(columns)}\n{table}\n")
    values = ", ".join(f'"{name}"' for name in names)
    (folder / "c.toml").write_text(LINES.format(cohort=cohort, values=values))
    return check_cohort(load_cohort(folder / "c.toml"))


def said(report: CohortReport, severity: str) -> list[str]:
    return [f"{f.what} [{f.where}]" for f in report.findings if f.severity == severity]


def told(cells: list[str], classes: list[int]) -> int | None:
    column = read_column("c", cells, [f"p{i}" for i in range(len(cells))], "here")
    return told_by(column, np.array(classes), np.arange(len(cells)))


def test_a_word_tells_the_class_when_others_have_it() -> None:
    # Five of class 0 with x, four of class 1 with y, and one of class 1 with z, which nobody else has.
    assert told(["x"] * 5 + ["y"] * 4 + ["z"], [0] * 5 + [1] * 5) == 9
    # x is shared by both classes alike: of those with it none is told; y tells its two.
    assert told(["x"] * 8 + ["y"] * 2, [0] * 4 + [1] * 4 + [0] * 2) == 2


def test_a_number_tells_the_class_by_its_neighbours() -> None:
    numbers = [str(i + 0.5) for i in [*range(20), *range(30, 50)]]
    assert told(numbers, [0] * 20 + [1] * 20) == 40
    assert told(numbers, [i % 2 for i in range(40)]) == 0


def test_few_patients_and_one_class_tell_nothing() -> None:
    assert told(["x"] * 4 + ["y"] * 5, [0] * 4 + [1] * 5) is None
    assert told(["x"] * 99 + ["y"], [0] * 99 + [1]) is None


def test_a_column_that_is_the_label_by_another_name_is_warned_of(tmp_path: Path) -> None:
    label = ["a", "b"] * 10
    report = checked(
        tmp_path, {"label": label, "project": [f"P{x}" for x in label], "age": [str(50 + i % 7) for i in range(20)]}
    )
    assert said(report, "warning") == ["clinical project alone tells the class of 20 of 20 patients in t []"]
    assert report.passed


def test_a_column_that_tells_one_class_of_three_is_warned_of(tmp_path: Path) -> None:
    label = ["gbm", "astro", "oligo"] * 8
    project = ["G" if x == "gbm" else "L" for x in label]
    report = checked(tmp_path, {"label": label, "project": project})
    assert said(report, "warning") == [
        "clinical project alone tells of 24 of 24 patients in t whether they are 'gbm' []",
    ]


def test_how_columns_were_read(tmp_path: Path) -> None:
    columns = {
        "label": ["a", "b", "a", "b", "a"],
        "age": ["60", "70,5", "", ">89", "80"],
        "sex": ["f", "m", "m", "M", "?"],
    }
    # A value with a comma stands in quotation marks.
    columns["age"] = [f'"{cell}"' for cell in columns["age"]]
    report = checked(tmp_path, columns)
    age, sex = report.values
    assert age == ValueCounts(
        modality="clinical",
        column="age",
        kind="numbers",
        unit="",
        patients=4,
        read={"number": 3, "decimal comma": 1, "bound, taken as the number itself": 1, "not known": 1},
        levels={},
        spellings={},
        quartiles=(60.0, 67.875, 75.25, 82.25, 89.0),
    )
    assert (sex.kind, sex.patients, sex.levels) == ("words", 4, {"m": 3, "f": 1})
    assert sex.spellings == {"m": ("M", "m")}
    assert said(report, "note") == [
        "clinical age: bounds, as >89, are taken as the number itself in 1 cells []",
        "clinical sex: words of one patient alone, who is tested as one of no word [f]",
        "clinical sex: 'm' is written in 2 ways [M, m]",
    ]
    assert report.modalities[0].patients == 5
    assert report.modalities[0].source == "values of age, sex"


def test_words_that_training_lacks_and_columns_that_are_seldom_known(tmp_path: Path) -> None:
    columns = {
        "label": ["a", "b"] * 3,
        "part": ["train"] * 3 + ["test"] * 3,
        "stage": ["I", "II", "I", "III", "III", "II"],
        "ki67": ["", "", "", "", "0.3", "0.5"],
    }
    report = checked(tmp_path, columns, cohort='split = "part"')
    unseen = "clinical stage: words that nobody in training has, which say nothing in the test [III]"
    assert unseen in said(report, "note")
    assert "clinical: known of less than half of the 6 patients who have any of it, and so left out [ki67 (2)]" in said(
        report, "warning"
    )


@pytest.mark.parametrize("cells", [["", ""], ["--", "unknown"]])
def test_nothing_known_is_an_error_of_the_modality(tmp_path: Path, cells: list[str]) -> None:
    report = checked(tmp_path, {"label": ["a", "b"], "age": cells})
    assert "no patient has it [modality clinical]" in said(report, "error")
    assert not report.passed
