from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, balanced_accuracy_score

from cryostat.core.errors import InputError, SettingError
from cryostat.results.cases.chances import resampled_chances
from cryostat.results.cases.metrics import METRICS, probability_metrics
from cryostat.results.cases.panel import read_panel
from cryostat.results.cases.ranking import precision_changes
from cryostat.results.cases.sample import Sample
from cryostat.results.cases.scores import CaseScores, score_cases, spread
from cryostat.results.uncertainty import resample

CLASSES, MODALITIES = ("a", "b"), ("mri", "wsi")


def row(patient, offered, true, called, p=0.8, **facts):
    """A patient's row; patients named with w have slides."""
    has = ("mri", "wsi") if "w" in patient else ("mri",)
    seen = "+".join(m for m in offered.split("+") if m in has) or "nothing"
    chances = {"p_a": p if called == "a" else 1 - p, "p_b": p if called == "b" else 1 - p}
    keys = {"run_id": "r", "repeat": 0, "fold": 0, "seed": 0, "ablation": "full"} | facts
    return keys | {"patient_id": patient, "offered": offered, "seen": seen, "y_true": true, "y_pred": called} | chances


def small() -> pd.DataFrame:
    """Three patients, the last two with slides, under two seeds; seed 1 mistakes the second with slides offered."""
    rows = []
    for seed in (0, 1):
        for offered in ("nothing", "mri", "wsi", "mri+wsi"):
            wrong = "a" if seed and "wsi" in offered else "b"
            rows += [row("1", offered, "a", "a", seed=seed), row("2w", offered, "b", wrong, seed=seed)]
            rows += [row("3w", offered, "a", "a" if offered == "mri+wsi" else "b", seed=seed)]
        rows.append(row("4", "mri", None, "a", seed=seed))
    return pd.DataFrame(rows)


def test_scores_by_hand():
    scores = score_cases(small(), CLASSES, MODALITIES, draws=50, expected=["1", "2w", "3w"])
    assert (scores.patients, scores.unlabelled, scores.repeats, scores.seeds) == (3, 1, 1, 2)
    everybody = scores.of()
    assert (everybody.n, everybody.supports) == (3, (2, 1))
    # Seed 0: all right. Seed 1: b is missed, so recall is (1 + 0) / 2.
    assert everybody.metrics["balanced_accuracy"].value == 0.75
    assert everybody.metrics["accuracy"].value == pytest.approx((1 + 2 / 3) / 2)
    assert everybody.metrics["balanced_accuracy"].sd_seeds == pytest.approx(np.std([1, 0.5], ddof=1))
    assert everybody.metrics["balanced_accuracy"].sd_repeats is None
    assert everybody.confusion == ((4, 0), (1, 1))
    with_slides = scores.of("mri", population="wsi")
    assert (with_slides.n, with_slides.supports) == (2, (1, 1))
    assert with_slides.metrics["accuracy"].value == 0.5
    assert [arm.offered for arm in scores.arms[:4]] == ["nothing", "mri", "wsi", "mri+wsi"]


def test_scores_survive_json():
    scores = score_cases(small(), CLASSES, MODALITIES, draws=20, ordinal=True)
    again = CaseScores.from_dict(json.loads(json.dumps(scores.to_dict())))
    assert again == scores
    assert list(again.of().metrics) == list(METRICS)
    assert len(again.table()) == len(again.arms) * len(METRICS)


@pytest.mark.parametrize("facts", [[], {"format": 1}, {"format": 1, "benchmark": "cases", "arms": [3]}])
def test_damaged_scores_are_our_error(facts):
    with pytest.raises(InputError, match="scores"):
        CaseScores.from_dict(facts)


def test_a_degenerate_ablation_is_flagged():
    scores = score_cases(small(), CLASSES, MODALITIES, draws=20)
    identical = [flag.about for flag in scores.flags if flag.kind == "identical-arms"]
    assert identical == ["nothing (full) and mri (full) give every patient the same probabilities: degenerate ablation"]
    few = [flag.about for flag in scores.flags if flag.kind == "few-patients"]
    assert few[1] == "b has fewer than 5 patients in: all (1), mri (1), wsi (1), mri+wsi (1)"


def test_two_ablations_are_the_same_by_nature_when_everything_is_offered():
    both = pd.concat([small(), small().assign(ablation="phi_only")])
    identical = [f.about for f in score_cases(both, CLASSES, MODALITIES, draws=5).flags if f.kind == "identical-arms"]
    assert "wsi (full) and wsi (phi_only) give every patient the same probabilities: degenerate ablation" in identical
    assert not any("mri+wsi (full) and mri+wsi (phi_only)" in about for about in identical)


def test_other_patients_than_expected_are_our_error():
    with pytest.raises(InputError, match=r"evaluates 3 patients where 4 are expected: 1 missing \(9\)"):
        score_cases(small(), CLASSES, MODALITIES, expected=["1", "2w", "3w", "9"])
    with pytest.raises(InputError, match=r"1 not expected \(3w\)"):
        score_cases(small(), CLASSES, MODALITIES, expected=["1", "2w"])


def test_arms_on_different_patients_are_our_error():
    with pytest.raises(InputError, match=r"tests 1 patients not in all arms \(first: '1' in repeat 0, seed 0"):
        score_cases(small().iloc[1:], CLASSES, MODALITIES)
    with pytest.raises(InputError, match="holds no patient with a true class"):
        score_cases(small().assign(y_true=None), CLASSES, MODALITIES)


