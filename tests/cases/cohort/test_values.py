from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.cases.cohort import load_cohort
from cryostat.cases.cohort.cells import BOUND, COMMA, PLAIN
from cryostat.cases.cohort.values import EMPTY, NO_UNIT, TOO_LARGE, WORDS, ValueColumn, read_column, value_columns
from cryostat.core.errors import InputError


def read(*cells: str | None, name: str = "c", words: bool = False, unknown: Sequence[str] = ()) -> ValueColumn:
    patients = [f"p{i}" for i in range(len(cells))]
    return read_column(name, cells, patients, "cohort.toml, [modalities.clinical]", words=words, unknown=unknown)


def test_a_column_of_numbers() -> None:
    column = read("65 years", "60", None, "--", ">89 years", "1 year 365 days")
    np.testing.assert_allclose(column.matrix()[:, 0], [65, 60, np.nan, np.nan, 89, 1 + 365 / 365.25], rtol=1e-6)
    assert column.features == ("c",)
    assert column.unit == "years"
    assert column.known.tolist() == [True, True, False, False, True, True]
    assert column.read == {
        "years": 2,
        NO_UNIT: 1,
        BOUND: 1,
        "years and days": 1,
        EMPTY: 1,
        f"{EMPTY} (--)": 1,
    }


def test_words_become_a_column_each() -> None:
    column = read("Male", "Female", "male ", None, "unknown", "Male")
    assert column.levels == ("Female", "Male")
    assert column.features == ("c=Female", "c=Male")
    np.testing.assert_array_equal(column.matrix()[:, 1], [1, 0, 1, np.nan, np.nan, 1])
    np.testing.assert_array_equal(column.matrix()[:, 0], [0, 1, 0, np.nan, np.nan, 0])
    assert column.spellings == {"Male": ("Male", "male")}
    assert column.read == {WORDS: 4, EMPTY: 1, f"{EMPTY} (unknown)": 1}


def test_one_of_the_columns_is_1() -> None:
    column = read("b", "a", "c", None, "b")
    assert column.features == ("c=a", "c=b", "c=c")
    np.testing.assert_array_equal(column.matrix()[[0, 1, 2, 4]], [[0, 1, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]])
    assert np.isnan(column.matrix()[3]).all()


def test_codes_are_words() -> None:
    assert read("06", "12", "06").levels == ("06", "12")
    assert read("1", "2", "1", words=True).levels == ("1", "2")
    assert read("1", "2", "1").levels == ()


def test_a_minus_is_a_finding_beside_a_plus() -> None:
    assert read("+", "-", "+", "-").levels == ("+", "-")
    assert read("yes", "-", "no", "-").levels == ("no", "yes")


def test_decimal_commas_and_points() -> None:
    column = read("65,5", "70", "7.25")
    assert column.matrix()[:, 0].tolist() == [65.5, 70, 7.25]
    assert column.read == {COMMA: 1, PLAIN: 2}


def test_what_is_too_large_is_not_known() -> None:
    column = read("1e39", "1", "2")
    assert column.known.tolist() == [False, True, True]
    assert column.read[TOO_LARGE] == 1


def test_a_column_without_anything() -> None:
    column = read(None, "--", None)
    assert not column.known.any()
    assert column.matrix().shape == (3, 1)


