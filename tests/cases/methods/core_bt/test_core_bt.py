"""The fusion of CoRe-BT: where it starts, what each reading of the paper means, and that fusing does no harm."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Any

import pytest
import torch
from gaussian_cohort import gaussians, lesson_of, offered
from torch import Tensor

from cryostat.cases.methods.base import Lesson, Offer
from cryostat.cases.methods.best_expert import BestExpert
from cryostat.cases.methods.core_bt import CoreBT
from cryostat.cases.methods.core_bt.fusion import SPACES, Fusion, Shown
from cryostat.cases.methods.core_bt.gates import GATES
from cryostat.cases.methods.core_bt.method import FittedCoreBT
from cryostat.cases.methods.core_bt.residual import RESIDUALS
from cryostat.cases.methods.experts import Experts, fit_experts, masked
from cryostat.cases.protocols import load_case_protocol

METHOD = CoreBT()
DEFAULTS = {name: setting.default for name, setting in METHOD.settings.items()}
WORLD = gaussians((5, 4, 3))
LESSON = lesson_of(WORLD, (60, 80))
BLOCKS, _ = WORLD.draw(25, torch.Generator().manual_seed(0))
EVERYTHING = offered(WORLD, BLOCKS, (0, 1, 2), 2)
PAIR = offered(WORLD, BLOCKS, (0, 2), 2)


def fitted(lesson: Lesson = LESSON, **choice: Any) -> FittedCoreBT:
    return METHOD.fit(lesson, DEFAULTS | choice)


@cache
def experts() -> Experts:
    return fit_experts(LESSON, DEFAULTS)


def experts_say(offer: Offer) -> Tensor:
    return experts().log_probabilities(offer)


def shown(offer: Offer) -> Shown:
    return Shown(masked(offer.blocks, offer.present), offer.present, offer.present, experts_say(offer))


def new_fusion(**choice: Any) -> Fusion:
    numbers = {"alpha": torch.zeros(2), "temperature": torch.full((2,), 0.5)}
    return Fusion(LESSON.seeds, WORLD.widths, LESSON.prior().log(), numbers, DEFAULTS | choice)


@pytest.mark.parametrize("zero", ["layer", "scalar"])
@pytest.mark.parametrize("residual", RESIDUALS)
@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize("weights", GATES)
def test_at_the_start_it_is_the_ensemble_to_the_bit(weights: str, space: str, residual: str, zero: str) -> None:
    fusion, seen = new_fusion(weights=weights, space=space, residual=residual, zero=zero), shown(PAIR)
    with torch.no_grad():
        assert torch.equal(fusion(seen), fusion.ensemble(seen).log_softmax(-1))


def test_the_ensemble_of_the_paper_is_the_mean_of_logits() -> None:
    said = experts_say(PAIR)[:, :, [0, 2]]
    ensemble = fitted(steps=0, space="logits", evidence="one").log_probabilities(PAIR)
    torch.testing.assert_close(ensemble, said.mean(2).log_softmax(-1))


def test_where_evidence_adds_the_ensemble_is_bayes_rule() -> None:
    by_hand = experts_say(PAIR)[:, :, [0, 2]].sum(2) - LESSON.prior().log()[:, None]
    torch.testing.assert_close(fitted(steps=0).log_probabilities(PAIR), by_hand.log_softmax(-1))


def test_in_probabilities_the_ensemble_is_a_mixture() -> None:
    by_hand = experts_say(PAIR)[:, :, [0, 2]].exp().mean(2)
    torch.testing.assert_close(fitted(steps=0, space="probs").log_probabilities(PAIR).exp(), by_hand)


def test_confidence_weighs_by_entropy() -> None:
    said = experts_say(PAIR)[:, :, [0, 2]]
    weight = ((said.exp() * said).sum(-1) / 0.5).softmax(-1)[..., None]
    ensemble = fitted(steps=0, weights="confidence", evidence="one", space="logits").log_probabilities(PAIR)
    torch.testing.assert_close(ensemble, (weight * said).sum(2).log_softmax(-1))


def test_a_missing_modality_may_speak_for_the_prior() -> None:
    prior = LESSON.prior().log()[:, None]
    by_hand = (experts_say(PAIR)[:, :, [0, 2]].sum(2) + prior) / 3
    ensemble = fitted(steps=0, missing="prior", evidence="one").log_probabilities(PAIR)
    torch.testing.assert_close(ensemble, by_hand.log_softmax(-1))


@pytest.mark.parametrize("weights", [name for name in GATES if name != "gate_sigmoid"])
def test_weights_sum_to_one_over_what_is_there(weights: str) -> None:
    learnt = fitted(weights=weights, evidence="one", steps=5).fusions[0]
    with torch.no_grad():
        weight = learnt.weights(shown(PAIR))
    torch.testing.assert_close(weight.sum(2), torch.ones_like(weight.sum(2)))
    assert not weight[:, :, 1].any()


def test_at_the_first_step_the_last_layer_alone_learns() -> None:
    fusion = new_fusion(weights="uniform", evidence="one", residual="mlp")
    fusion(shown(EVERYTHING))[..., 0].sum().backward()
    learning = {name for name, p in fusion.named_parameters() if p.grad is not None and bool(p.grad.any())}
    assert learning == {"residual.layers.last.weight", "residual.layers.last.bias"}


@pytest.mark.parametrize(
    "choice",
    [
        *({"weights": name} for name in GATES),
        *({"residual": name} for name in RESIDUALS),
        *({"space": name} for name in SPACES),
        {"zero": "scalar"},
        {"probes": "finetuned"},
        {"outputs": "in_fold"},
        {"rows": "paired"},
        {"missing": "prior"},
        {"dropout": 0.5},
        {"alpha": -4.0},
        {"modality_dropout": 0.0},
        {"balanced": True},
        dict(load_case_protocol("paper").methods["core-bt"]),
    ],
    ids=str,
)
def test_every_reading_learns_something_finite(choice: dict[str, Any]) -> None:
    readings = [fitted(**{"ridge": 1.0, **choice}, steps=steps).log_probabilities(EVERYTHING) for steps in (0, 6)]
    assert readings[1].isfinite().all()
    torch.testing.assert_close(readings[1].exp().sum(-1), torch.ones(2, 25))
    assert not torch.allclose(*readings)


def test_ablating_the_residual_alone_keeps_the_experts_words() -> None:
    """The published reading of ablation: with both ablated, the ensemble and what Φ makes of nothing."""
    model = fitted(ridge=1.0)
    nothing = torch.zeros_like(EVERYTHING.present)
    said = model.log_probabilities(replace(EVERYTHING, residual_present=nothing))
    fusion = model.fusions[0]
    with torch.no_grad():
        of_nothing = torch.sigmoid(fusion.alpha) * fusion.residual(torch.zeros(2, 25, 12))
        by_hand = (fusion.ensemble(shown(EVERYTHING)) + of_nothing).log_softmax(-1)
    torch.testing.assert_close(said, by_hand)
    assert not torch.allclose(said, model.log_probabilities(EVERYTHING))


def test_ablating_the_experts_alone_keeps_the_residual_on_top_of_the_prior() -> None:
    model = fitted(ridge=1.0)
    said = model.log_probabilities(Offer(EVERYTHING.blocks, torch.zeros_like(EVERYTHING.present), EVERYTHING.present))
    fusion = model.fusions[0]
    with torch.no_grad():
        residual = torch.sigmoid(fusion.alpha) * fusion.residual(torch.cat(EVERYTHING.blocks, -1))
    torch.testing.assert_close(said, (LESSON.prior().log()[:, None] + residual).log_softmax(-1))


def test_without_paired_patients_a_fusion_of_pairs_stays_the_ensemble() -> None:
    single = LESSON.offer.present & (LESSON.offer.present.cumsum(-1) == 1)
    lesson = replace(LESSON, offer=LESSON.offer.showing(single))
    ensemble, paired = (fitted(lesson, rows="paired", steps=steps).log_probabilities(PAIR) for steps in (0, 20))
    torch.testing.assert_close(ensemble, paired, atol=1e-3, rtol=1e-3)


def test_a_gate_taught_out_of_fold_does_not_trust_an_expert_that_learnt_by_heart() -> None:
    noise = torch.randn((*LESSON.offer.blocks[0].shape[:2], 60), generator=torch.Generator().manual_seed(1))
    whole = torch.ones_like(LESSON.offer.present)
    offer = Offer((noise, *LESSON.offer.blocks[1:]), whole).showing(
        LESSON.offer.present | torch.tensor([1, 0, 0]).bool()
    )
    lesson = replace(LESSON, offer=offer)
    choice = {"strength": 0.1, "weights": "static", "ridge": 0.1, "evidence": "one", "modality_dropout": 0.0}
    seen, unseen = (fitted(lesson, outputs=o, **choice).gate_weight[:, 0] for o in ("in_fold", "out_of_fold"))
    assert (seen > unseen + 0.2).all()


def test_the_residual_finds_what_two_modalities_say_only_together() -> None:
    draw = torch.Generator().manual_seed(0)

    def patients(n: int) -> tuple[Offer, Tensor]:
        a, b = torch.randn(1, n, 6, generator=draw), torch.randn(1, n, 6, generator=draw)
        return Offer((a, b), torch.ones(1, n, 2, dtype=torch.bool)), (a[0, :, 0] * b[0, :, 0] > 0).long()

    (offer, y), (test, wanted) = patients(400), patients(1000)
    allowed, inner = torch.nn.functional.one_hot(y, 2).bool()[None], torch.arange(400)[None] % 5
    lesson = Lesson(offer, allowed, torch.ones(1, 400), inner, torch.zeros(1).long(), torch.zeros(1).long())
    right = []
    for steps in (0, 80):
        said = fitted(lesson, residual="mlp", ridge=3.0, steps=steps).log_probabilities(test)[0]
        right.append(float((said.argmax(-1) == wanted).float().mean()))
    assert right[0] < 0.56
    assert right[1] > 0.75


def test_fusion_is_not_worse_than_the_best_expert_on_any_subset() -> None:
    subsets = [subset for size in (1, 2, 3) for subset in combinations(range(3), size)]
    best = BestExpert()
    choice = {name: setting.default for name, setting in best.settings.items()}
    excess = torch.zeros(2, len(subsets))
    for seed in range(2):
        world = gaussians(seed=seed)
        lesson = lesson_of(world, (80, 300), seed)
        blocks, y = world.draw(1000, torch.Generator().manual_seed(50 + seed))
        fusion, expert = METHOD.fit(lesson, DEFAULTS), best.fit(lesson, choice)
        for place, subset in enumerate(subsets):
            offer = offered(world, blocks, subset, 2)
            losses = [-model.log_probabilities(offer)[:, torch.arange(1000), y].mean(1) for model in (fusion, expert)]
            excess[:, place] += (losses[0] - losses[1]) / 2
    assert excess.max() < 0.02, excess
    # With everything there, fusing gains.
    assert excess[1, -1] < -0.1
