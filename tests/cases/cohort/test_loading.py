from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest

from cryostat.cases.cohort import load_cohort
from cryostat.core.errors import InputError, SettingError

Alter = Callable[..., Path]


def test_the_table_is_text_and_unknown_values_are_none(seven: Path) -> None:
    cohort = load_cohort(seven / "cohort.toml")
    assert cohort.name == "seven"
    assert cohort.patients == ("007", "008", "009", "010", "011", "012", "013")
    assert cohort.table["mri"].tolist() == ["007", "008", None, None, None, None, None]
    assert cohort.table["grade"].tolist() == ["4", "4", "2", "3", None, "2", None]
    assert (cohort.site, cohort.split, cohort.groups) == ("centre", "part", ("sex",))
    assert list(cohort.modalities) == ["mri", "wsi", "report"]
    assert cohort.task("grade").ordinal
    assert cohort.task("family").classes == ("astrocytoma", "oligodendroglioma", "glioblastoma")


def test_files_are_found_under_the_root(seven: Path) -> None:
    cohort = load_cohort(seven / "cohort.toml")
    names = [[path.relative_to(seven).as_posix() for path in paths] for paths in cohort.files("wsi")]
    assert names[:3] == [["w/007.npy"], ["w/008_1.npy", "w/008_2.npy"], ["w/009_2.npy", "w/009_10.npy"]]
    assert names[5:] == [[], []]
    assert cohort.files("mri") == ((),) * 7
    assert cohort.keys("mri") == ("007", "008", None, None, None, None, None)
    assert cohort.keys("wsi") == (None,) * 7


def test_a_key_that_is_the_patient_needs_no_row_for_everybody(altered: Alter) -> None:
    cohort = load_cohort(altered("cohort.toml", 'column = "mri"', 'column = "patient_id"'))
    assert cohort.keys("mri") == ("007", "008", None, None, None, None, None)


def test_several_columns_are_series_by_name(altered: Alter, seven: Path) -> None:
    manifest = altered("cohort.toml", 'column = "report"', 'columns = ["wsi", "report"]')
    series = load_cohort(manifest).series("report")
    assert {column: len(files) for column, files in series[1].items()} == {"wsi": 2}
    assert series[0] == {"wsi": (seven / "w/007.npy",), "report": (seven / "r/007.txt",)}
    assert load_cohort(manifest).files("report")[0] == (seven / "w/007.npy", seven / "r/007.txt")


