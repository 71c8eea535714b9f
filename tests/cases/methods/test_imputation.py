"""Cross-modal imputation."""

from __future__ import annotations

import torch
from gaussian_cohort import gaussians, lesson_of
from sklearn.linear_model import Ridge

from cryostat.cases.methods.base import Offer
from cryostat.cases.methods.imputation import Imputer, ridge_regression


def test_ridge_agrees_with_sklearn() -> None:
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(1, 30, 5, generator=generator) + 3, torch.randn(1, 30, 2, generator=generator) - 1
    weight = (torch.arange(30) < 25).float()[None]
    slope, intercept = ridge_regression(x, y, weight, torch.tensor([7.0]))
    theirs = Ridge(alpha=7.0).fit(x[0, :25].numpy(), y[0, :25].numpy())
    torch.testing.assert_close(slope[0].float(), torch.as_tensor(theirs.coef_.T, dtype=torch.float32))
    torch.testing.assert_close(intercept[0, 0].float(), torch.as_tensor(theirs.intercept_, dtype=torch.float32))


def test_completes_each_pattern_from_the_patients_that_have_both() -> None:
    lesson = lesson_of(gaussians((6, 5, 4)), (80,))
    present = lesson.offer.present
    counted = torch.ones(1, 80, dtype=torch.bool)
    completed = Imputer(lesson.offer.blocks, present, counted, torch.tensor([3.0])).completed(lesson.offer)
    row = int((present[0] == torch.tensor([True, True, False])).all(-1).nonzero()[0])
    both = present[0].all(-1)
    sources = torch.cat(lesson.offer.blocks[:2], -1)[0].numpy()
    theirs = Ridge(alpha=3.0).fit(sources[both], lesson.offer.blocks[2][0, both].numpy())
    expected = torch.as_tensor(theirs.predict(sources[row : row + 1]), dtype=torch.float32)
    torch.testing.assert_close(completed[2][0, row : row + 1], expected, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(completed[0][0, row], lesson.offer.blocks[0][0, row])


def test_without_anybody_who_has_both_the_mean_stands_in() -> None:
    present = torch.tensor([[[True, False], [False, True]]])
    blocks = (torch.tensor([[[2.0], [0.0]]]), torch.tensor([[[0.0], [4.0]]]))
    imputer = Imputer(blocks, present, torch.ones(1, 2, dtype=torch.bool), torch.ones(1))
    completed = imputer.completed(Offer(blocks, present))
    assert completed[1][0, :, 0].tolist() == [0.0, 4.0]