def test_an_arm_that_is_not_there_is_our_error():
    with pytest.raises(SettingError, match="'ct' offered"):
        score_cases(small(), CLASSES, MODALITIES, draws=5).of("ct")


def test_repeats_that_test_different_patients_are_averaged():
    # Repeat 0 tests 1 and 2w (both right), repeat 1 tests 3w alone (wrong).
    rows = [row("1", "mri", "a", "a"), row("2w", "mri", "b", "b"), row("3w", "mri", "a", "b", repeat=1)]
    scores = score_cases(pd.DataFrame(rows), CLASSES, MODALITIES, draws=200)
    arm = scores.of("mri")
    assert arm.n == 3
    assert arm.metrics["accuracy"].value == 0.5
    assert [flag.kind for flag in scores.flags][-1] == "uneven-replicates"


def test_methods_that_only_name_classes_have_no_probability_metrics():
    scores = score_cases(small().drop(columns=["p_a", "p_b"]), CLASSES, MODALITIES, draws=5)
    assert {METRICS[name].needs for name in scores.of().metrics} == {"classes"}


def sample(n=60, replicates=3, classes=3, seed=0) -> Sample:
    rng = np.random.default_rng(seed)
    true = np.arange(n) % classes
    p = rng.dirichlet(np.ones(classes), size=(replicates, n)) + np.eye(classes)[true] * 0.4
    p = np.round(p / p.sum(-1, keepdims=True), 2).astype(np.float32)
    return Sample(true, p.argmax(-1).astype(np.int16), p, classes)


def test_equal_weights_give_what_was_measured():
    one = sample()
    values, again = one.values(ordinal=True), one.resampled(np.ones((1, 60), np.float32), ordinal=True)
    assert {k: float(v[0]) for k, v in again.items()} == pytest.approx(
        {k: v.mean() for k, v in values.items()}, rel=1e-5
    )


def test_weighted_patients_are_patients_drawn_so_often():
    one, weights = sample(), resample(60, 20, seed=1)
    found = one.resampled(weights, ordinal=True)
    for b in range(20):
        drawn = np.repeat(np.arange(60), weights[b].astype(int))
        values = Sample(one.true[drawn], one.predicted[:, drawn], one.p[:, drawn], 3).values(ordinal=True)
        expected = {name: value.mean() for name, value in values.items()}
        assert {k: v[b] for k, v in found.items() if k != "auprc"} == pytest.approx(
            {k: v for k, v in expected.items() if k != "auprc"}, rel=1e-4
        )
        assert found["auprc"][b] == pytest.approx(expected["auprc"], abs=0.06)
        assert found["balanced_accuracy"][b] == pytest.approx(
            np.mean([balanced_accuracy_score(one.true[drawn], one.predicted[r, drawn]) for r in range(3)]), rel=1e-5
        )


def test_the_derivative_of_average_precision_is_that_of_the_weighted_one():
    one = sample(n=40, replicates=1)
    positive, score = one.true == 0, one.p[..., 0]
    value, changes = precision_changes(score, positive)
    assert value == pytest.approx(average_precision_score(positive, score[0]))
    assert changes.sum() == pytest.approx(0, abs=1e-12)
    for k in range(40):
        weights = np.ones(40)
        weights[k] += 1e-5
        raised = average_precision_score(positive, score[0], sample_weight=weights)
        assert changes[k] == pytest.approx((raised - value) / 1e-5, abs=1e-4)


def test_the_linear_average_precision_spreads_like_the_exact_one():
    one, weights = sample(n=200, replicates=1), resample(200, 150)
    linear = resampled_chances(one.true, one.p, weights)["auprc"]
    drawn = [np.repeat(np.arange(200), w.astype(int)) for w in weights]
    exact = [probability_metrics(one.true[d], one.p[0, d])["auprc"] for d in drawn]
    assert np.std(linear) == pytest.approx(np.std(exact), rel=0.15)


def test_the_spread_over_repeats_is_of_their_means():
    values = np.array([0.1, 0.3, 0.5, 0.7])
    assert spread(values, [0, 0, 1, 1]) == pytest.approx(np.std([0.2, 0.6], ddof=1))
    assert np.isnan(spread(values, [0, 0, 0, 0]))


def test_populations_are_those_who_have_at_least_that():
    panel = read_panel(small(), CLASSES, MODALITIES)
    named = {name: [panel.patients[i] for i in places] for name, places in panel.populations().items()}
    assert named == {"all": ["1", "2w", "3w"], "mri": ["1", "2w", "3w"], "wsi": ["2w", "3w"], "mri+wsi": ["2w", "3w"]}


def test_intervals_of_balanced_accuracy_cover():
    rng, inside, trials = np.random.default_rng(0), [], 400
    for trial in range(trials):
        n = int(rng.integers(100, 500))
        true = rng.choice(3, n, p=[0.57, 0.28, 0.15])
        right = rng.random(n) < np.array([0.85, 0.7, 0.6])[true]
        called = np.where(right, true, (true + 1) % 3).astype(np.int16)
        weights = resample(n, 400, seed=trial)
        one = Sample(true, called[None], None, 3)
        low, high = np.quantile(one.resampled(weights)["balanced_accuracy"], (0.025, 0.975))
        inside.append(low <= (0.85 + 0.7 + 0.6) / 3 <= high)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.025)
