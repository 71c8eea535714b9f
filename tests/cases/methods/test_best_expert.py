"""Which expert is best for whom."""

from __future__ import annotations

from dataclasses import replace

import torch
from gaussian_cohort import gaussians, lesson_of, offered

from cryostat.cases.methods.base import Lesson, Offer
from cryostat.cases.methods.best_expert import BestExpert
from cryostat.cases.methods.experts import fit_experts

METHOD = BestExpert()
DEFAULTS = {name: setting.default for name, setting in METHOD.settings.items()}


def test_of_unequal_experts_the_strongest_that_is_there_speaks() -> None:
    world = gaussians(seed=1)
    lesson = lesson_of(world, (300,))
    blocks, _ = world.draw(10, torch.Generator().manual_seed(0))
    fitted, experts = METHOD.fit(lesson, DEFAULTS), fit_experts(lesson, DEFAULTS)
    for subset, best in {(0,): 0, (0, 2): 2, (1, 2): 2, (0, 1, 2): 2}.items():
        offer = offered(world, blocks, subset, 1)
        assert torch.equal(fitted.log_probabilities(offer), experts.log_probabilities(offer)[:, :, best])


def test_an_expert_that_only_saw_easy_patients_is_not_the_best_of_the_others() -> None:
    """Modality 0 is noise, but most who have it alone are of one class; modality 1 tells the classes apart somewhat."""
    draw = torch.Generator().manual_seed(0)
    n, pairs = 600, 150
    y = torch.randint(2, (n,), generator=draw)
    y[pairs:] = 0
    noise = torch.randn(1, n, 3, generator=draw)
    telling = torch.randn(1, n, 3, generator=draw)
    telling[0, :, 0] += 1.2 * y
    present = torch.ones(1, n, 2, dtype=torch.bool)
    present[:, pairs:, 1] = False
    allowed, inner = torch.nn.functional.one_hot(y, 2).bool()[None], torch.arange(n)[None] % 5
    lesson = Lesson(
        Offer((noise, telling), present).showing(present), allowed, torch.ones(1, n), inner, *torch.zeros(2, 1).long()
    )
    fitted, experts = METHOD.fit(lesson, DEFAULTS), fit_experts(lesson, DEFAULTS)
    both = Offer((noise[:, :20], telling[:, :20]), present[:, :20])
    losses = experts.facts()["expert_inner_loss"][0]
    assert losses[0] < losses[1]
    assert torch.equal(fitted.log_probabilities(both), experts.log_probabilities(both)[:, :, 1])


def test_of_five_modalities_every_patient_still_has_a_best_one() -> None:
    world = gaussians((2, 2, 2, 2, 2))
    fitted = METHOD.fit(lesson_of(world, (60,)), DEFAULTS)
    blocks, _ = world.draw(10, torch.Generator().manual_seed(0))
    said = fitted.log_probabilities(offered(world, blocks, (0, 2, 4), 1))
    torch.testing.assert_close(said.exp().sum(-1), torch.ones(1, 10))


def test_patients_without_weight_have_no_say() -> None:
    world = gaussians((5, 4, 3))
    lesson = lesson_of(world, (60,), rows=80)
    short = lesson_of(world, (60,))
    gains = [METHOD.fit(taught, DEFAULTS).facts()["gain"] for taught in (lesson, replace(short))]
    torch.testing.assert_close(torch.tensor(gains[0]), torch.tensor(gains[1]), atol=1e-5, rtol=1e-5)
