"""The page on cohorts has a manifest that loads, and names every key that a manifest may have."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from cryostat.cases.cohort import Cohort, check_cohort, load_cohort
from cryostat.cases.cohort.manifest import COHORT, MODALITY, POOLS
from cryostat.cases.labels.reading import KEYS

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "cohorts.md").read_text(encoding="utf-8")


def example() -> str:
    (found,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    return str(found)


def rows(heading: str) -> dict[str, str]:
    part = PAGE.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", part, re.MULTILINE))


def load(folder: Path, text: str) -> Cohort:
    (folder / "cohort.toml").write_text(text, encoding="utf-8")
    return load_cohort(folder / "cohort.toml")


def test_every_key_is_explained() -> None:
    assert set(rows("[cohort]")) == set(COHORT)
    assert set(rows("[modalities.NAME]")) == {*MODALITY, *POOLS}
    assert {pool: rows("[modalities.NAME]")[pool] for pool in POOLS} == dict(POOLS)
    assert rows("[tasks.NAME]") == KEYS


def test_the_example_loads_with_the_lines_of_its_table(tmp_path: Path) -> None:
    lines = re.findall(r"^    (patient_id,.*|TCGA-.*)$", PAGE, re.MULTILINE)
    (tmp_path / "cohort.csv").write_text("\n".join(lines) + "\n")
    (tmp_path / "mri_radiomics.csv").write_text("patient_id,volume\nTCGA-02-0047,1.5\n")
    (tmp_path / "wsi").mkdir()
    for name in ("TCGA-02-0003", "TCGA-02-0047"):
        np.save(tmp_path / "wsi" / f"{name}.npy", np.ones((2, 3), np.float32))
    cohort = load(tmp_path, example().replace("patients = 561", "patients = 2"))
    report = check_cohort(cohort)
    assert [(pattern.modalities, pattern.patients) for pattern in report.patterns] == [
        (("wsi",), 1),
        (("mri", "wsi"), 1),
    ]
    assert report.problems == ()


@pytest.fixture(scope="module")
def glioma(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Cohort:
    root = shared / "data" / "tcga_glioma"
    return load(tmp_path_factory.mktemp("glioma"), example().replace('root = "."', f'root = "{root}"'))


def test_the_example_is_the_real_cohort(glioma: Cohort) -> None:
    assert len(glioma.patients) == 561
    assert glioma.keys("mri")[1] == "TCGA-02-0047"
    assert glioma.files("wsi")[0] == (glioma.root / "wsi/TCGA-02-0003.npy",)
    assert glioma.task("family").classes == ("glioblastoma", "astrocytoma", "oligodendroglioma")


def test_what_the_page_says_of_the_real_cohort(glioma: Cohort) -> None:
    report = check_cohort(glioma)
    named = sum(bool(paths) for paths in glioma.files("report"))
    patterns = {pattern.modalities: pattern.patients for pattern in report.patterns}
    have = {counts.name: counts.patients for counts in report.modalities}
    told = " ".join(PAGE.split())
    assert (
        f"{len(report.problems)} of the {named} reports are empty or blank, so that {have['report']} patients" in told
    )
    assert (
        f"{patterns['mri', 'wsi', 'report']} have all three modalities in place of 45, and {patterns[()]} have" in told
    )
    assert have == {"mri": 76, "wsi": 404, "report": 471}
    assert {problem.reason for problem in report.problems} == {"is empty", "is blank"}
    assert dict(report.groups["project"]) == {"TCGA-LGG": 332, "TCGA-GBM": 229}
    assert len(report.sites) == 41


def test_classes_of_the_real_cohort(glioma: Cohort) -> None:
    report = check_cohort(glioma)
    family, grade = report.task("family"), report.task("who_grade")
    assert [family.of_class(number) for number in range(3)] == [229, 125, 121]
    assert sum(family.partial) == 86
    assert [grade.of_class(number) for number in range(3)] == [107, 139, 229]
    assert sum(grade.unlabelled) == 86


def test_what_the_page_says_of_age_and_sex(shared: Path, tmp_path: Path) -> None:
    clinical = '[modalities.clinical]\nvalues = ["age", "sex"]\n'
    (part,) = re.findall(r"^    (\[modalities\.clinical\])\n    (values = .*)$", PAGE, re.MULTILINE)
    assert "\n".join([*part, ""]) == clinical
    root = shared / "data" / "tcga_glioma"
    text = example().replace('root = "."', f'root = "{root}"').replace("[tasks.family]", f"{clinical}\n[tasks.family]")
    age, sex = check_cohort(load(tmp_path, text)).values
    assert dict(age.read) == {"years and days": 558, "years": 2, "not known (--)": 1}
    assert dict(sex.levels) == {"Male": 320, "Female": 241}
    told = " ".join(PAGE.split())
    assert "the age of 558 patients is written in years and days, of 2 in years, and of 1 as `--`" in told
