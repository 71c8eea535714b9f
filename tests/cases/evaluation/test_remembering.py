from __future__ import annotations

import gc
import weakref
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cryostat.cases.evaluation import remembering
from cryostat.cases.evaluation.preparation import Preparation, Prepared
from cryostat.cases.evidence import Bags, Evidence

TRAIN = np.arange(20)
LABELS = np.eye(2, dtype=bool)[[0, 1] * 15]


class Counting(Preparation):
    fitted = 0

    def fit(self, evidence: Evidence, train: NDArray[Any], allowed: NDArray[np.bool_]) -> Prepared:
        Counting.fitted += 1
        return super().fit(evidence, train, allowed)


@pytest.fixture(autouse=True)
def _from_nothing() -> None:
    Counting.fitted = 0


def test_the_same_is_prepared_once_and_anything_else_anew(small: SimpleNamespace) -> None:
    evidence = small.evidence([0, 1] * 15)
    first = remembering.prepared(Counting(), evidence, TRAIN, LABELS)
    assert remembering.prepared(Counting(), evidence, TRAIN.copy(), LABELS) is first
    assert remembering.prepared(Counting(), evidence, TRAIN, ~LABELS) is first  # nothing here looks at labels
    assert Counting.fitted == 1
    assert remembering.prepared(Counting(components=3), evidence, TRAIN, LABELS) is not first
    assert remembering.prepared(Counting(), evidence, TRAIN + 1, LABELS) is not first
    assert remembering.prepared(Counting(), small.evidence([0, 1] * 15), TRAIN, LABELS) is not first
    assert Counting.fitted == 4


def test_where_labels_are_looked_at_they_count() -> None:
    bags = Evidence(tuple("abcd"), {"wsi": Bags(tuple(np.ones((2, 3), np.float32) for _ in range(4)))})
    keys = {remembering._key(Preparation(), bags, TRAIN, labels) for labels in (LABELS, ~LABELS)}
    assert len(keys) == 2


def test_what_is_kept_is_bounded_and_goes_with_its_evidence(
    small: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    evidence = small.evidence([0, 1] * 15)
    monkeypatch.setattr(remembering, "LARGEST", 2 * 2 * 30 * 4 * 4)  # two times two blocks of 30 × 4 numbers
    for start in range(4):
        remembering.prepared(Counting(), evidence, TRAIN + start, LABELS)
    assert len(remembering._kept[evidence]) == 2
    remembering.prepared(Counting(), evidence, TRAIN + 3, LABELS)
    assert Counting.fitted == 4
    kept = weakref.ref(evidence)
    del evidence
    gc.collect()
    assert kept() is None
