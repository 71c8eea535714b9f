from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from cryostat.cases.cohort import Cohort, load_cohort
from cryostat.cases.embeddings import gather
from cryostat.cases.evaluation.evaluate import evaluate
from cryostat.cases.evaluation.splits import plan_splits, remarks
from cryostat.cases.evidence import Evidence
from cryostat.cases.labels import Targets, targets
from cryostat.core.home import Home

MANIFEST = """
[cohort]
name = "glioma"
table = "cohort.csv"
root = "{root}"
site = "site"
[modalities.mri]
column = "mri_radiomics"
table = "mri_radiomics.csv"
key = "patient_id"
[modalities.wsi]
column = "wsi"
[tasks.idh]
column = "idh"
[tasks.grade]
column = "who_grade"
ordinal = true
"""


@pytest.fixture(scope="module")
def glioma(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Cohort, Evidence]:
    """MRI of 76 and slides of 404 real glioma patients."""
    folder = tmp_path_factory.mktemp("glioma")
    (folder / "cohort.toml").write_text(MANIFEST.format(root=shared / "data" / "tcga_glioma"))
    cohort = load_cohort(folder / "cohort.toml")
    return cohort, gather(cohort, Home(folder / "home"))


def labels(cohort: Cohort, task: str) -> Targets:
    return targets(cohort.tasks[task], cohort.table, cohort.path)


def recall(frame: pd.DataFrame, subset: str) -> float:
    shown = frame[frame["seen"] == subset]
    return float((shown["y_true"] == shown["y_pred"]).groupby(shown["y_true"]).mean().mean())


def test_idh_is_told_from_slides_and_from_mri(glioma: tuple[Cohort, Evidence], small: SimpleNamespace) -> None:
    cohort, evidence = glioma
    idh = labels(cohort, "idh")
    splits = plan_splits("kfold", idh, evidence.present, folds=3)
    frame = evaluate(evidence, idh, splits, small.Means(), select=False).frame
    assert len(frame) == 561 * 4
    assert recall(frame, "wsi") > 0.75
    assert recall(frame, "mri") > 0.75
    mixed = np.random.default_rng(0).permutation(561)
    shuffled = replace(idh, y=idh.y[mixed], allowed=idh.allowed[mixed], possible=idh.possible[mixed])
    frame = evaluate(evidence, shuffled, splits, small.Means(), select=False).frame
    # 404 patients: the standard error is 0.025.
    assert abs(recall(frame, "wsi") - 0.5) < 0.08


def test_every_hospital_is_held_out_once(glioma: tuple[Cohort, Evidence], small: SimpleNamespace) -> None:
    cohort, evidence = glioma
    grade = labels(cohort, "grade")
    sites = cohort.table["site"].tolist()
    splits = plan_splits("site", grade, evidence.present, sites=sites, least_site=20)
    assert sorted(np.concatenate([split.test for split in splits])) == np.flatnonzero(grade.certain).tolist()
    for split in splits:
        assert len(split.test) >= 20
        assert not {sites[i] for i in split.test} & {sites[i] for i in split.train}
    unlabelled = int((~grade.certain).sum())
    assert f"patients learnt from but never tested, their class not being certain: {unlabelled}" in remarks(
        splits, grade
    )
    frame = evaluate(evidence, grade, splits, small.Means(), select=False, subsets=[["wsi"]]).frame
    assert recall(frame, "wsi") > 0.45
