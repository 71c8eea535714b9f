"""What every method must keep to, and how far each is from the best possible on a cohort of known classes."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
import torch
from gaussian_cohort import Gaussians, gaussians, lesson_of, offered

from cryostat.cases.methods.base import Lesson, Method, Offer
from cryostat.cases.methods.registry import METHODS as BY_NAME

METHODS = tuple(BY_NAME.values())
SUBSETS = [subset for size in range(4) for subset in combinations(range(3), size)]
every = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


def _choice(method: Method, **other: Any) -> dict[str, Any]:
    return {name: setting.default for name, setting in method.settings.items()} | other


def _quick(method: Method) -> dict[str, Any]:
    """Few steps: what must hold does so at any number."""
    return _choice(method, **({"steps": 12} if "steps" in method.settings else {}))


def _small() -> tuple[Gaussians, Lesson]:
    world = gaussians((5, 4, 3))
    return world, replace(lesson_of(world, (40, 60)), ordinal=True)


@every
def test_probabilities_of_every_subset_sum_to_one_and_nothing_gives_the_prior(method: Method) -> None:
    world, lesson = _small()
    fitted = method.fit(lesson, _quick(method))
    blocks, _ = world.draw(20, torch.Generator().manual_seed(0))
    for subset in SUBSETS:
        said = fitted.log_probabilities(offered(world, blocks, subset, 2))
        assert said.shape == (2, 20, 4)
        torch.testing.assert_close(said.exp().sum(-1), torch.ones(2, 20))
        if not subset:
            torch.testing.assert_close(said, lesson.prior().log()[:, None].expand(-1, 20, -1))


@every
def test_fits_do_not_depend_on_their_companions(method: Method) -> None:
    world, lesson = _small()
    blocks, _ = world.draw(20, torch.Generator().manual_seed(0))
    together = method.fit(lesson, _quick(method)).log_probabilities(offered(world, blocks, (0, 2), 2))
    for fit in (0, 1):
        alone = method.fit(lesson.of_fits(torch.tensor([fit])), _quick(method))
        said = alone.log_probabilities(offered(world, blocks, (0, 2), 1))
        torch.testing.assert_close(said[0], together[fit], atol=1e-5, rtol=1e-5)


@every
def test_filling_changes_nothing_and_the_same_seed_gives_the_same(method: Method) -> None:
    world = gaussians((5, 4, 3))
    blocks, _ = world.draw(20, torch.Generator().manual_seed(0))
    said = [
        method.fit(replace(lesson_of(world, (40,), rows=rows), ordinal=True), _quick(method)).log_probabilities(
            offered(world, blocks, (0, 1, 2), 1)
        )
        for rows in (40, 40, 55)
    ]
    assert torch.equal(said[0], said[1])
    torch.testing.assert_close(said[0], said[2], atol=1e-4, rtol=1e-4)


@every
def test_what_stands_where_a_modality_is_missing_has_no_influence(method: Method) -> None:
    world, lesson = _small()
    fitted = method.fit(lesson, _quick(method))
    blocks, _ = world.draw(20, torch.Generator().manual_seed(0))
    offer = offered(world, blocks, (0, 2), 2)
    dirty = Offer((offer.blocks[0], torch.full_like(offer.blocks[1], torch.nan), offer.blocks[2]), offer.present)
    assert torch.equal(fitted.log_probabilities(offer), fitted.log_probabilities(dirty))


@every
def test_a_modality_that_nobody_has_and_a_class_that_nobody_is(method: Method) -> None:
    world, lesson = _small()
    lesson = replace(
        lesson, offer=lesson.offer.showing(torch.tensor([True, True, False]).expand_as(lesson.offer.present))
    )
    rare = lesson.allowed[..., 3]
    lesson = replace(lesson, weight=lesson.weight * ~rare)
    blocks, _ = world.draw(20, torch.Generator().manual_seed(0))
    said = method.fit(lesson, _quick(method)).log_probabilities(offered(world, blocks, (0, 1, 2), 2))
    assert not said.isnan().any()
    assert (said.exp()[..., 3].mean() < 0.2).all()


def _excess(method: Method, worlds: int, size: int) -> torch.Tensor:
    """(8,): mean log-loss above the best possible, a subset each."""
    total = torch.zeros(len(SUBSETS))
    for seed in range(worlds):
        world = gaussians(seed=seed)
        fitted = method.fit(lesson_of(world, (size,), seed), _choice(method))
        blocks, y = world.draw(400, torch.Generator().manual_seed(5 + seed))
        for place, subset in enumerate(SUBSETS):
            said = fitted.log_probabilities(offered(world, blocks, subset, 1))[0]
            apart = (world.log_posterior(blocks, subset) - said).gather(1, y[:, None])
            total[place] += apart.mean() / worlds
    return total


NOT_ADDING = {"best-expert": "listens to one", "late": "averages", "ordinal": "needs ordered classes"}
"""Methods that cannot come near the best possible where evidence adds up, and why."""


@pytest.mark.parametrize("method", [m for m in METHODS if m.name not in NOT_ADDING], ids=lambda method: method.name)
def test_near_the_best_possible_on_every_subset(method: Method) -> None:
    excess = _excess(method, worlds=1, size=200)
    # The prior alone is 0.17 to 0.89 nats above the best possible; 200 patients teach 96 numbers but so much.
    assert excess.max() < 0.4, dict(zip(SUBSETS, excess.tolist(), strict=True))
    assert excess.min() > -0.03