@pytest.mark.parametrize(
    ("cells", "told"),
    [
        (("word " * 30, "Male"), "holds a text of 150 characters of patient p0"),
        (("2021-03-04", "2020-01-01", "65"), "column 'c' holds dates: '2021-03-04' of patient p0"),
        (("20210304", "20200101", "20191231", "20180505", "20170606"), "holds dates: '20210304'"),
        (("65", "old", "70", "young"), r"holds numbers \(2 cells\) and what is none \(2\): 'old' of patient p1"),
        (("65", "12 kg"), r"holds numbers \(1 cells\) and what is none \(1\)"),
        (("A1", "B7", "C3", "D9", "E2"), "has a value of its own for each patient"),
        (tuple(f"w{i}" for i in range(65)) * 2, "has 65 different words"),
        (tuple(map(str, range(10, 0, -1))), "identifies the patients or numbers them: '10' of patient p0"),
        (("1,234", "2,345", "999"), "may be thousands or decimals: '1,234' of patient p0"),
        (("12,5", "1.234"), "may be thousands or decimals: '1.234' of patient p1"),
        (("720 months", "65"), "mixes units: '720 months' of patient p0, '65' of patient p1"),
        (("45 %", "0.45"), "mixes units"),
        (("45 %", "3 years"), "mixes units"),
    ],
)
def test_what_cannot_be_evidence_is_refused(cells: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        read(*cells)
    assert caught.value.remedy


def test_the_remedies_are_taken() -> None:
    assert read("65", "old", "70", unknown=["old"]).known.tolist() == [True, False, True]
    assert read("65", "old", "70", words=True).levels == ("65", "70", "old")
    with pytest.raises(InputError, match="identifies"):
        read("17", "23", "5", name="patient_id")


@given(st.lists(st.sampled_from(["a", "b", "c", "", None, "unknown"]), min_size=1, max_size=12))
def test_a_patient_has_one_word_or_none(cells: list[str | None]) -> None:
    column = read(*cells)
    known = np.array([cell in ("a", "b", "c") for cell in cells])
    assert column.known.tolist() == known.tolist()
    assert sum(column.read.values()) == len(cells)
    if column.levels:
        assert (column.matrix()[known].sum(1) == 1).all()
        assert np.isnan(column.matrix()[~known]).all()


@given(st.lists(st.text(max_size=12), min_size=1, max_size=8))
def test_any_column_is_read_or_refused(cells: list[str]) -> None:
    try:
        column = read(*cells)
    except InputError:
        return
    assert column.matrix().shape == (len(cells), len(column.features))


MANIFEST = """
[cohort]
name = "c"
table = "c.csv"
split = "part"
[modalities.clinical]
values = ["age", "sex"]
[tasks.t]
column = "label"
"""
TABLE = "patient_id,age,sex,label,part\np1,65,f,a,train\np2,,m,b,test\np3,,,a,train\n"


def write(folder: Path, old: str = "", new: str = "") -> Path:
    assert old in MANIFEST
    (folder / "c.csv").write_text(TABLE)
    (folder / "c.toml").write_text(MANIFEST.replace(old, new, 1) if old else MANIFEST)
    return folder / "c.toml"


def test_columns_of_a_cohort(tmp_path: Path) -> None:
    cohort = load_cohort(write(tmp_path))
    spec = cohort.modality("clinical")
    assert spec.values
    assert spec.columns == ("age", "sex")
    assert cohort.files("clinical") == ((),) * 3
    assert cohort.keys("clinical") == (None,) * 3
    assert [column.name for column in value_columns(cohort, spec)] == ["age", "sex"]


def test_what_is_read_how_is_part_of_the_identity(tmp_path: Path) -> None:
    one = load_cohort(write(tmp_path)).identity()
    assert load_cohort(write(tmp_path, '"sex"]', '"sex"]\nwords = ["sex"]')).identity() != one


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"sex"]', '"sex"]\npool = "mean"', "has both values and pool"),
        ('values = ["age", "sex"]', 'column = "age"\nwords = ["age"]', "has both words and column"),
        ('values = ["age", "sex"]', 'words = ["age"]', "must name its columns"),
        ('values = ["age", "sex"]', "values = []", "must name its columns"),
        ('["age", "sex"]', '["age", "age"]', "names a column twice in values"),
        ('"sex"]', '"sex"]\nwords = ["label"]', "'label' in words and not in values"),
        ('["age", "sex"]', '["age", "label"]', "its label, from which the modality 'clinical' is read too.*values"),
        ('["age", "sex"]', '["age", "patient_id"]', "'patient_id' in values, which holds the patients' ids"),
        ('["age", "sex"]', '["age", "part"]', "'part' in values, which divides them into train and test"),
        ('["age", "sex"]', '["age", "seks"]', r"no column 'seks', which \[modalities.clinical\] names"),
        ('values = ["age", "sex"]', 'column = "age"\nincomplete = "drop"', "unknown incomplete 'drop'"),
        ('values = ["age", "sex"]', 'column = "age"\ntable = "c.csv"\nincomplete = "use"', "both table and incomplete"),
    ],
)
def test_a_manifest_that_cannot_be_is_refused(tmp_path: Path, old: str, new: str, told: str) -> None:
    with pytest.raises(InputError, match=told) as caught:
        load_cohort(write(tmp_path, old, new))
    assert caught.value.remedy
