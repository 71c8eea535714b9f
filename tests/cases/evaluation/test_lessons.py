from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cryostat.cases.evaluation.lessons import Fits, Lessons, folds_of_splits
from cryostat.cases.evaluation.preparation import Preparation
from cryostat.cases.evaluation.splits import Split
from cryostat.cases.evidence import Evidence

TRAINS = (np.array([0, 1, 2, 3, 4]), np.array([3, 4, 5, 6]))
TESTS = (np.array([6]), np.array([0, 1]))
Y = [0, 1, 0, 1, -1, 0, 1, 0]


def lessons_of(small: SimpleNamespace, preparation: Any = None) -> Lessons:
    splits = [Split(f"s{k}", 0, k, TRAINS[k], TESTS[k]) for k in range(2)]
    evidence, targets = small.evidence(Y), small.targets(Y, 2, {7: [0, 1]})
    folds = folds_of_splits(splits, targets, evidence.present, 2)
    return Lessons(evidence, targets, preparation or Preparation(components=0), folds)


FITS = Fits(np.array([0, 0, 1]), np.array([5, 6, 5]), {"decay": np.array([1, 2, 3], np.float32)})


def test_short_fits_are_filled_up_with_patients_of_whom_nothing_is_known(small: SimpleNamespace) -> None:
    lesson = lessons_of(small).lesson(FITS)
    assert lesson.weight.tolist() == [[1, 1, 1, 1, 0], [1, 1, 1, 1, 0], [1, 0, 1, 1, 0]]
    assert lesson.allowed[2].tolist() == [[False, True], [True, True], [True, False], [False, True], [True, True]]
    assert lesson.leaves is not None
    assert lesson.leaves.equal(lesson.allowed)
    assert lesson.inner[2, 4] == -1
    assert sorted(lesson.inner[2, :4].tolist()) == [0, 0, 1, 1]
    assert lesson.inner[0].equal(lesson.inner[1])
    assert (lesson.split.tolist(), lesson.seeds.tolist()) == ([0, 0, 1], [5, 6, 5])
    assert lesson.settings["decay"].tolist() == [1, 2, 3]
    assert not lesson.offer.present[2, 4].any()
    assert not any(block[2, 4].any() for block in lesson.offer.blocks)


def test_each_fit_has_its_own_standardisation(small: SimpleNamespace) -> None:
    lessons = lessons_of(small)
    lesson = lessons.lesson(FITS)
    for m, block in enumerate(lesson.offer.blocks):
        there = lesson.offer.present[..., m]
        for f in range(3):
            if there[f].sum() > 1:
                assert torch.allclose(block[f][there[f]].mean(0), torch.zeros(4), atol=1e-5)
        assert block[0].equal(block[1])
    shown = lessons.shown(FITS)
    assert shown.offer.blocks[0].shape == (3, 2, 4)
    rows, allowed = lessons.asked(FITS)
    assert rows.tolist() == [[6, -1], [6, -1], [0, 1]]
    assert allowed[0].tolist() == [[False, True], [True, True]]
    assert shown.keys == [(5, 0, 0), (6, 0, 0), (5, 0, 1)]


def test_preparation_never_sees_the_labels_of_others(small: SimpleNamespace) -> None:
    seen = []

    class Watching(Preparation):
        def fit(self, evidence: Evidence, train: NDArray[Any], allowed: NDArray[np.bool_]) -> Any:
            seen.append((train.tolist(), allowed))
            return super().fit(evidence, train, allowed)

    lessons_of(small, Watching(components=0)).lesson(FITS)
    assert [train for train, _ in seen] == [train.tolist() for train in TRAINS]
    for train, allowed in seen:
        assert allowed[np.setdiff1d(np.arange(8), train)].all()


def test_batches_fit_memory_and_keep_the_order(small: SimpleNamespace) -> None:
    lessons = lessons_of(small)
    assert [batch.fold.tolist() for batch in lessons.batches(FITS, 10**9)] == [[0, 0, 1]]
    assert [batch.seeds.tolist() for batch in lessons.batches(FITS, 1)] == [[5], [6], [5]]
    whole = lessons.lesson(FITS)
    for f, batch in enumerate(lessons.batches(FITS, 1)):
        alone = lessons.lesson(batch)
        assert all(a[0].equal(b[f]) for a, b in zip(alone.offer.blocks, whole.offer.blocks, strict=True))
        assert alone.allowed[0].equal(whole.allowed[f])


def test_inner_folds_ask_about_labelled_training_patients_alone(small: SimpleNamespace) -> None:
    lessons = lessons_of(small)
    within, belongs = lessons.inside(2)
    assert belongs.tolist() == [0, 0, 1, 1]
    for number, fold in zip(belongs, within.folds, strict=True):
        outer = lessons.folds[number]
        assert set(fold.train) | set(fold.test) == set(outer.train)
        assert not set(fold.train) & set(fold.test)
        assert 4 not in fold.test
        assert 4 in fold.train
    assert within.folds[0].key == (0, 0, 0)
