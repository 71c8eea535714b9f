"""Group-robust training."""

from __future__ import annotations

import math

import pytest
import torch
from gaussian_cohort import gaussians, lesson_of

from cryostat.cases.methods.robust import GroupRobust, reweighted


def test_weights_by_hand() -> None:
    groups, losses = torch.tensor([[0.5, 0.25, 0.25]]), torch.tensor([[1.0, 2.0, 0.0]])
    raised = [0.5 * math.exp(0.1), 0.25 * math.exp(0.2), 0.25]
    expected = [value / sum(raised) for value in raised]
    assert reweighted(groups, losses, torch.tensor([0.1]))[0].tolist() == pytest.approx(expected, abs=1e-6)


def test_a_group_of_nobody_keeps_no_weight_however_bad_it_is() -> None:
    moved = reweighted(torch.tensor([[0.0, 0.5, 0.5]]), torch.tensor([[9.0, 1.0, 1.0]]), torch.tensor([1.0]))
    assert moved[0].tolist() == pytest.approx([0.0, 0.5, 0.5])


def test_a_modality_alone_ends_with_the_most_weight() -> None:
    choice = {name: setting.default for name, setting in GroupRobust.settings.items()} | {"steps": 40}
    facts = GroupRobust().fit(lesson_of(gaussians((5, 5, 5)), (100,)), choice).facts()
    weights = dict(zip(facts["patterns"], facts["weights"][0], strict=True))
    assert sum(weights.values()) == pytest.approx(1, abs=1e-4)
    assert max(weights, key=lambda pattern: weights[pattern]) in {"100", "010", "001"}
    assert min(weights, key=lambda pattern: weights[pattern]) == "111"
