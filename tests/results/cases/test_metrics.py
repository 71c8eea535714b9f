from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from cryostat.results.cases.metrics import (
    LEAST_PROBABILITY,
    METRICS,
    Undefined,
    confusion_metrics,
    per_class,
    probability_metrics,
)

labels = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@settings(max_examples=30)
@given(labels)
def test_metrics_of_classes_are_those_of_scikit_learn(rows):
    true, predicted = map(np.array, zip(*rows, strict=True))
    counts = sk.confusion_matrix(true, predicted, labels=range(4))
    found = confusion_metrics(counts, ordinal=True)
    present = sorted(set(true))
    ours = {k: found[f"macro_{k}"] for k in ("precision", "recall", "f1")}
    theirs = sk.precision_recall_fscore_support(true, predicted, labels=present, average="macro", zero_division=0)
    assert list(ours.values()) == pytest.approx(theirs[:3])
    weighted = [found[f"weighted_{k}"] for k in ("precision", "recall", "f1")]
    theirs = sk.precision_recall_fscore_support(true, predicted, labels=present, average="weighted", zero_division=0)
    assert weighted == pytest.approx(theirs[:3])
    recalls = sk.recall_score(true, predicted, labels=present, average=None)
    assert found["balanced_accuracy"] == pytest.approx(np.mean(recalls))
    assert found["accuracy"] == pytest.approx(sk.accuracy_score(true, predicted))
    if len(set(true) | set(predicted)) > 1:
        kappa = sk.cohen_kappa_score(true, predicted, labels=range(4), weights="quadratic")
        assert found["quadratic_kappa"] == pytest.approx(kappa, nan_ok=True)


@settings(max_examples=30)
@given(labels)
def test_the_printed_formula_is_the_mean_accuracy_of_one_against_the_rest(rows):
    true, predicted = map(np.array, zip(*rows, strict=True))
    found = confusion_metrics(sk.confusion_matrix(true, predicted, labels=range(4)))
    one_against_rest = np.mean([np.mean((true == c) == (predicted == c)) for c in range(4)])
    assert found["ovr_accuracy_mean"] == pytest.approx(one_against_rest)


@settings(max_examples=30)
@given(labels)
def test_the_whole_label_set_may_count(rows):
    true, predicted = map(np.array, zip(*rows, strict=True))
    counts = sk.confusion_matrix(true, predicted, labels=range(4))
    found = confusion_metrics(counts, undefined=Undefined(unpredicted=0.0, absent=0.0))
    theirs = sk.precision_recall_fscore_support(true, predicted, labels=range(4), average="macro", zero_division=0)
    assert [found[f"macro_{k}"] for k in ("precision", "recall", "f1")] == pytest.approx(theirs[:3])


def test_what_is_undefined_follows_the_stated_rule():
    counts = np.array([[3, 1, 0], [2, 0, 0], [0, 0, 0]])  # class 1 hit never, class 2 without patients
    kept = per_class(counts)
    assert kept.precision.tolist() == [0.6, 0.0, pytest.approx(np.nan, nan_ok=True)]
    unseen = np.array([[3, 0], [2, 0]])
    assert confusion_metrics(unseen)["macro_precision"] == pytest.approx(0.3)
    assert confusion_metrics(unseen, undefined=Undefined(unpredicted=None))["macro_precision"] == pytest.approx(0.6)
    assert np.isnan(confusion_metrics(np.zeros((2, 2)))["balanced_accuracy"])


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.booleans())
def test_metrics_of_probabilities_are_those_of_scikit_learn(seed, classes, ties):
    rng = np.random.default_rng(seed)
    true = np.concatenate([np.arange(classes), rng.integers(classes, size=30)])
    p = rng.dirichlet(np.ones(classes), size=(2, len(true)))
    if ties:
        p = np.round(p * 8) / 8 + 1 / 16
        p /= p.sum(-1, keepdims=True)
    found = probability_metrics(true, p)
    for r in range(2):
        hot = np.eye(classes)[true]
        areas = [sk.roc_auc_score(hot[:, c], p[r, :, c]) for c in range(classes)]
        assert found["auroc"][r] == pytest.approx(np.mean(areas))
        precisions = [sk.average_precision_score(hot[:, c], p[r, :, c]) for c in range(classes)]
        assert found["auprc"][r] == pytest.approx(np.mean(precisions))
        assert found["log_loss"][r] == pytest.approx(sk.log_loss(true, p[r], labels=range(classes)), rel=1e-5)
        brier = np.sum([sk.brier_score_loss(hot[:, c], p[r, :, c]) for c in range(classes)])
        assert found["brier"][r] == pytest.approx(brier)


