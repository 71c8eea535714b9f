from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from cryostat.core.errors import InputError, SettingError
from cryostat.results.scores import Scores, confusion, grouped, macro_f1, score

CLASSES = {1: "tumour", 2: "stroma", 3: "lymphocyte"}


def frame(true, predicted, **columns):
    return pd.DataFrame({"y_true": true, "y_pred": predicted, **columns}, dtype=None)


def test_values_that_can_be_checked_by_hand():
    # tumour: 2 of 3 found, 2 of 3 called so are; stroma: 1 of 1 found, 1 of 2; lymphocyte: none true.
    scores = score(frame([1, 1, 1, 2], [1, 1, 2, 2]), CLASSES)
    tumour, stroma, lymphocyte = scores.classes
    assert (tumour.precision, tumour.recall, tumour.f1) == (1.0, 2 / 3, pytest.approx(0.8))
    assert (stroma.precision, stroma.recall, stroma.f1) == (0.5, 1.0, pytest.approx(2 / 3))
    assert (lymphocyte.f1, lymphocyte.support, lymphocyte.left_out) == (None, 0, "no true cell")
    assert scores.macro_f1 == pytest.approx((0.8 + 2 / 3) / 2)
    assert scores.accuracy == 0.75
    assert scores.cells == 4
    assert scores.left_out == {"lymphocyte": "no true cell"}
    assert scores.confusion_ids == (0, 1, 2, 3)
    assert scores.confusion[1] == (0, 2, 1, 0)
    assert scores.of(2) is stroma


def test_a_predicted_class_without_true_cells_counts_only_when_the_set_floats():
    table = frame([1, 2], [1, 3])
    fixed, floating = score(table, CLASSES), score(table, CLASSES, class_set="floating")
    assert fixed.macro_f1 == pytest.approx(1 / 2)
    assert floating.macro_f1 == pytest.approx(1 / 3)
    assert floating.of(3).f1 == 0.0
    assert [c.name for c in floating.counted] == ["tumour", "stroma", "lymphocyte"]


def test_what_is_undefined_is_none_and_not_zero():
    scores = score(frame([1, 2], [1, 1]), CLASSES)
    assert scores.of(2).precision is None  # never predicted
    assert (scores.of(2).recall, scores.of(2).f1) == (0.0, 0.0)
    assert scores.macro_precision is None
    assert scores.macro_recall == 0.5
    nothing = score(frame([], []).astype(int), CLASSES)
    assert (nothing.macro_f1, nothing.accuracy, nothing.cells) == (None, None, 0)


def test_cells_without_a_class_are_scored_only_as_published():
    table = frame([0, 1, 1], [1, 1, 1])
    assert score(table, CLASSES).of(1).precision == 1.0
    assert score(table, CLASSES).unlabelled == 1
    assert score(table, CLASSES, class_set="floating").of(1).precision == pytest.approx(2 / 3)


def test_background_predictions_are_misses_and_never_a_class():
    scores = score(frame([1, 1, 2], [0, 1, 2]), CLASSES)
    assert scores.of(1).recall == 0.5
    assert scores.of(1).precision == 1.0
    assert [c.id for c in scores.classes] == [1, 2, 3]


def test_an_explicit_class_set_is_taken_at_its_word():
    table = frame([1, 1, 2], [1, 3, 2])
    some = score(table, CLASSES, counted=[1])
    assert some.macro_f1 == pytest.approx(2 / 3)
    assert some.left_out == {"stroma": "not asked for", "lymphocyte": "not asked for"}
    every = score(table, CLASSES, counted=[1, 2, 3])
    assert (every.of(3).f1, every.of(3).recall, every.macro_recall) == (0.0, None, None)
    with pytest.raises(SettingError, match="no class 9"):
        score(table, CLASSES, counted=[9])


def test_classes_may_be_objects_or_bare_ids():
    table = frame([1], [1])
    assert score(table, [SimpleNamespace(id=1, name="x")]).of(1).name == "x"
    assert score(table, [1]).of(1).name == "class 1"


def test_unknown_classes_and_rules_are_refused():
    with pytest.raises(InputError, match="class id 9"):
        score(frame([1], [9]), CLASSES)
    with pytest.raises(InputError, match="class id nan"):
        score(frame([1], [float("nan")]), CLASSES)
    with pytest.raises(SettingError, match="Choose one of: fixed, floating"):
        score(frame([1], [1]), CLASSES, class_set="loose")


def test_the_published_truth_may_be_an_id_that_is_no_class():
    # A nucleus of classes 1 and 4 has the truncated mean 2.
    scores = score(frame([2, 1], [1, 1]), {1: "a", 4: "b"}, class_set="floating")
    assert [c.name for c in scores.counted] == ["a", "class 2"]


