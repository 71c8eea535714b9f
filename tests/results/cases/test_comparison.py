from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from cryostat.core.errors import InputError, SettingError
from cryostat.results.cases.comparison import compare
from cryostat.results.cases.scores import score_cases

CLASSES, MODALITIES = ("2", "3", "4"), ("mri", "wsi")


def test_a_run_does_not_differ_from_itself(cohort):
    table = cohort()
    found = compare(table, table, CLASSES, MODALITIES, ordinal=True, draws=200)
    for name, score in found.metrics.items():
        assert (score.difference, score.low, score.high) == (0, 0, 0)
        assert score.p_value == 1 or name == "auprc"


def test_values_are_those_of_the_scores(cohort):
    table = cohort()
    scores = score_cases(table, CLASSES, MODALITIES, draws=5)
    found = compare(table, table, CLASSES, MODALITIES, arm_b=("full", "mri"), population="wsi", draws=500)
    assert found.n == scores.of(population="wsi").n
    for name, score in found.metrics.items():
        assert score.first == pytest.approx(scores.of(population="wsi").metrics[name].value)
        assert score.second == pytest.approx(scores.of("mri", population="wsi").metrics[name].value)
    better = found.metrics["log_loss"]
    assert better.high < 0
    assert better.p_value < 0.01
    assert np.isnan(found.metrics["auprc"].p_value)
    assert list(found.table().columns) == ["first", "second", "difference", "low", "high", "p_value"]


def test_the_exchange_test_of_accuracy_is_the_exact_one(cohort):
    table = cohort(n=90, repeats=1, seeds=1)
    found = compare(table, table, CLASSES, MODALITIES, arm_b=("full", "mri"), draws=5000).metrics["accuracy"]
    wide = table[table.offered.isin(["mri", "mri+wsi"])].assign(right=lambda t: t.y_true == t.y_pred)
    right = wide.pivot_table(index="patient_id", columns="offered", values="right", aggfunc="first").astype(bool)
    won, lost = (right["mri+wsi"] & ~right["mri"]).sum(), (right["mri"] & ~right["mri+wsi"]).sum()
    assert found.difference == pytest.approx((won - lost) / 90)
    assert found.p_value == pytest.approx(binomtest(won, won + lost).pvalue, abs=0.02)


def test_only_common_repeats_are_compared(cohort):
    table = cohort()
    found = compare(table, table[table.seed == 0], CLASSES, MODALITIES, draws=20)
    assert found.replicates == 2
    assert found.metrics["accuracy"].difference == 0


def test_what_cannot_be_compared_is_our_error(cohort):
    table = cohort(n=30)
    with pytest.raises(InputError, match=r"1 are in one alone \(p000\)"):
        compare(table, table[table.patient_id != "p000"], CLASSES, MODALITIES)
    with pytest.raises(InputError, match="no repeat and seed in common"):
        compare(table[table.seed == 0], table[table.seed == 1], CLASSES, MODALITIES)
    turned = table.assign(y_true=table.y_true.where(table.patient_id != "p003", "4" if table.y_true[3] != "4" else "2"))
    with pytest.raises(InputError, match="true classes of patient 'p003'"):
        compare(table, turned, CLASSES, MODALITIES)
    with pytest.raises(SettingError, match="no arm with ablation 'phi_only'"):
        compare(table, table, CLASSES, MODALITIES, arm_a=("phi_only", "mri"))