def test_two_classes_have_one_area_whichever_side_counts():
    p = np.array([0.1, 0.4, 0.35, 0.8])
    found = probability_metrics(np.array([0, 0, 1, 1]), np.stack([1 - p, p], 1))
    assert found["auroc"] == pytest.approx(0.75)


def test_calibration_error_by_hand():
    # Bin .9–1: two patients of confidence .95, one right: gap .45. Bin .6–.7: one of .65, right: gap .35.
    p = np.array([[0.95, 0.05], [0.95, 0.05], [0.65, 0.35]])
    assert probability_metrics(np.array([0, 1, 0]), p)["ece"] == pytest.approx((0.9 + 0.35) / 3)


def test_a_certain_error_costs_no_more_than_single_precision_tells():
    p = np.array([[1.0, 0.0]])
    assert probability_metrics(np.array([1]), p)["log_loss"] == pytest.approx(-np.log(LEAST_PROBABILITY))


@pytest.mark.filterwarnings("error")
def test_a_class_without_patients_leaves_the_areas_of_the_others():
    p = np.array([[0.7, 0.2, 0.1], [0.2, 0.7, 0.1]])
    found = probability_metrics(np.array([0, 1]), p)
    assert found["auroc"] == found["auprc"] == 1


def test_every_metric_is_described():
    counts = confusion_metrics(np.eye(2), ordinal=True)
    others = probability_metrics(np.array([0, 1]), np.eye(2))
    assert list(METRICS) == [*counts, *others]
    assert all(METRICS[name].needs == "classes" for name in counts)


# Published (CoRe-BT, tables 2 and 3), from the only margins that fit: right, true and predicted by class.
LGG_HGG, WHO = (4, 24), (4, 4, 20)
PUBLISHED = {
    "LGG-HGG MRI = pathology = both ablated": (LGG_HGG, (3, 21), (6, 22), (0.812, 0.727, 0.757)),
    "LGG-HGG fusion = MRI ablated": (LGG_HGG, (3, 20), (7, 21), (0.792, 0.690, 0.717)),
    "LGG-HGG pathology ablated": (LGG_HGG, (3, 22), (5, 23), (0.833, 0.778, 0.801)),
    "WHO MRI": (WHO, (1, 2, 19), (2, 4, 22), (0.567, 0.621, 0.579)),
    "WHO pathology = fusion = MRI ablated = both": (WHO, (1, 3, 16), (3, 6, 19), (0.600, 0.558, 0.569)),
    "WHO pathology ablated": (WHO, (2, 3, 15), (3, 10, 15), (0.667, 0.656, 0.619)),
}


def from_margins(true, right, predicted):
    """The first confusion matrix with these margins and hits: errors are filled in by exhaustive search."""
    rows, columns = np.subtract(true, right), np.subtract(predicted, right)
    if len(true) == 2:
        return np.diag(right) + np.array([[0, rows[0]], [rows[1], 0]])
    for a in range(rows[0] + 1):
        b = rows[0] - a
        d = columns[2] - b  # class 1 called 2
        c = rows[1] - d  # class 1 called 0
        e = columns[0] - c  # class 2 called 0
        f = rows[2] - e
        if min(b, c, d, e, f) >= 0 and a + f == columns[1]:
            return np.diag(right) + np.array([[0, a, b], [c, 0, d], [e, f, 0]])
    raise AssertionError("no such matrix")


@pytest.mark.parametrize("row", PUBLISHED)
def test_the_published_tables_follow_from_their_margins(row):
    true, right, predicted, (recall, precision, f1) = PUBLISHED[row]
    counts = from_margins(true, right, predicted)
    assert counts.sum(1).tolist() == list(true)
    assert counts.sum(0).tolist() == list(predicted)
    found = confusion_metrics(counts)
    assert found["balanced_accuracy"] == pytest.approx(recall, abs=0.00051)
    assert found["macro_recall"] == pytest.approx(recall, abs=0.00051)
    assert found["macro_precision"] == pytest.approx(precision, abs=0.00051)
    assert found["macro_f1"] == pytest.approx(f1, abs=0.00051)


def test_the_best_published_grade_has_the_lower_plain_accuracy():
    mri, best = (confusion_metrics(from_margins(*PUBLISHED[row][:3])) for row in ("WHO MRI", "WHO pathology ablated"))
    assert best["balanced_accuracy"] > mri["balanced_accuracy"]
    assert (mri["accuracy"], best["accuracy"]) == (pytest.approx(22 / 28), pytest.approx(20 / 28))
    lgg = confusion_metrics(from_margins(*PUBLISHED["LGG-HGG MRI = pathology = both ablated"][:3]))
    assert lgg["ovr_accuracy_mean"] == pytest.approx(0.857, abs=0.00051)  # not the .812 of the table
