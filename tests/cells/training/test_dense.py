"""Logits at labelled pixels against torch's own enlargement; a head that must find what is planted."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from cryostat.cells.training.common import IGNORED
from cryostat.cells.training.dense import at_labelled_pixels, enlarged


@pytest.mark.parametrize(("grid", "size"), [(14, 224), (7, 28), (16, 224), (24, 24)])
def test_logits_at_pixels_equal_those_of_the_enlarged_map(grid: int, size: int) -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 3, grid, grid)
    targets = torch.where(torch.rand(2, size, size) < 0.1, torch.randint(0, 3, (2, size, size)), IGNORED)
    ours, answers = at_labelled_pixels(logits, targets)
    whole = F.interpolate(logits, size=(size, size), mode="bilinear", align_corners=False)
    torch.testing.assert_close(enlarged(logits, size), whole)
    torch.testing.assert_close(ours, whole.permute(0, 2, 3, 1)[targets != IGNORED], rtol=1e-4, atol=1e-5)
    assert torch.equal(answers, targets[targets != IGNORED])


def test_no_more_pixels_than_asked_for_and_none_twice() -> None:
    targets = torch.full((1, 10, 10), IGNORED)
    targets[0, :5] = torch.arange(50).view(5, 10)
    _, answers = at_labelled_pixels(torch.zeros(1, 2, 5, 5), targets, most=20)
    assert len(answers) == 20
    assert len(set(answers.tolist())) == 20
    assert len(at_labelled_pixels(torch.zeros(1, 2, 5, 5), targets, most=200)[1]) == 50
