from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import one_hot

from cryostat.cells.training.common import IGNORED
from cryostat.cells.training.recipe.loss import LossSettings, PixelCrossEntropy, focal_loss
from cryostat.core.errors import SettingError


@pytest.mark.parametrize("weighting", [True, False])
def test_published_losses_and_weights(shared: Path, weighting: bool) -> None:
    arrays = np.load(shared / "parity/paper_recipe.npz")
    known = json.loads((shared / "parity/paper_recipe.json").read_text())
    loss = PixelCrossEntropy(7, LossSettings(class_weighting=weighting, softmaxed_weights=True))
    for step in range(4):
        logits = torch.from_numpy(arrays[f"loss_logits_{weighting}_{step}"])
        targets = torch.from_numpy(arrays[f"loss_target_{weighting}_{step}"])
        assert loss(logits, targets).item() == pytest.approx(known[f"loss class_weighting={weighting}"][step], abs=1e-6)
        if weighting:
            weights = known["class weights after each step"][step]
            np.testing.assert_allclose(loss.classes.weights().numpy(), weights, atol=1e-6, rtol=0)


def pixels(*targets: int) -> torch.Tensor:
    return torch.tensor(targets).reshape(1, 1, -1)


def test_background_and_ignored_pixels_do_not_count() -> None:
    loss = PixelCrossEntropy(3, LossSettings(label_smoothing=0, class_weighting=False))
    logits = torch.randn(1, 3, 1, 4, generator=torch.Generator().manual_seed(0))
    logits[0, :, 0, 1] = torch.tensor([0.0, 0.0, 0.0])
    assert loss(logits, pixels(0, 2, IGNORED, 0)).item() == pytest.approx(math.log(3))


def test_no_counted_pixel_gives_zero_loss_and_zero_gradient() -> None:
    for quirk in (True, False):
        logits = torch.randn(1, 3, 1, 2, requires_grad=True)
        value = PixelCrossEntropy(3, LossSettings(softmaxed_weights=quirk))(logits, pixels(0, IGNORED))
        value.backward()
        assert value.item() == 0
        assert logits.grad is not None
        assert not logits.grad.any()


def test_standard_weights_give_each_class_the_same_share() -> None:
    """Three pixels of class 1 at loss a and one of class 2 at loss b: (a + b) / 2, not (3a + b) / 4."""
    loss = PixelCrossEntropy(4, LossSettings(label_smoothing=0))
    logits = torch.zeros(1, 4, 1, 4)
    logits[0, 1, 0, :3] = 2.0
    expected = (math.log(3 + math.e**2) - 2 + math.log(4)) / 2
    assert loss(logits, pixels(1, 1, 1, 2)).item() == pytest.approx(expected, abs=1e-4)
    np.testing.assert_allclose(loss.classes.weights().numpy(), [0, 0.25, 0.75, 0], atol=1e-4)


def test_softmaxed_weights_are_nearly_flat_where_standard_ones_are_not() -> None:
    targets = pixels(*[1] * 99, 2)
    ratio = {}
    for quirk in (True, False):
        loss = PixelCrossEntropy(3, LossSettings(softmaxed_weights=quirk))
        loss(torch.zeros(1, 3, 1, 100), targets)
        weights = loss.classes.weights()
        ratio[quirk] = (weights[2] / weights[1]).item()
    assert ratio[False] == pytest.approx(99, rel=1e-3)
    assert ratio[True] < math.e


def test_weights_stay_in_evaluation_and_survive_a_resume() -> None:
    first = PixelCrossEntropy(3, LossSettings())
    first(torch.zeros(1, 3, 1, 3), pixels(1, 1, 2))
    second = PixelCrossEntropy(3, LossSettings())
    second.load_state_dict(first.state_dict())
    second.eval()
    second(torch.zeros(1, 3, 1, 3), pixels(2, 2, 2))
    assert torch.equal(first.classes.weights(), second.classes.weights())


def test_focal_loss_without_focus_is_cross_entropy_over_outputs() -> None:
    logits, targets = torch.zeros(1, 4, 1, 2), pixels(1, 3)
    assert focal_loss(logits, targets, gamma=0).item() == pytest.approx(math.log(4) / 4)


def test_focal_loss_with_alpha_one_leaves_background_out() -> None:
    logits = torch.randn(2, 4, 5, 5, generator=torch.Generator().manual_seed(0), requires_grad=True)
    focal_loss(logits, torch.zeros(2, 5, 5, dtype=torch.long)).backward()
    assert logits.grad is not None
    assert not logits.grad.any()


def test_focal_loss_is_the_written_formula() -> None:
    chance = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 4, 5, 5, generator=chance)
    targets = torch.randint(0, 4, (2, 5, 5), generator=chance)
    likelihood = logits.softmax(1)
    truth = one_hot(targets, 4).permute(0, 3, 1, 2)
    alpha = torch.tensor([0.25, 0.75, 0.75, 0.75]).view(1, 4, 1, 1)
    expected = (-alpha * (1 - likelihood) ** 2 * likelihood.log() * truth).mean()
    assert focal_loss(logits, targets, alpha=0.75).item() == pytest.approx(expected.item(), rel=1e-5)


def test_shapes_that_do_not_match_are_an_error() -> None:
    with pytest.raises(SettingError, match="do not belong together"):
        focal_loss(torch.zeros(1, 3, 4, 4), torch.zeros(1, 5, 4, dtype=torch.long))
    with pytest.raises(SettingError, match="label_smoothing"):
        LossSettings(label_smoothing=1.5)
