"""The nearest class mean."""

from __future__ import annotations

import torch
from gaussian_cohort import gaussians, lesson_of, offered
from sklearn.neighbors import NearestCentroid

from cryostat.cases.methods.nearest_mean import NearestMean, class_means


def test_means_by_hand() -> None:
    block = torch.tensor([[[1.0], [3.0], [11.0]]])
    mass = torch.tensor([[[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]]])
    assert class_means(block, mass, torch.zeros(1))[0, :, 0].tolist() == [2.0, 11.0]
    # Two patients more at the mean of all, 5: (1 + 3 + 2·5) / 4 and (11 + 2·5) / 3.
    torch.testing.assert_close(class_means(block, mass, torch.tensor([2.0]))[0, :, 0], torch.tensor([3.5, 7.0]))


def test_agrees_with_sklearn_on_complete_data() -> None:
    world = gaussians((6, 5, 4))
    lesson = lesson_of(world, (90,), complete=True)
    fitted = NearestMean().fit(lesson, {"extra": 0.0, "prior": "uniform"})
    blocks, _ = world.draw(200, torch.Generator().manual_seed(1))
    said = fitted.log_probabilities(offered(world, blocks, (0, 1, 2), 1))[0].argmax(-1)
    truth = lesson.allowed[0].int().argmax(-1)
    theirs = NearestCentroid().fit(torch.cat(lesson.offer.blocks, -1)[0].numpy(), truth.numpy())
    assert (said.numpy() == theirs.predict(torch.cat(blocks, -1).numpy())).all()


def test_agrees_with_sklearn_on_one_modality() -> None:
    world = gaussians((6, 5, 4))
    lesson = lesson_of(world, (90,), complete=True)
    fitted = NearestMean().fit(lesson, {"extra": 0.0, "prior": "uniform"})
    blocks, _ = world.draw(200, torch.Generator().manual_seed(1))
    said = fitted.log_probabilities(offered(world, blocks, (1,), 1))[0].argmax(-1)
    truth = lesson.allowed[0].int().argmax(-1)
    theirs = NearestCentroid().fit(lesson.offer.blocks[1][0].numpy(), truth.numpy())
    assert (said.numpy() == theirs.predict(blocks[1].numpy())).all()