def test_scores_survive_json():
    scores = score(frame([1, 2, 2], [1, 1, 2]), CLASSES)
    assert Scores.from_dict(json.loads(json.dumps(scores.to_dict()))) == scores


@pytest.mark.parametrize("damage", [{"format": 0}, {"format": 1}, {"format": 1, "classes": 3}])
def test_damaged_scores_are_our_error(damage):
    with pytest.raises(InputError, match="Score the run again"):
        Scores.from_dict(damage)


def test_scores_by_site_and_group():
    table = frame([1, 2, 1, 2], [1, 2, 2, 2], site=["n", "n", "s", None], group_stage=["3", "3", "4", "4"])
    by_site = grouped(table, "site", CLASSES)
    assert {site: s.cells for site, s in by_site.items()} == {"n": 2, "s": 1, "unknown": 1}
    assert by_site["n"].macro_f1 == 1.0
    assert by_site["s"].macro_f1 == 0.0
    assert grouped(table, "stage", CLASSES)["3"].accuracy == 1.0
    with pytest.raises(SettingError, match="no column 'town'"):
        grouped(table, "town", CLASSES)


def test_macro_f1_of_lists():
    assert macro_f1([1, 1, 2], [1, 1, 2]) == 1.0
    assert macro_f1([1, 2], [1, 3]) == 0.5
    assert macro_f1([1, 2], [1, 3], "floating") == pytest.approx(1 / 3)
    assert macro_f1([], []) == 0.0


labels = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=60)


@given(labels)
def test_floating_equals_scikit_learn(pairs):
    true, predicted = np.array(pairs).T
    classes = sorted((set(true) | set(predicted)) - {0})
    scores = score(frame(true, predicted), range(1, 6), class_set="floating")
    assert [c.id for c in scores.counted] == classes
    assert scores.accuracy == pytest.approx(accuracy_score(true, predicted))
    if not classes:
        assert scores.macro_f1 is None
        return
    p, r, f, n = precision_recall_fscore_support(true, predicted, labels=classes, zero_division=0)
    assert [c.precision for c in scores.counted] == pytest.approx(p.tolist())
    assert [c.recall for c in scores.counted] == pytest.approx(r.tolist())
    assert [c.f1 for c in scores.counted] == pytest.approx(f.tolist())
    assert [c.support for c in scores.counted] == n.tolist()
    assert (scores.macro_f1, scores.macro_precision, scores.macro_recall) == pytest.approx(
        (f.mean(), p.mean(), r.mean())
    )


@given(labels)
def test_fixed_equals_scikit_learn_over_the_true_classes(pairs):
    true, predicted = np.array(pairs).T
    keep = true != 0
    classes = sorted(set(true[keep]))
    scores = score(frame(true, predicted), range(1, 6))
    assert (scores.cells, scores.unlabelled) == (keep.sum(), (~keep).sum())
    if not classes:
        assert scores.macro_f1 is None
        return
    _, r, f, _ = precision_recall_fscore_support(true[keep], predicted[keep], labels=classes, zero_division=0)
    assert scores.macro_f1 == pytest.approx(f.mean())
    assert scores.macro_recall == pytest.approx(r.mean())


@given(labels)
def test_confusion_equals_scikit_learn(pairs):
    true, predicted = np.array(pairs).T
    ids = list(range(6))
    expected = confusion_matrix(true, predicted, labels=ids)
    assert np.array_equal(confusion(frame(true, predicted), ids), expected)


@pytest.mark.parametrize("name", ["clean", "mixed"])
def test_published_scores_are_met(shared, name):
    cells = np.load(shared / "parity" / f"cell_scores_{name}.npz")
    expected = json.loads((shared / "parity" / f"cell_scores_{name}.json").read_text())
    scores = score(frame(cells["cell_true"], cells["cell_pred"]), range(1, 7), class_set="floating")
    macro = expected["macro"]
    for ours, theirs in (
        (scores.macro_precision, "precision_macro"),
        (scores.macro_recall, "recall_macro"),
        (scores.macro_recall, "accuracy_macro"),
        (scores.macro_f1, "f1_score_macro"),
        *((scores.accuracy, f"{kind}_micro") for kind in ("precision", "recall", "f1_score", "accuracy")),
    ):
        assert ours == pytest.approx(macro[theirs], abs=1e-9), theirs
    assert len(expected["per_class"]) == 4 * len(scores.counted)
    for c in scores.counted:
        for ours, theirs in (
            (c.precision, "precision"),
            (c.recall, "recall"),
            (c.recall, "accuracy"),
            (c.f1, "f1_score"),
        ):
            assert ours == pytest.approx(expected["per_class"][f"class{c.id}/{theirs}"], abs=1e-9)
