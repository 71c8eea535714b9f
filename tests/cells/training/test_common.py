"""Schedules, weights, stopping and standardisation, by hand and against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.preprocessing import StandardScaler

from cryostat.cells.field import CellClass
from cryostat.cells.training.common import (
    IGNORED,
    BestKeeper,
    Outputs,
    Standardiser,
    adamw,
    class_weights,
    learning_rate,
    seeded,
)

CLASSES = (CellClass(1, "a"), CellClass(3, "b"), CellClass(7, "c"))


def test_outputs_skip_gaps_in_class_ids_and_ignore_background() -> None:
    labels = np.array([0, 1, 3, 7, 2])
    assert Outputs.of(CLASSES, background=False).targets(labels).tolist() == [IGNORED, 0, 1, 2, IGNORED]
    assert Outputs.of(CLASSES, background=True).targets(labels).tolist() == [IGNORED, 1, 2, 3, IGNORED]
    assert Outputs.of(CLASSES, background=True).ids.tolist() == [0, 1, 3, 7]


def test_class_weights_by_hand() -> None:
    # Frequencies 1 and 4, balance 1/2: 1 and 1/2, scaled to a mean of 1; the absent class weighs nothing.
    assert class_weights(np.array([1, 4, 0]), 0.5).tolist() == pytest.approx([4 / 3, 2 / 3, 0])
    assert class_weights(np.array([1, 4, 0]), 0.0).tolist() == pytest.approx([1, 1, 0])


def test_learning_rate_warms_up_and_ends_at_one_percent() -> None:
    assert learning_rate(0, 100, 10) == pytest.approx(0.1)
    assert learning_rate(10, 100, 10) == pytest.approx(1.0)
    assert learning_rate(55, 100, 10) == pytest.approx(0.01 + 0.99 / 2)
    assert learning_rate(100, 100, 10) == pytest.approx(0.01)


def test_only_matrices_are_decayed() -> None:
    optimiser, _ = adamw(torch.nn.Linear(3, 2), lr=0.1, weight_decay=0.5, steps=10)
    decay = {tuple(p.shape): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert decay == {(2, 3): 0.5, (2,): 0.0}


def test_standardiser_equals_scikit_learn_over_blocks() -> None:
    rows = np.random.default_rng(0).normal(3, 5, (200, 4)).astype(np.float16)
    ours = Standardiser.fit([rows[:70], rows[70:]])
    theirs = StandardScaler().fit(rows.astype(np.float64))
    np.testing.assert_allclose(ours(rows), theirs.transform(rows.astype(np.float64)), atol=1e-4)


def test_constant_features_become_zero() -> None:
    rows = np.full((5, 2), 7.0, np.float32)
    assert Standardiser.fit([rows])(rows + 1).tolist() == [[0.0, 0.0]] * 5


def test_best_keeper_restores_the_earlier_of_two_equals() -> None:
    model = torch.nn.Linear(1, 1)
    keeper = BestKeeper(model, patience=2)
    for step, score in enumerate([0.5, 0.7, 0.7, 0.6], start=1):
        torch.nn.init.constant_(model.weight, float(step))
        stop = keeper.look(step, score, loss=1.0)
    keeper.restore()
    assert stop
    assert model.weight.item() == 2.0
    assert (keeper.log.best_at, keeper.log.best_score, keeper.log.stopped_early) == (2, 0.7, True)


def test_seeded_leaves_the_outer_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    with seeded(1):
        first = torch.rand(3)
    with seeded(1):
        assert torch.equal(first, torch.rand(3))
    torch.manual_seed(5)
    with seeded(9):
        torch.rand(10)
    assert torch.equal(torch.rand(1), expected)
