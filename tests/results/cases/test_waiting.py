from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from cryostat.core.errors import SettingError
from cryostat.results.cases.certainty import abstention, entropy, reliability, uncertainty_ranks
from cryostat.results.cases.scores import score_cases
from cryostat.results.cases.waiting import wait_for

CLASSES, MODALITIES = ("2", "3", "4"), ("mri", "wsi")


def four() -> pd.DataFrame:
    """Four patients of class a. With mri p(a) is .9, .6, .45, .3; slides make it .2, .8, .8, .8."""
    rows = []
    for offered, chances in (("mri", (0.9, 0.6, 0.45, 0.3)), ("mri+wsi", (0.2, 0.8, 0.8, 0.8))):
        for i, p in enumerate(chances):
            facts = {"run_id": "r", "repeat": 0, "fold": 0, "seed": 0, "patient_id": str(i), "ablation": "full"}
            named = {"offered": offered, "seen": offered, "y_true": "a", "y_pred": "a" if p > 0.5 else "b"}
            rows.append(facts | named | {"p_a": p, "p_b": 1 - p})
    return pd.DataFrame(rows)


def test_waiting_by_hand():
    found = wait_for(
        four(), ("a", "b"), MODALITIES, now="mri", later="mri+wsi", shares=(0, 0.25, 0.5, 0.75, 1), draws=50
    )
    curve = found.curve.query("metric == 'accuracy'")
    # Least certain now: patient 2 (wrong, then right), 1 (right), 3 (wrong, then right), 0 (right, then wrong).
    assert found.patients["patient_id"].tolist() == ["2", "1", "3", "0"]
    assert curve["value"].tolist() == [0.5, 0.75, 0.75, 1.0, 0.75]
    assert curve["by_chance"].tolist() == pytest.approx([0.5, 0.5625, 0.625, 0.6875, 0.75])
    assert found.gain["accuracy"].value == 0.25
    assert (found.to_right.value, found.to_wrong.value) == (0.5, 0.25)
    assert found.patients["log_p_gain"].tolist() == pytest.approx(
        [np.log(0.8 / 0.45), np.log(0.8 / 0.6), np.log(0.8 / 0.3), np.log(0.2 / 0.9)]
    )


def test_the_ends_of_waiting_are_the_scores(cohort):
    table = cohort()
    found = wait_for(table, CLASSES, MODALITIES, now="mri", later="mri+wsi", draws=400)
    scores = score_cases(table, CLASSES, MODALITIES, draws=400)
    for metric in ("balanced_accuracy", "accuracy", "log_loss"):
        curve = found.curve.query("metric == @metric")
        now, later = (scores.of(o, population="mri+wsi").metrics[metric] for o in ("mri", "mri+wsi"))
        assert curve["value"].iloc[0] == pytest.approx(now.value, rel=1e-5)
        assert curve["value"].iloc[-1] == pytest.approx(later.value, rel=1e-5)
        assert found.gain[metric].value == pytest.approx(later.value - now.value, abs=1e-5)
        assert found.gain[metric].low < found.gain[metric].value < found.gain[metric].high
    gain = found.to_right.value - found.to_wrong.value
    assert gain == pytest.approx(found.gain["accuracy"].value)


def test_the_uncertain_gain_more_than_others(cohort):
    curve = wait_for(cohort(n=400), CLASSES, MODALITIES, now="mri", later="mri+wsi", draws=20).curve
    middle = curve[(curve.metric == "log_loss") & curve.waiting.between(0.2, 0.8)]
    assert (middle["value"] < middle["by_chance"]).all()


def test_uncertainty_and_its_ranks():
    assert entropy(np.array([[1, 0], [0.5, 0.5]], np.float32)) == pytest.approx([0, 1], abs=1e-6)
    ranks = uncertainty_ranks(np.array([[0.1, 0.9, 0.5, 0.5]]), np.array([[True, True, True, False]]))
    assert ranks.tolist() == [[pytest.approx(2.5 / 3), pytest.approx(0.5 / 3), pytest.approx(1.5 / 3), np.inf]]


def test_reliability_by_hand():
    found = reliability(four(), ("a", "b"), MODALITIES, offered="mri", draws=20)
    # Confidences .9 (right), .6 (right), .55 (wrong), .7 (wrong).
    assert found["share"].tolist() == [0.25] * 4
    assert found["confidence"].tolist() == pytest.approx([0.55, 0.6, 0.7, 0.9])
    assert found["accuracy"].tolist() == [0, 1, 0, 1]


def test_abstention_by_hand():
    found = abstention(four(), ("a", "b"), MODALITIES, offered="mri", shares=(0.25, 0.5, 0.75, 1), draws=20)
    # Most certain first: 0 (right), 3 (wrong), 1 (right), 2 (wrong).
    assert found.query("metric == 'accuracy'")["value"].tolist() == pytest.approx([1, 0.5, 2 / 3, 0.5])


def test_answering_everybody_is_the_score(cohort):
    table = cohort()
    found = abstention(table, CLASSES, MODALITIES, shares=(0.3, 1), draws=20).set_index(["metric", "answered"])["value"]
    metrics = score_cases(table, CLASSES, MODALITIES, draws=5).of().metrics
    for metric in ("balanced_accuracy", "accuracy", "log_loss"):
        assert found[metric, 1] == pytest.approx(metrics[metric].value, rel=1e-5)
    assert found["accuracy", 0.3] > found["accuracy", 1]


def test_what_cannot_be_is_our_error(cohort):
    table = cohort(n=30)
    for now, later in (("mri+wsi", "mri"), ("mri", "mri"), ("mri", "wsi")):
        with pytest.raises(SettingError, match="adds nothing, or takes away"):
            wait_for(table, CLASSES, MODALITIES, now=now, later=later)
    with pytest.raises(SettingError, match="share 2 of the patients"):
        abstention(table, CLASSES, MODALITIES, shares=[2])
    with pytest.raises(SettingError, match="no probabilities"):
        reliability(table.drop(columns=[f"p_{c}" for c in CLASSES]), CLASSES, MODALITIES)
    none = table[table.seen != "mri+wsi"].assign(seen=lambda t: t.seen.replace("wsi", "nothing"))
    none = none[none.patient_id.isin(none[none.offered == "mri+wsi"].patient_id)]
    with pytest.raises(SettingError, match="no patient has 'mri\\+wsi'"):
        wait_for(none, CLASSES, MODALITIES, now="mri", later="mri+wsi")
