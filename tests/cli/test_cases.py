from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from cryostat.cli import cryostat

TABLE = """patient_id,wsi,report,idh,site
001,w/001.npy,r/001.txt,mutant,A
002,w/002.npy,,wildtype,A
003,w/003.npy,r/003.txt,wildtype,B
004,,r/004.txt,,B
"""
MANIFEST = """
[cohort]
name = "four"
table = "cohort.csv"
site = "site"
[modalities.wsi]
column = "wsi"
[modalities.report]
column = "report"
encoder = "tfidf"
[tasks.idh]
column = "idh"
"""


@pytest.fixture
def four(tmp_path: Path) -> Path:
    for folder in ("w", "r"):
        (tmp_path / folder).mkdir()
    for number in (1, 2, 3):
        np.save(tmp_path / f"w/00{number}.npy", np.full((2, 4), number, np.float32))
    for number in (1, 3, 4):
        (tmp_path / f"r/00{number}.txt").write_text(f"report {number}")
    (tmp_path / "cohort.csv").write_text(TABLE)
    (tmp_path / "cohort.toml").write_text(MANIFEST)
    return tmp_path


def check(folder: Path, *words: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "90"})
    call = ["--home", str(folder / "home"), "cases", "check", str(folder / "cohort.toml"), *words]
    return runner.invoke(cryostat, call)


def test_the_check_prints_who_has_what(four: Path) -> None:
    ended = check(four)
    assert ended.exit_code == 0
    lines = [" ".join(line.split()) for line in ended.output.splitlines()]
    assert "four 4 patients" in lines
    assert "wsi 3 75% 3 column wsi, embeddings, pool mean" in lines
    assert "● ● 2 50.0% ████████████████████████" in lines
    assert "wildtype 2 1 1 ·" in lines
    assert "no label 1 · · 1" in lines
    assert "sites A 2, B 2" in lines
    assert max(map(len, ended.output.splitlines())) <= 90


def test_what_cannot_be_used_is_told_and_ends_with_status_1(four: Path) -> None:
    (four / "w/001.npy").write_bytes(b"")
    (four / "w/002.npy").write_bytes(b"")
    (four / "r/003.txt").unlink()
    ended = check(four)
    lines = [" ".join(line.split()) for line in ended.output.splitlines()]
    assert ended.exit_code == 1
    assert "wsi is empty 2 001, 002 2 patients lack it" in lines
    assert "report does not exist (r/003.txt) 1 003 1 patient lacks it" in lines
    assert "3 files or rows cannot be used" in ended.output


def test_columns_of_values_and_files_that_remain(four: Path) -> None:
    (four / "w/001.npy").write_bytes(b"")
    (four / "cohort.csv").write_text(
        "patient_id,wsi,report,idh,site,age,sex\n"
        "001,w/001.npy;w/002.npy,r/001.txt,mutant,A,65 years,f\n"
        "002,w/002.npy,,wildtype,A,>89 years,m\n"
        "003,w/003.npy,r/003.txt,wildtype,B,59 years,m\n"
        "004,,r/004.txt,,B,,m\n"
    )
    (four / "cohort.toml").write_text(MANIFEST + '[modalities.clinical]\nvalues = ["age", "sex"]\n')
    ended = CliRunner(env={"COLUMNS": "200"}).invoke(
        cryostat, ["--home", str(four / "home"), "cases", "check", str(four / "cohort.toml")]
    )
    lines = [" ".join(line.split()) for line in ended.output.splitlines()]
    assert "clinical 4 100% – values of age, sex" in lines
    assert (
        "clinical age 3 numbers (years) median 65, half within 62 to 77, all within 59 to 89 "
        "years 3, bound, taken as the number itself 1, not known 1" in lines
    )
    assert "clinical sex 4 words m 3 · f 1 words 4" in lines
    assert "wsi is empty (w/001.npy) 1 001 001 has 1 of 2 files" in lines
    assert "wsi 3 75% 3 column wsi, embeddings, pool mean" in lines


def test_the_whole_report_as_json(four: Path) -> None:
    ended = check(four, "--json", str(four / "out/report.json"))
    told = json.loads((four / "out/report.json").read_text())
    assert ended.exit_code == 0
    assert told["patients"] == 4
    assert told["read"] is False


def test_the_figure_is_drawn(four: Path) -> None:
    pytest.importorskip("matplotlib")
    ended = check(four, "--figure", str(four / "upset.svg"), "--by", "idh")
    assert ended.exit_code == 0
    assert f"Drew {four / 'upset.svg'}" in ended.output.replace("\n", "")
    assert "wildtype" in (four / "upset.svg").read_text()


def test_a_wrong_ending_or_task_is_refused_before_the_work(four: Path) -> None:
    pytest.importorskip("matplotlib")
    assert "ends in none of" in str(check(four, "--figure", "upset.jpg").exception)
    assert "no task 'grade'" in str(check(four, "--figure", "upset.png", "--by", "grade").exception)


def test_classes_without_a_figure_to_colour_are_refused(four: Path) -> None:
    ended = check(four, "--by", "idh")
    assert ended.exit_code == 2
    assert "--figure" in ended.output


def test_reading_embeddings_finds_what_a_look_does_not(four: Path) -> None:
    np.save(four / "w/002.npy", np.full((2, 4), np.nan, np.float32))
    assert check(four).exit_code == 0
    ended = check(four, "--read")
    assert ended.exit_code == 1
    assert "embeddings were read" in ended.output


def test_the_group_has_both_commands() -> None:
    told = CliRunner().invoke(cryostat, ["cases", "--help"]).output
    assert "check     Who has what, which classes they have, and what cannot be used." in told
    assert "simulate" in told


def test_signs_of_markup_in_names_of_patients_stay_as_they_are(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.ones(2, np.float32))
    (tmp_path / "c.csv").write_text("patient_id,m\nP[/b]1,x.npy;gone.npy\n")
    (tmp_path / "c.toml").write_text('[cohort]\nname = "c"\ntable = "c.csv"\n[modalities.m]\ncolumn = "m"\n')
    result = CliRunner().invoke(cryostat, ["cases", "check", str(tmp_path / "c.toml")], catch_exceptions=False)
    assert "P[/b]1 has 1 of 2 files" in result.output
