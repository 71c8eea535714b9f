from __future__ import annotations

import numpy as np
import pytest

from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import write_json
from cryostat.core.home import Home
from cryostat.results.cases.comparison import compare
from cryostat.results.cases.gains import BEST, EVERYBODY, EXPERTS, compare_two, fusion_gains
from cryostat.results.cases.predictions import write_case_predictions
from cryostat.results.cases.scores import score_cases
from cryostat.results.comparison import holm
from cryostat.results.records import RunRecord

CLASSES, MODALITIES = ("2", "3", "4"), ("mri", "wsi")


@pytest.fixture
def put(cohort, tmp_path):
    """Writes a run of simulated patients; the seed is of the patients, the noise of the method."""

    def written(method: str, noise: float, seed: int = 0, **settings: object) -> RunRecord:
        table = cohort(n=80, noise=noise, seed=seed)
        folder = Home(tmp_path).runs / f"{method}-{noise}-{seed}"
        write_case_predictions(folder / "predictions.parquet", table, CLASSES, MODALITIES)
        write_json(folder / "scores.json", score_cases(table, CLASSES, MODALITIES, draws=20).to_dict())
        facts = {"cohort": "glioma", "task": "grade", "protocol": "standard", "split": "kfold", "method": method}
        facts |= {"modalities": list(MODALITIES), "method_settings": {}, **settings}
        record = RunRecord(folder.name, "cases", f"2026-01-01T{seed:02d}", {}, facts, folder=folder)
        record.save(folder)
        return record

    return written


def test_fusion_stands_against_each_expert_on_the_patients_who_have_its_modality(put):
    fusion, experts = put("core-bt", 0.1), put(EXPERTS, 1.5)
    (table,), broken = fusion_gains([fusion, experts], "log_loss", draws=200)
    assert broken == ()
    assert [gain.against for gain in table.gains] == ["mri", "wsi", BEST]
    have = fusion.predictions().query("offered == 'mri+wsi'").drop_duplicates("patient_id")["seen"]
    assert [gain.n for gain in table.gains] == [80, have.str.contains("wsi").sum(), 80]
    tables = fusion.predictions(), experts.predictions()
    by_hand = compare(*tables, CLASSES, MODALITIES, arm_b=("full", "wsi"), population="wsi", draws=200)
    assert table.gains[1].score == by_hand.metrics["log_loss"]
    assert [gain.adjusted for gain in table.gains] == holm([gain.score.p_value for gain in table.gains])
    assert table.gains[2].score.difference < 0


def test_runs_without_experts_beside_them_or_with_shuffled_labels_are_passed_over(put):
    fusion = put("core-bt", 0.1)
    assert fusion_gains([fusion]) == ((), ())
    others = [put(EXPERTS, 0.2, task="idh"), put(EXPERTS, 0.3, shuffled=True), put(EXPERTS, 0.4, split="site")]
    assert fusion_gains([fusion, *others]) == ((), ())


def test_experts_of_other_patients_are_told(put):
    tables, (broken,) = fusion_gains([put("core-bt", 0.1), put(EXPERTS, 0.2, seed=1)])
    assert tables == ()
    assert broken.folder.name == "core-bt-0.1-0"
    assert "tell different true classes" in broken.reason


def test_two_runs_subset_by_subset(put):
    first, second = put("product", 0.1), put("late", 0.9)
    found = compare_two(first, second, "log_loss", draws=100)
    assert [gain.against for gain in found.gains] == ["mri", "wsi", "mri+wsi", EVERYBODY]
    assert found.gains[2].n < found.gains[3].n == 80
    assert all(gain.score.difference < 0 for gain in found.gains)
    plain = found.gains[0].to_dict()
    assert (plain["against"], plain["difference"]) == ("mri", found.gains[0].score.difference)
    same = compare_two(first, first, draws=50)
    assert np.allclose([gain.score.difference for gain in same.gains], 0)


def test_what_cannot_be_compared_is_our_error(put):
    run = put("product", 0.1)
    with pytest.raises(InputError, match="true classes"):
        compare_two(run, put("late", 0.1, seed=1))
    cells = RunRecord("r", "cells", "2026", {}, {})
    with pytest.raises(SettingError, match="benchmark 'cells'"):
        compare_two(run, cells)
