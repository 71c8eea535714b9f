"""Pools of experts against what the rule says by hand."""

from __future__ import annotations

import pytest
import torch
from gaussian_cohort import gaussians, lesson_of, offered

from cryostat.cases.methods.base import Method
from cryostat.cases.methods.best_expert import BestExpert
from cryostat.cases.methods.concat import Concatenation
from cryostat.cases.methods.experts import fit_experts
from cryostat.cases.methods.late import LateFusion
from cryostat.cases.methods.product import ProductOfExperts
from cryostat.cases.methods.stacking import Stacking

WORLD = gaussians((5, 4, 3))
LESSON = lesson_of(WORLD, (80,))
BLOCKS, _ = WORLD.draw(30, torch.Generator().manual_seed(3))


def defaults(method: Method, **other: float) -> dict[str, float]:
    return {name: setting.default for name, setting in method.settings.items()} | other


def said_by(method: Method, subset: tuple[int, ...], **other: float) -> torch.Tensor:
    return method.fit(LESSON, defaults(method, **other)).log_probabilities(offered(WORLD, BLOCKS, subset, 1))[0]


def experts_say(subset: tuple[int, ...]) -> torch.Tensor:
    """(n, M, C)."""
    experts = fit_experts(LESSON, {"strength": 0.0, "balanced": False})
    return experts.log_probabilities(offered(WORLD, BLOCKS, subset, 1))[0]


@pytest.mark.parametrize("method", [BestExpert(), LateFusion(), ProductOfExperts()], ids=lambda m: m.name)
def test_with_one_modality_it_is_that_expert(method: Method) -> None:
    torch.testing.assert_close(said_by(method, (1,)), experts_say((1,))[:, 1])


def test_a_mixture_without_sharpness_is_the_mean_of_probabilities() -> None:
    mean = experts_say((0, 2))[:, [0, 2]].exp().mean(1)
    torch.testing.assert_close(said_by(LateFusion(), (0, 2), sharpness=0.0).exp(), mean)


def test_a_very_sharp_mixture_is_the_expert_of_the_lowest_loss() -> None:
    sharp = said_by(LateFusion(), (0, 1, 2), sharpness=1e4)
    losses = fit_experts(LESSON, {"strength": 0.0, "balanced": False}).facts()["expert_inner_loss"][0]
    best = min(range(3), key=losses.__getitem__)
    torch.testing.assert_close(sharp, experts_say((0, 1, 2))[:, best], atol=1e-4, rtol=1e-4)


def test_a_product_is_bayes_rule_with_the_prior_counted_once() -> None:
    prior = LESSON.prior()[0]
    by_hand = experts_say((0, 1)).exp()[:, :2].prod(1) / prior
    by_hand = by_hand / by_hand.sum(-1, keepdim=True)
    torch.testing.assert_close(said_by(ProductOfExperts(), (0, 1), gamma=1.0).exp(), by_hand)


def test_a_product_at_gamma_0_averages_the_evidence() -> None:
    by_hand = experts_say((0, 1))[:, :2].mean(1).log_softmax(-1)
    torch.testing.assert_close(said_by(ProductOfExperts(), (0, 1), gamma=0.0), by_hand)


def test_the_sharpness_found_is_the_one_that_loses_least_out_of_fold() -> None:
    fitted = LateFusion().fit(LESSON, defaults(LateFusion()))
    assert fitted.facts()["sharpness"][0] in LateFusion.tried


@pytest.mark.parametrize("method", [Stacking(), Concatenation()], ids=lambda m: m.name)
def test_more_evidence_helps(method: Method) -> None:
    world = gaussians(seed=1)
    fitted = method.fit(lesson_of(world, (400,)), defaults(method))
    blocks, y = world.draw(1000, torch.Generator().manual_seed(0))
    hits = [
        (fitted.log_probabilities(offered(world, blocks, subset, 1))[0].argmax(-1) == y).float().mean()
        for subset in ((), (0,), (0, 1, 2))
    ]
    assert hits[0] < hits[1] < hits[2]