def test_the_root_may_be_elsewhere(seven: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("study") / "own.toml"
    text = (seven / "cohort.toml").read_text().replace("[cohort]", f'[cohort]\nroot = "{seven}"')
    elsewhere.write_text(text)
    cohort = load_cohort(elsewhere)
    assert cohort.files("report")[0] == (seven / "r/007.txt",)
    assert cohort.identity() == load_cohort(seven / "cohort.toml").identity()


def test_identity_is_that_of_what_is_named(altered: Alter, seven: Path) -> None:
    before = load_cohort(seven / "cohort.toml")
    moved = shutil.copytree(seven, seven.with_name("moved"))
    assert load_cohort(moved / "cohort.toml").identity() == before.identity()
    table = pd.read_csv(moved / "cohort.csv", dtype=str).assign(remark="no part of it")
    table.to_csv(moved / "cohort.csv", index=False)
    assert load_cohort(moved / "cohort.toml").identity() == before.identity()
    after = load_cohort(altered("cohort.csv", "astrocytoma,2,A", "astrocytoma,3,A"))
    assert after.identity() != before.identity()
    assert after.identity(tasks=["family"]) == before.identity(tasks=["family"])
    assert after.identity(tasks=[], modalities=["wsi"]) == before.identity(tasks=[], modalities=["wsi"])


@pytest.mark.parametrize(
    ("file", "old", "new", "told"),
    [
        ("cohort.toml", 'site = "centre"', 'sites = "centre"', "unknown key 'sites'.*Did you mean 'site'"),
        ("cohort.toml", 'column = "wsi"', 'colum = "wsi"', r"\[modalities.wsi\].*unknown key 'colum'.*'column'"),
        ("cohort.toml", "[cohort]", "[kohort]", "unknown key 'kohort'.*'cohort'"),
        ("cohort.toml", 'column = "wsi"', 'column = "wsi"\npool = "maen"', "unknown pool 'maen'.*'mean'"),
        ("cohort.toml", 'column = "wsi"', "", "wsi.*must name its column"),
        ("cohort.toml", 'column = "wsi"', 'column = "slide"', "no column 'slide', which .*modalities.wsi"),
        ("cohort.toml", 'site = "centre"', 'site = "center"', "no column 'center'.*Did you mean 'centre'"),
        ("cohort.toml", 'groups = ["sex"]', 'groups = "sex"', r'groups = \'sex\'.*\["a", "b"\]'),
        ("cohort.toml", 'groups = ["sex"]', "groups = [1]", "has 1 in groups"),
        ("cohort.toml", "patients = 7", "patients = 8", "has 7 patients where the manifest declares 8"),
        ("cohort.toml", "patients = 7", "patients = true", "patients = True.*whole number"),
        ("cohort.toml", "patients = 7", "patients = 0", "patients = 0"),
        ("cohort.toml", 'name = "seven"', 'name = "se/ven"', "has the name 'se/ven'"),
        ("cohort.toml", 'name = "seven"', "", "lacks the key 'name'"),
        ("cohort.toml", 'name = "seven"', 'name = ""', "empty name"),
        ("cohort.toml", "[modalities.wsi]", '[modalities."w s i"]', "has the name 'w s i'"),
        ("cohort.toml", "[modalities.wsi]", "[modalities.all]", "cannot be called 'all'"),
        ("cohort.toml", 'key = "patient_id"', 'encoder = "x"', "both table and encoder"),
        ("cohort.toml", 'table = "mri.csv"', "", "key but no table"),
        ("cohort.toml", 'encoder = "tfidf"', 'weights = "x"', "weights but no encoder"),
        ("cohort.toml", 'encoder = "tfidf"', "options = { a = nan }", r"modalities.report\].*option a = nan"),
        ("cohort.toml", 'encoder = "tfidf"', "options = { a = [2020-01-01] }", "option a = 2020-01-01"),
        ("cohort.toml", 'table = "mri.csv"', 'table = "mir.csv"', "mir.csv: does not exist"),
        ("cohort.toml", 'table = "cohort.csv"', 'table = "cohort.xls"', "cohort.xls: does not exist"),
        ("cohort.toml", "[cohort]\n", '[cohort]\nroot = "nowhere"\n', "root .*nowhere', which is no folder"),
        ("cohort.toml", 'column = "grade"', 'column = "grad"', "'grad', which cohort.csv.*Did you mean 'grade'"),
        ("cohort.toml", 'column = "grade"', 'column = "report"', "its label, from which the modality 'report'"),
        ("cohort.toml", "ordinal = true", "ordinl = true", "ordinl"),
        ("cohort.toml", "[tasks.grade]", "[tasks]\ngrade = 3\n[tasks.other]", "tasks.grade.*is 3"),
        ("cohort.toml", "[cohort]", "[cohort", "not valid TOML"),
        ("cohort.csv", "008,008", "007,008", "'007' twice, in line 2 and line 3.*mri: '007' / '008'"),
        ("cohort.csv", "008,008", ",008", "no patient_id in line 3"),
        ("cohort.csv", "w/010.npy", "../w/010.npy", "line 5, column wsi.*lies outside the cohort's root"),
        ("cohort.csv", "w/010.npy", "/etc/passwd", "'/etc/passwd', which lies outside"),
        ("cohort.csv", "w/010.npy", "../*.npy", "outside the cohort's root"),
        ("cohort.csv", "r/010.txt", '"Brain:\nglioma"', "line 5, column report: holds a text of 13 characters"),
        ("cohort.csv", "r/010.txt", "glioma " * 200, "holds a text of 1399 characters"),
        ("cohort.csv", "family,grade", "family,family", "two columns 'family'"),
        ("cohort.csv", "013,,,,oligo", "013,,,oligo", "8 cells in line 8, its header 9"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(altered: Alter, file: str, old: str, new: str, told: str) -> None:
    manifest = altered(file, old, new)
    with pytest.raises(InputError, match=told) as caught:
        load_cohort(manifest)
    assert caught.value.remedy


def test_rows_repeated_word_by_word_count_once_and_are_noted(altered: Alter) -> None:
    row = "012,,,r/012.txt,astrocytoma,2,B,train,m\n"
    cohort = load_cohort(altered("cohort.csv", row, row + row))
    assert len(cohort.patients) == 7
    assert cohort.notes == ("cohort.csv repeats rows word by word, which count once: line 8",)


def test_nine_modalities_are_too_many(seven: Path) -> None:
    more = "".join(f'[modalities.m{i}]\ncolumn = "wsi"\n' for i in range(6))
    (seven / "cohort.toml").write_text((seven / "cohort.toml").read_text() + more)
    with pytest.raises(InputError, match="has 9 modalities"):
        load_cohort(seven / "cohort.toml")


def test_the_table_in_place_of_the_manifest(seven: Path) -> None:
    with pytest.raises(InputError, match=r"is not a \.toml manifest"):
        load_cohort(seven / "cohort.csv")


def test_a_text_in_place_of_a_path_is_not_repeated(altered: Alter) -> None:
    with pytest.raises(InputError) as caught:
        load_cohort(altered("cohort.csv", "r/010.txt", '"Brain:\nglioma"'))
    assert "glioma" not in str(caught.value)


def test_names_that_no_disk_can_have_are_refused(altered: Alter) -> None:
    with pytest.raises(InputError, match=r"cannot be opened .*File name too long"):
        load_cohort(altered("cohort.toml", "mri.csv", f"{'x' * 300}.csv"))
    with pytest.raises(InputError, match=r"~nobody-of-this-name/c\.csv: cannot be found"):
        load_cohort(altered("cohort.toml", 'table = "cohort.csv"', 'table = "~nobody-of-this-name/c.csv"'))


def test_a_file_that_may_not_be_read_is_told(seven: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", denied)
    with pytest.raises(InputError, match=r"cohort\.csv: cannot be opened \(Permission denied\)"):
        load_cohort(seven / "cohort.toml")


def test_a_pattern_under_a_root_with_brackets(seven: Path) -> None:
    moved = seven.rename(seven.with_name("study [2021]"))
    files = load_cohort(moved / "cohort.toml").files("wsi")[2]
    assert files == (moved / "w/009_2.npy", moved / "w/009_10.npy")
    (moved / "cohort.csv").write_text((moved / "cohort.csv").read_text().replace("w/009_*", f"{moved}/w/009_*"))
    assert load_cohort(moved / "cohort.toml").files("wsi")[2] == files


def test_options_of_a_table_are_refused(altered: Alter) -> None:
    with pytest.raises(InputError, match="both table and options"):
        load_cohort(altered("cohort.toml", 'key = "patient_id"', "options = { a = 1 }"))


def test_a_root_above_the_manifest(seven: Path) -> None:
    (seven / "manifests").mkdir()
    text = (seven / "cohort.toml").read_text().replace("[cohort]", '[cohort]\nroot = ".."')
    (seven / "manifests/own.toml").write_text(text)
    cohort = load_cohort(seven / "manifests/own.toml")
    assert cohort.root == seven
    assert cohort.files("report")[0] == (seven / "r/007.txt",)


def test_links_inside_the_root_may_lead_out(seven: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    far = tmp_path_factory.mktemp("far") / "010.npy"
    (seven / "w/010.npy").rename(far)
    (seven / "w/010.npy").symlink_to(far)
    assert load_cohort(seven / "cohort.toml").files("wsi")[3] == (seven / "w/010.npy",)


def test_unknown_names_are_refused_with_the_nearest(seven: Path) -> None:
    cohort = load_cohort(seven / "cohort.toml")
    with pytest.raises(SettingError, match=r"no modality 'wsl'.*Did you mean 'wsi'"):
        cohort.files("wsl")
    with pytest.raises(SettingError, match=r"no task 'famly'.*Did you mean 'family'"):
        cohort.task("famly")
