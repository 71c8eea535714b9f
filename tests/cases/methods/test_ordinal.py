"""The ordinal head."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from gaussian_cohort import gaussians, lesson_of, offered

from cryostat.cases.methods.ordinal import OrdinalHead, cumulative_log_probabilities
from cryostat.core.errors import SettingError

CHOICE = {name: setting.default for name, setting in OrdinalHead.settings.items()}


def test_probabilities_by_hand() -> None:
    said = cumulative_log_probabilities(torch.tensor([[0.5]]), torch.tensor([[[-1.0, 2.0]]])).exp()[0, 0]

    def above(x: float) -> float:
        return 1 / (1 + math.exp(-x))

    # P(y > 0) = σ(0.5 + 1) = 0.8176, P(y > 1) = σ(0.5 − 2) = 0.1824.
    assert said.tolist() == pytest.approx([1 - above(1.5), above(1.5) - above(-1.5), above(-1.5)], abs=1e-6)
    assert said.tolist() == pytest.approx([0.1824, 0.6351, 0.1824], abs=1e-4)


def test_far_scores_stay_finite_and_sum_to_one() -> None:
    said = cumulative_log_probabilities(torch.tensor([[-80.0, 80.0]]), torch.tensor([[[0.0, 1.0, 4.0]]]))
    assert said.isfinite().all()
    torch.testing.assert_close(said.exp().sum(-1), torch.ones(1, 2))


def test_classes_on_a_line_are_learnt() -> None:
    world = gaussians((3, 3), classes=3)
    line = torch.tensor([[-1.5], [0.0], [1.5]]) * torch.ones(1, 6)
    world = replace(world, means=line, covariance=torch.eye(6))
    lesson = replace(lesson_of(world, (200,)), ordinal=True)
    fitted = OrdinalHead().fit(lesson, {**CHOICE, "strength": 2.0})
    blocks, y = world.draw(500, torch.Generator().manual_seed(3))
    for subset in ((0,), (0, 1)):
        said = fitted.log_probabilities(offered(world, blocks, subset, 1))[0]
        best = (world.log_posterior(blocks, subset).argmax(-1) == y).float().mean()
        assert (said.argmax(-1) == y).float().mean() > best - 0.05


def test_refuses_classes_without_an_order() -> None:
    with pytest.raises(SettingError, match="order"):
        OrdinalHead().fit(lesson_of(gaussians((3, 3)), (20,)), CHOICE)
