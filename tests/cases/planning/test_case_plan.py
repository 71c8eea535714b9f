"""Plans of studies of cases, whose numbers can be worked out by hand."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cryostat.cases.methods.registry import method
from cryostat.cases.planning import CasePlan, CaseRow, plan_cases
from cryostat.cases.planning.rates import Rate, candidates, learnt
from cryostat.cases.runs.bench import CaseBench
from cryostat.cases.runs.spec import CaseStudy
from cryostat.cases.simulated import simulate
from cryostat.core.home import Home
from cryostat.core.identity import digest

BASE = {"repeats": 2, "folds": 3}


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(tmp_path_factory.mktemp("cohort"), patients=80, draws=1000).manifest


def study(manifest: Path, *methods: str, **others: Any) -> CaseStudy:
    return CaseStudy("toy", [manifest], ["lgg_hgg"], methods, base={**BASE, **others})


def plan(home: Path, asked: CaseStudy, *, timed: bool = False) -> CasePlan:
    return plan_cases(asked, Home(home), timed=timed)


def only_row(found: CasePlan) -> CaseRow:
    (row,) = found.rows
    return row


def test_fits_and_predictions_are_counted(manifest: Path, tmp_path: Path) -> None:
    found = plan(tmp_path, study(manifest, "nearest-mean", "product"))
    nearest, product = found.rows
    tried = candidates(method("nearest-mean"), {n: s.default for n, s in method("nearest-mean").settings.items()})
    assert tried == 3
    assert nearest.splits == product.splits == 2 * 3
    assert nearest.fits == 6 * (1 + 3 * tried)  # a fit a split, and three inner folds for each setting
    assert product.fits == 6
    assert nearest.predictions == 2 * nearest.patients * 8  # each patient in each repeat, under 2³ subsets
    assert nearest.seconds is None
    assert not (tmp_path / "runs").exists()


def test_seeds_and_ablations_multiply(manifest: Path, tmp_path: Path) -> None:
    asked = study(manifest, "core-bt", protocol="paper", repeats=1, seeds=(0, 1))
    row = only_row(plan(tmp_path, asked))
    assert (row.splits, row.fits) == (1, 2)  # paper: one split, nothing chosen by inner folds
    assert row.predictions % (2 * 2 * 8) == 0  # seeds, phi_only and full, subsets


def test_what_patients_have_is_what_files_tell(manifest: Path, tmp_path: Path) -> None:
    found = {modality.name: modality for modality in plan(tmp_path, study(manifest, "product")).modalities}
    assert list(found) == ["mri", "wsi", "report"]
    assert found["mri"].source == "mri_features.csv"
    assert found["wsi"].files >= found["wsi"].patients > 0
    assert all(modality.bytes > 0 and modality.to_embed == 0 for modality in found.values())


def test_only_the_modalities_that_are_used(manifest: Path, tmp_path: Path) -> None:
    found = plan(tmp_path, replace(study(manifest, "product"), modalities=[("wsi", "mri")]))
    assert [modality.name for modality in found.modalities] == ["mri", "wsi"]
    assert only_row(found).modalities == ("mri", "wsi")
    assert only_row(found).predictions == 2 * only_row(found).patients * 4


def test_a_finished_run_is_done_and_gives_the_pace_of_others(manifest: Path, tmp_path: Path) -> None:
    asked = study(manifest, "product")
    (spec,) = asked.specs()
    CaseBench(Home(tmp_path), device="cpu").run(spec)
    row = only_row(plan(tmp_path, asked))
    assert (row.done, row.seconds) == (True, 0.0)
    other = only_row(plan(tmp_path, study(manifest, "product", repeats=4)))
    assert (other.done, other.basis) == (False, "1 finished run")
    assert other.seconds is not None
    assert other.seconds > 0


def test_a_method_without_runs_is_timed_on_noise(manifest: Path, tmp_path: Path) -> None:
    row = only_row(plan(tmp_path, study(manifest, "nearest-mean"), timed=True))
    assert row.basis == "fits on noise"
    assert row.seconds is not None
    assert 0 < row.seconds < 600


def test_a_rate_adds_batches_and_patients() -> None:
    assert Rate(2.0, 0.1, "").seconds(3, 50) == pytest.approx(11.0)
    assert learnt(90, seeds=2, tried=3, inner=3) == 90 * 2 + 60 * 3 * 3  # inner folds learn from two thirds


@pytest.mark.parametrize(
    ("methods", "others", "problem"),
    [
        (["magic"], {}, "is no method"),
        (["product"], {"ablations": ("phi_only",)}, "has no residual"),
        (["product"], {"folds": 500}, "for 500 folds"),
    ],
)
def test_what_stands_in_the_way_is_named(
    manifest: Path, tmp_path: Path, methods: list[str], others: dict[str, Any], problem: str
) -> None:
    found = plan(tmp_path, study(manifest, *methods, **others))
    (obstacle,) = only_row(found).obstacles
    assert problem in obstacle.problem
    assert obstacle.remedy
    assert found.obstacles == {obstacle: 1}


def test_unknown_tasks_and_modalities_are_obstacles(manifest: Path, tmp_path: Path) -> None:
    asked = replace(study(manifest, "product"), tasks=["survival"], modalities=[("mri",), ("pet",)])
    problems = [row.obstacles[0].problem for row in plan(tmp_path, asked).rows]
    assert ["survival" in problems[0], "pet" in problems[1]] == [True, True]


def test_the_best_possible_is_known_of_simulated_cohorts_alone(manifest: Path, tmp_path: Path) -> None:
    here = only_row(plan(tmp_path, study(manifest, "best-possible")))
    assert (here.obstacles, here.fits) == ((), 0)
    bare = tmp_path / "bare"
    bare.mkdir()
    for path in manifest.parent.iterdir():
        if path.name != "bayes.json":
            (bare / path.name).symlink_to(path)
    (bare / "cohort.toml").unlink()
    (bare / "cohort.toml").write_text(manifest.read_text().replace("[cohort]", f'[cohort]\nroot = "{manifest.parent}"'))
    (obstacle,) = only_row(plan(tmp_path, study(bare / "cohort.toml", "best-possible"))).obstacles
    assert "simulated cohorts alone" in obstacle.problem


TEXTS = """
[cohort]
name = "notes"
table = "cohort.csv"
patient = "patient_id"
[modalities.report]
column = "report"
encoder = "{encoder}"
[modalities.age]
values = ["age"]
[tasks.grade]
column = "grade"
classes = ["low", "high"]
"""


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    """Twelve patients with reports, of whom one file is missing."""
    rows = [f"p{i},p{i}.txt,{40 + 2 * i},{'low' if i % 2 else 'high'}" for i in range(12)]
    (tmp_path / "cohort.csv").write_text("\n".join(["patient_id,report,age,grade", *rows]))
    for i in range(11):
        (tmp_path / f"p{i}.txt").write_text(f"report {i}")
    return tmp_path / "cohort.toml"


def of_notes(notes: Path, encoder: str) -> CasePlan:
    notes.write_text(TEXTS.format(encoder=encoder))
    asked = CaseStudy("toy", [notes], ["grade"], ["product"], base=BASE)
    return plan(notes.parent / "home", asked)


def test_an_encoder_that_learns_in_the_fold_embeds_nothing(notes: Path) -> None:
    report = of_notes(notes, "tfidf").modalities[0]
    assert (report.source, report.patients, report.unusable) == ("encoder tfidf, learnt in each fold", 11, 1)
    assert (report.to_embed, report.embedded, report.seconds) == (0, 0, 0.0)


def test_an_encoder_that_is_not_here_is_an_obstacle(notes: Path) -> None:
    found = of_notes(notes, "biomedbert")
    (obstacle,) = only_row(found).obstacles
    assert obstacle.remedy
    assert (found.modalities[0].to_embed, found.modalities[0].seconds) == (11, None)


class Reader:
    """A text encoder of which only the identity is asked."""

    learns_from_texts = False

    def identity(self) -> dict[str, str]:
        return {"encoder": "reader"}


def test_what_is_embedded_is_counted_and_its_pace_taken(notes: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cryostat.cases.planning.modalities._load", lambda kind, cohort, spec: Reader())
    shelf = notes.parent / "home" / "embeddings" / digest(Reader().identity())
    shelf.mkdir(parents=True)
    for i in range(4):
        (shelf / f"{i}.npy").write_bytes(b"")
        os.utime(shelf / f"{i}.npy", (1000 + 5 * i, 1000 + 5 * i))
    report = of_notes(notes, "biomedbert").modalities[0]
    assert (report.embedded, report.to_embed, report.seconds) == (4, 7, 35.0)
