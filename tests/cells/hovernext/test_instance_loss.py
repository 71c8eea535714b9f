"""The loss of the instance decoder, by hand."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from cryostat.cells.hovernext.loss import InstanceLossSettings, combined_loss, instance_loss
from cryostat.cells.hovernext.targets import InstanceTargets, instance_targets
from cryostat.core.errors import SettingError

PLAIN = InstanceLossSettings()


@pytest.fixture
def targets() -> InstanceTargets:
    return InstanceTargets(torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 2]]]))


def test_mse_plus_weighted_cross_entropy(targets: InstanceTargets) -> None:
    vectors = torch.tensor([3.0, 0, 0, 1]).reshape(1, 2, 1, 2)
    parts = torch.zeros(1, 3, 1, 2)
    parts[0, 0, 0, 0] = math.log(2)  # P(background) = 2/4 at the background pixel, P(border) = 1/3 at the border pixel
    expected = (9 + 1) / 4 + (1 * math.log(2) + 2 * math.log(3)) / 3
    assert float(instance_loss(vectors, parts, targets, PLAIN)) == pytest.approx(expected, rel=1e-6)


def test_smooth_l1_is_linear_far_away(targets: InstanceTargets) -> None:
    vectors = torch.tensor([3.0, 0, 0, 0.5]).reshape(1, 2, 1, 2)
    parts = torch.full((1, 3, 1, 2), -50.0)
    parts[0, 0, 0, 0] = parts[0, 2, 0, 1] = 50
    loss = instance_loss(vectors, parts, targets, InstanceLossSettings(vectors="smooth-l1"))
    assert float(loss) == pytest.approx((2.5 + 0.125) / 4, rel=1e-6)


def test_half_precision_is_summed_in_single(targets: InstanceTargets) -> None:
    loss = instance_loss(torch.full((1, 2, 1, 2), 300.0).half(), torch.zeros(1, 3, 1, 2).half(), targets, PLAIN)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(90_000 + math.log(3), rel=1e-6)


def test_smoothing_makes_certainty_dear(targets: InstanceTargets) -> None:
    parts = torch.full((1, 3, 1, 2), -50.0)
    parts[0, 0, 0, 0] = parts[0, 2, 0, 1] = 50
    sure = instance_loss(targets.vectors, parts, targets, PLAIN)
    assert float(sure) == pytest.approx(0, abs=1e-6)
    assert float(instance_loss(targets.vectors, parts, targets, InstanceLossSettings(label_smoothing=0.1))) > 1


def test_perfect_maps_cost_nothing() -> None:
    tile = torch.zeros(1, 9, 9, dtype=torch.int64)
    tile[0, 2:7, 1:6] = 4
    made = instance_targets(tile)
    parts = torch.nn.functional.one_hot(made.parts, 3).movedim(-1, 1) * 100.0
    assert float(instance_loss(made.vectors, parts, made, PLAIN)) == pytest.approx(0, abs=1e-6)


def test_the_sum_is_weighted_by_lambda() -> None:
    one, ten = torch.tensor(1.0), torch.tensor(10.0)
    assert float(combined_loss(one, ten, PLAIN)) == pytest.approx(0.02 + 9.8)
    assert float(combined_loss(one, ten, InstanceLossSettings(weight=1.0))) == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"weight": 1.5},
        {"label_smoothing": 1.0},
        {"part_weights": (1.0, 2.0)},
        {"part_weights": (1.0, 0.0, 1.0)},
        {"vectors": "l1"},
    ],
)
def test_impossible_settings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        InstanceLossSettings(**wrong)


def test_maps_of_another_size_are_refused(targets: InstanceTargets) -> None:
    with pytest.raises(SettingError, match="very images"):
        instance_loss(torch.zeros(1, 2, 1, 3), torch.zeros(1, 3, 1, 3), targets, PLAIN)
