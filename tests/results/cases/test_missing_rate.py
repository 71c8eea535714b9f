from __future__ import annotations

import numpy as np
import pytest

from cryostat.core.errors import SettingError
from cryostat.results.cases.missing_rate import missing_rate_curve, subset_chances
from cryostat.results.cases.scores import score_cases

CLASSES, MODALITIES = ("2", "3", "4"), ("mri", "wsi")


def test_chances_of_subsets_by_hand():
    # Nothing, mri, wsi, both; a quarter missing.
    chances = subset_chances(np.array([0.25]), MODALITIES, MODALITIES)
    assert chances.tolist() == [[0.0625, 0.1875, 0.1875, 0.5625]]
    assert subset_chances(np.array([0.25]), MODALITIES, ["wsi"]).tolist() == [[0, 0.25, 0, 0.75]]


def test_the_ends_are_everything_and_nothing(cohort):
    table = cohort()
    scores = score_cases(table, CLASSES, MODALITIES, draws=50)
    found = missing_rate_curve(table, CLASSES, MODALITIES, rates=(0, 1), draws=50).set_index(["metric", "rate"])
    for metric in ("balanced_accuracy", "log_loss"):
        for rate, offered in ((0, "mri+wsi"), (1, "nothing")):
            there = scores.of(offered, population="mri+wsi").metrics[metric]
            assert found.loc[(metric, rate), "value"] == pytest.approx(there.value)
            assert found.loc[(metric, rate), "low"] == pytest.approx(there.low, rel=1e-5)


def test_the_weighted_sum_is_what_simulation_finds(cohort):
    table = cohort(n=150, repeats=1, seeds=1)
    complete = table[table.offered == "mri+wsi"].query("seen == 'mri+wsi'").patient_id
    rows = table[table.patient_id.isin(complete)].assign(right=lambda t: t.y_true == t.y_pred)
    right = rows.pivot_table(index="patient_id", columns="offered", values="right", aggfunc="first").astype(float)
    right = right[["nothing", "mri", "wsi", "mri+wsi"]].to_numpy()
    true = rows.drop_duplicates("patient_id").sort_values("patient_id").y_true.to_numpy()
    rng, found = np.random.default_rng(0), []
    for _ in range(400):
        offers = rng.choice(4, len(true), p=[0.09, 0.21, 0.21, 0.49])
        hits = right[np.arange(len(true)), offers]
        found.append(np.mean([hits[true == c].mean() for c in CLASSES]))
    curve = missing_rate_curve(table, CLASSES, MODALITIES, rates=(0.3,), metrics=("balanced_accuracy",), draws=10)
    assert curve["value"][0] == pytest.approx(np.mean(found), abs=4 * np.std(found) / np.sqrt(400))


def test_what_cannot_be_is_our_error(cohort):
    table = cohort(n=30)
    for settings, message in (
        ({"metrics": ("macro_f1",)}, "'macro_f1' has no exact expectation"),
        ({"rates": (0.5, 1.5)}, "missing rate 1.5"),
        ({"missing": ["ct"]}, "no modality 'ct'"),
    ):
        with pytest.raises(SettingError, match=message):
            missing_rate_curve(table, CLASSES, MODALITIES, **settings)
