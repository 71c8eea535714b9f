"""Linear discriminant analysis."""

from __future__ import annotations

import pytest
import torch
from gaussian_cohort import gaussians, lesson_of, offered
from sklearn.covariance import ledoit_wolf_shrinkage
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from cryostat.cases.methods.lda import Discriminant, DiscriminantAnalysis, shrunk, within_covariance

PLAIN = {"independence": 0.0, "extra": 0.0, "calibrated": False, "prior": "training"}


@pytest.mark.parametrize("shrinkage", [0.1, 0.6])
def test_agrees_with_sklearn_on_complete_data(shrinkage: float) -> None:
    world = gaussians((6, 5, 4))
    lesson = lesson_of(world, (120,), complete=True)
    fitted = DiscriminantAnalysis().fit(lesson, {**PLAIN, "shrinkage": shrinkage})
    blocks, _ = world.draw(100, torch.Generator().manual_seed(1))
    truth = lesson.allowed[0].int().argmax(-1)
    # Ours adds half a patient to each class for the prior.
    theirs = LinearDiscriminantAnalysis(solver="lsqr", shrinkage=shrinkage)
    theirs.fit(torch.cat(lesson.offer.blocks, -1)[0].numpy(), truth.numpy())
    theirs.intercept_ += (lesson.prior()[0].log() - torch.tensor(theirs.priors_).log()).numpy()
    expected = theirs.predict_log_proba(torch.cat(blocks, -1).numpy())
    said = fitted.log_probabilities(offered(world, blocks, (0, 1, 2), 1))[0]
    torch.testing.assert_close(said, torch.as_tensor(expected, dtype=torch.float32), atol=2e-3, rtol=2e-3)


def test_share_is_ledoit_and_wolfs_on_complete_data() -> None:
    generator = torch.Generator().manual_seed(0)
    residuals = torch.randn(1, 40, 12, generator=generator) @ torch.randn(12, 12, generator=generator)
    covariance, share = within_covariance(residuals, torch.ones_like(residuals), torch.ones(1, 40))
    expected = ledoit_wolf_shrinkage(residuals[0].numpy(), assume_centered=True)
    assert share[0].item() == pytest.approx(expected, abs=1e-4)
    torch.testing.assert_close(covariance[0], residuals[0].T @ residuals[0] / 40)


def test_covariance_of_two_uses_those_that_have_both() -> None:
    residuals = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [5.0, 0.0]]])
    there = torch.tensor([[[1.0, 1.0], [1.0, 1.0], [1.0, 0.0]]])
    covariance, _ = within_covariance(residuals, there, torch.ones(1, 3))
    torch.testing.assert_close(covariance[0], torch.tensor([[35 / 3, 7.0], [7.0, 10.0]]))


def test_independence_takes_away_what_modalities_share() -> None:
    covariance = torch.tensor([[[2.0, 0.8, 0.4], [0.8, 2.0, 0.4], [0.4, 0.4, 2.0]]])
    half = shrunk(covariance, torch.zeros(1), (2, 1), torch.tensor([0.5]))
    expected = torch.tensor([[[2.0, 0.8, 0.2], [0.8, 2.0, 0.2], [0.2, 0.2, 2.0]]])
    torch.testing.assert_close(half, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("subset", [(0,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_many_patients_come_near_the_exact_posterior(subset: tuple[int, ...]) -> None:
    world = gaussians((4, 4, 4))
    lesson = lesson_of(world, (40_000,))
    fitted = DiscriminantAnalysis().fit(lesson, {**PLAIN, "shrinkage": 0.0})
    blocks, _ = world.draw(300, torch.Generator().manual_seed(1))
    said = fitted.log_probabilities(offered(world, blocks, subset, 1))[0].exp()
    assert (said - world.log_posterior(blocks, subset).exp()).abs().mean() < 0.01


@pytest.mark.parametrize("subset", [(0,), (2,), (0, 1), (1, 2), (0, 1, 2)])
def test_with_the_true_parameters_it_is_the_exact_posterior(subset: tuple[int, ...]) -> None:
    world = gaussians((7, 5, 3))
    one = torch.ones(1)
    truth = Discriminant(world.means[None], world.covariance[None], one, world.prior.log()[None], one)
    blocks, _ = world.draw(300, torch.Generator().manual_seed(1))
    said = truth.log_probabilities(offered(world, blocks, subset, 1))[0]
    torch.testing.assert_close(said, world.log_posterior(blocks, subset), atol=1e-3, rtol=1e-3)
