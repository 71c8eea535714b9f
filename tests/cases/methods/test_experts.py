"""Experts and their words on patients that they did not see."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussian_cohort import gaussians, lesson_of, offered
from sklearn.linear_model import LogisticRegression

from cryostat.cases.methods.experts import fit_experts
from cryostat.cases.methods.probe import STRENGTHS
from cryostat.core.errors import SettingError

WORLD = gaussians((5, 4, 3))
LESSON = lesson_of(WORLD, (60, 80))
FIXED = {"strength": 10.0, "balanced": False}
CHOSEN = {"strength": 0.0, "balanced": False}


def test_an_expert_is_a_logistic_regression_of_the_patients_that_have_its_modality() -> None:
    there = LESSON.offer.present[1, :, 2] & (LESSON.weight[1] > 0)
    x, y = LESSON.offer.blocks[2][1][there].double().numpy(), LESSON.allowed[1].float().argmax(-1)[there].numpy()
    expected = LogisticRegression(C=1 / 10, tol=1e-10, max_iter=10_000).fit(x, y).predict_proba(x)
    said = fit_experts(LESSON, FIXED).log_probabilities(LESSON.offer)[1, there, 2].exp()
    np.testing.assert_allclose(said, expected, atol=1e-4)


def test_words_out_of_fold_are_those_of_an_expert_that_learnt_from_the_other_folds() -> None:
    fold = LESSON.inner == 3
    others = fit_experts(replace(LESSON, weight=LESSON.weight * ~fold), FIXED).log_probabilities(LESSON.offer)
    said = fit_experts(LESSON, FIXED).out_of_fold
    there = (fold[..., None] & LESSON.offer.present)[..., None].expand_as(said)
    torch.testing.assert_close(said[there], others[there], atol=1e-4, rtol=1e-4)


def test_a_missing_modality_is_said_to_be_the_prior() -> None:
    experts = fit_experts(LESSON, CHOSEN)
    missing = ~LESSON.offer.present
    for said in (experts.out_of_fold, experts.log_probabilities(LESSON.offer)):
        torch.testing.assert_close(said[missing], experts.log_prior[:, None, None].expand_as(said)[missing])


def test_strengths_are_of_the_grid_and_noise_is_mostly_given_strong_ones() -> None:
    draw = torch.Generator().manual_seed(0)
    noise = replace(LESSON.offer, blocks=tuple(torch.randn(b.shape, generator=draw) for b in LESSON.offer.blocks))
    strength = fit_experts(replace(LESSON, offer=noise), CHOSEN).strength
    assert set(strength.flatten().tolist()) <= set(STRENGTHS)
    assert (strength >= 100).float().mean() > 0.5


def test_fits_of_the_same_split_share_their_experts() -> None:
    twice = LESSON.of_fits(torch.tensor([1, 0, 1]))
    experts = fit_experts(twice, CHOSEN)
    assert torch.equal(experts.out_of_fold[0], experts.out_of_fold[2])
    torch.testing.assert_close(experts.strength[0], fit_experts(LESSON, CHOSEN).strength[1])


def test_strengths_may_differ_between_fits_of_a_split() -> None:
    both = replace(LESSON.of_fits(torch.tensor([1, 1])), settings={"strength": torch.tensor([1.0, 1000.0])})
    weak, strong = fit_experts(both, CHOSEN).log_probabilities(both.offer).exp().amax(-1).mean((1, 2))
    assert weak > strong + 0.1


def test_balanced_experts_hear_the_rare_class_more() -> None:
    plain, balanced = (
        fit_experts(LESSON, {**FIXED, "balanced": b}).log_probabilities(LESSON.offer) for b in (False, True)
    )
    rare = LESSON.allowed.float().mean((0, 1)).argmin()
    there = LESSON.offer.present
    assert balanced.exp()[..., rare][there].mean() > plain.exp()[..., rare][there].mean()


def test_an_expert_of_nobody_or_of_one_class_is_not_usable_and_says_the_prior() -> None:
    first = LESSON.allowed[..., 0]
    gone = LESSON.offer.present & torch.tensor([True, False, True])
    gone[..., 2] &= first
    experts = fit_experts(replace(LESSON, offer=LESSON.offer.showing(gone)), CHOSEN)
    assert experts.learnt.tolist() == [[True, False, False]] * 2
    blocks, _ = WORLD.draw(5, torch.Generator().manual_seed(0))
    said = experts.log_probabilities(offered(WORLD, blocks, (0, 1, 2), 2))
    torch.testing.assert_close(said[:, :, 1:], experts.log_prior[:, None, None].expand(-1, 5, 2, -1))


@pytest.mark.parametrize("strengths", [(-1.0, 1.0), (0.0, 1.0)])
def test_a_strength_that_is_none_is_refused(strengths: tuple[float, float]) -> None:
    with pytest.raises(SettingError, match="strength"):
        fit_experts(replace(LESSON, settings={"strength": torch.tensor(strengths)}), CHOSEN)
