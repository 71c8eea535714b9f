"""Learners: the learning rates, groups, gradients and losses of the recipe, and what each quirk changes."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tile_fakes import CARD, PAPER, STANDARD, Colours, PlainFeed, learner, stream
from torch import Tensor, nn

from cryostat.cells.heads import head_settings
from cryostat.cells.heads.linear import LinearHead
from cryostat.cells.heads.settings import HoverNeXtSettings, ProbeTileSettings
from cryostat.cells.hovernext.head import HoverHead
from cryostat.cells.hovernext.model import HoverMaps
from cryostat.cells.protocols import load_protocol
from cryostat.cells.training.common import IGNORED, Outputs
from cryostat.cells.training.recipe.schedule import WarmupCosine
from cryostat.cells.training.tiles.batch import Batch
from cryostat.cells.training.tiles.hover import HoverLearner
from cryostat.cells.training.tiles.learners import DenseLearner, Learner, ProbeLearner, Task, target_table
from cryostat.cells.training.tiles.models import DenseModel
from cryostat.encoders.tile.tuning import tuned


def rates(one: Learner, steps: int) -> list[float]:
    """The learning rate that each step would see."""
    seen = []
    for _ in range(steps):
        seen.append(one.optimiser.param_groups[0]["lr"])
        one.optimiser.step()
        one.scheduler.step()
    return seen


def batch_of(labels: Tensor) -> Batch:
    """Grey tiles with given labels."""
    size = (len(labels), 3, *labels.shape[1:])
    return Batch(labels, {"final": torch.ones(len(labels), 4, 4, 3)}, torch.full(size, 0.5))


def biased(*logits: float) -> nn.Module:
    """A linear head whose logits are these everywhere."""
    head = LinearHead(3, len(logits))
    with torch.no_grad():
        head.classify.weight.zero_()
        head.classify.bias.copy_(torch.tensor(logits))
    return head


def loss_of(one: DenseLearner, batch: Batch) -> float:
    one.loss.train()
    return float(one._loss(batch).detach())


# Learning rates


def test_rates_are_those_of_the_schedule() -> None:
    one = learner(steps=20, warmup=4, lr=0.1, lowest_lr=0.01)
    schedule = WarmupCosine(peak=0.1, warmup=4, period=16, lowest=0.01)
    assert rates(one, 21) == pytest.approx([schedule(step) for step in range(21)])
    assert schedule(0) == pytest.approx(0.01)
    assert schedule(20) == pytest.approx(0.01)


def test_a_short_training_warms_up_for_half_of_it_at_most() -> None:
    assert rates(learner(steps=8, warmup=100, lr=1.0), 5)[4] == pytest.approx(1.0)


def test_advancing_uses_each_rate_once() -> None:
    one, feed, seen = learner(steps=6, warmup=2, lr=0.1), PlainFeed(), []
    for step in range(6):
        seen.append(one.optimiser.param_groups[0]["lr"])
        one.advance(feed.batch(one.task.stream, step, one.wants))
    assert seen == pytest.approx(rates(learner(steps=6, warmup=2, lr=0.1), 6))
    assert one.step == 6


@pytest.mark.parametrize(("name", "steps"), [("", 10_000), (", 20000 steps", 20_000)])
def test_published_rates_pass_through_the_learner(shared: Path, name: str, steps: int) -> None:
    known = json.loads((shared / "parity/paper_recipe.json").read_text())
    table = known[f"lr T_max=10000 eta_min=1e-7 warmup=1000{name}"]
    published = head_settings("unetr", load_protocol("paper").heads["unetr"], on_tiles=True)
    settings = replace(published, steps=steps)
    seen = rates(learner(PAPER, settings), 1 + max(map(int, table)))
    for step, rate in table.items():
        assert seen[int(step)] == pytest.approx(rate, rel=1e-6, abs=1e-12)


def test_only_the_quirk_makes_the_rate_rise_again() -> None:
    ends = {}
    for quirk in (False, True):
        rules = replace(STANDARD, rate_rises_again=quirk)
        ends[quirk] = rates(learner(rules, steps=12, warmup=0, period=5, lr=1.0, lowest_lr=0.1), 11)
    assert ends[False][:6] == pytest.approx(ends[True][:6])
    assert ends[False][10] == pytest.approx(0.1)
    assert ends[True][10] == pytest.approx(1.0)


def test_an_encoder_of_its_own_learns_at_its_own_rate() -> None:
    encoder = tuned(Colours(nn.Conv2d(3, 3, 1)))
    one = learner(encoder=encoder, steps=10, warmup=2, lr=0.1, encoder_lr=0.001)
    by_rate = {group["initial_lr"]: len(group["params"]) for group in one.optimiser.param_groups}
    assert set(by_rate) == {0.1, 0.001}
    assert one.optimiser.param_groups[-1]["lr"] == pytest.approx(0.0001)
    assert {name.split(".")[0] for name in one.optimised_names()} == {"head", "encoder"}


# Groups and gradients


class Normed(nn.Module):
    """A head with a matrix, a bias and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.matrix, self.norm = nn.Conv2d(3, 2, 1), nn.BatchNorm2d(2)

    def forward(self, maps: list[Tensor], image: Tensor) -> Tensor:
        return nn.functional.interpolate(self.norm(self.matrix(maps[0])), image.shape[-2:])


@pytest.mark.parametrize("quirk", [False, True])
def test_biases_and_norms_are_decayed_only_by_the_quirk(quirk: bool) -> None:
    one = learner(replace(STANDARD, decays_all=quirk), head=Normed(), weight_decay=0.2)
    decay = {id(p): group["weight_decay"] for group in one.optimiser.param_groups for p in group["params"]}
    by_name = {name: decay[id(p)] for name, p in one.model.head.named_parameters()}
    assert by_name["matrix.weight"] == 0.2
    assert {by_name[name] for name in ("matrix.bias", "norm.weight", "norm.bias")} == {0.2 if quirk else 0.0}


def test_gradients_are_clipped_to_their_longest() -> None:
    lengths = {}
    for clip in (0.0, 1e-3):
        one, feed = learner(clip=clip), PlainFeed()
        one.advance(feed.batch(one.task.stream, 0, one.wants))
        lengths[clip] = math.sqrt(sum(float(p.grad.square().sum()) for p in one.model.parameters()))
    assert lengths[1e-3] == pytest.approx(1e-3, rel=1e-3)
    assert lengths[0.0] > 0.01


def test_what_the_optimiser_holds_of_a_frozen_encoder_is_named() -> None:
    encoder = Colours(nn.Conv2d(3, 3, 1))
    one = learner()
    assert not any(name.startswith("encoder") for name in one.optimised_names(encoder.module))
    one.optimiser.add_param_group({"params": [encoder.module[0].weight]})
    assert "encoder.0.weight" in one.optimised_names(encoder.module)


def test_a_head_that_holds_the_encoder_cannot_hide_it() -> None:
    encoder = Colours(nn.Conv2d(3, 3, 1))
    head = Normed()
    head.thief = encoder.module
    assert "encoder.0.bias" in learner(head=head).optimised_names(encoder.module)


# Losses


def test_background_has_no_loss_and_no_gradient() -> None:
    one = learner(replace(STANDARD, background_logit=True), outputs=(0, 1, 2), head=biased(0.0, 1.0, 2.0))
    batch = batch_of(torch.zeros(2, 32, 32, dtype=torch.long))
    loss = one._loss(batch)
    loss.backward()
    assert float(loss.detach()) == 0
    assert all(float(p.grad.abs().sum()) == 0 for p in one.model.parameters())


@pytest.mark.parametrize("outputs", [(0, 1, 2), (1, 2)])
def test_a_class_without_pixels_and_unclassified_ones_do_no_harm(outputs: tuple[int, ...]) -> None:
    labels = torch.zeros(2, 32, 32, dtype=torch.long)
    labels[:, 4:8] = 1
    one = learner(outputs=outputs, head=biased(*[0.5] * len(outputs)), label_smoothing=0.0)
    # One class seen, all logits equal: the loss is the logarithm of the number of outputs.
    assert loss_of(one, batch_of(labels)) == pytest.approx(math.log(len(outputs)), rel=1e-5)


def test_background_pixels_change_nothing() -> None:
    few, many = torch.zeros(2, 32, 32, dtype=torch.long), torch.zeros(2, 32, 32, dtype=torch.long)
    few[0, :4], many[0, :4] = 1, 1
    few[1, :2], many[1, :2] = 2, 2
    alone = Batch(few[:, :4], {"final": torch.ones(2, 4, 4, 3)}, torch.full((2, 3, 4, 32), 0.5))
    for outputs in ((1, 2), (0, 1, 2)):
        head = biased(*range(len(outputs)))
        losses = [loss_of(learner(outputs=outputs, head=head), batch) for batch in (alone, batch_of(many))]
        assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_label_smoothing_spreads_its_share_over_all_outputs() -> None:
    labels = torch.ones(1, 32, 32, dtype=torch.long)
    logits = (2.0, 0.0)
    for share in (0.0, 0.1):
        one = learner(head=biased(*logits), label_smoothing=share)
        likelihood = [x - math.log(sum(map(math.exp, logits))) for x in logits]
        expected = -(1 - share) * likelihood[0] - share * sum(likelihood) / 2
        assert loss_of(one, batch_of(labels)) == pytest.approx(expected, rel=1e-5)


def test_softmaxed_weights_are_almost_equal_and_shrink_the_loss() -> None:
    labels = torch.ones(1, 32, 32, dtype=torch.long)
    labels[0, :8] = 2  # a quarter
    found = {}
    for quirk in (False, True):
        rules = replace(STANDARD, softmaxed_weights=quirk)
        found[quirk] = loss_of(learner(rules, head=biased(1.0, 0.0), label_smoothing=0.0), batch_of(labels))
    nll = [math.log(1 + math.e) - 1, math.log(1 + math.e)]
    # Inverse frequencies of 3/4 and 1/4 make shares of 1/4 and 3/4: each class counts for half.
    assert found[False] == pytest.approx((nll[0] + nll[1]) / 2, rel=1e-3)
    weights = [math.exp(0.25), math.exp(0.75)]
    weights = [weight / sum(weights) for weight in weights]
    assert found[True] == pytest.approx(0.75 * weights[0] * nll[0] + 0.25 * weights[1] * nll[1], rel=1e-3)


def test_unweighted_classes_count_by_their_pixels() -> None:
    labels = torch.ones(1, 32, 32, dtype=torch.long)
    labels[0, :8] = 2
    one = learner(head=biased(1.0, 0.0), label_smoothing=0.0, class_weighting=False)
    nll = [math.log(1 + math.e) - 1, math.log(1 + math.e)]
    assert loss_of(one, batch_of(labels)) == pytest.approx(0.75 * nll[0] + 0.25 * nll[1], rel=1e-5)


class Flat(nn.Module):
    """A HoVer-NeXt that says the same everywhere."""

    def __init__(self, *logits: float) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.tensor(logits))

    def forward_all(self, image: Tensor) -> HoverMaps:
        shape = (len(image), len(self.bias), *image.shape[2:])
        return HoverMaps(self.bias.view(1, -1, 1, 1).expand(shape), None, None)


@pytest.mark.parametrize("quirk", [False, True])
def test_the_focal_loss_is_a_mean_over_nuclei_or_by_the_quirk_over_everything(quirk: bool) -> None:
    rules = replace(STANDARD, focal_mean_over_all=quirk)
    settings = HoverNeXtSettings(instances=False, warmup=0)
    model = DenseModel(HoverHead(Flat(1.0, 0.0)), (), CARD, {})
    task = Task(Outputs(np.array([1, 2])), settings, rules, stream(), 0)
    labels = torch.zeros(1, 32, 32, dtype=torch.long)
    labels[0, :8] = 1  # a quarter of the pixels, all of class 1
    likelihood = math.e / (1 + math.e)
    focal = -((1 - likelihood) ** 2) * math.log(likelihood)
    expected = focal * 0.25 / 2 if quirk else focal
    assert float(HoverLearner(task, model)._loss(batch_of(labels)).detach()) == pytest.approx(expected, rel=1e-5)


def test_a_head_of_pixels_sees_them_as_they_are_on_any_card() -> None:
    coloured = replace(CARD, mean=(0.5, 0.5, 0.5), std=(0.1, 0.1, 0.1))

    class Sees(nn.Module):
        def forward(self, maps: list[Tensor], image: Tensor) -> Tensor:
            return image

    image = torch.rand(1, 3, 4, 4)
    assert torch.equal(DenseModel(Sees(), (), coloured, {})({}, image), image)


def test_targets_by_class_id() -> None:
    assert target_table(Outputs(np.array([2, 5]))).tolist() == [IGNORED, IGNORED, 0, IGNORED, IGNORED, 1]
    assert target_table(Outputs(np.array([0, 1, 3]))).tolist() == [0, 1, IGNORED, 2]


# The probe


def probe(**changes: object) -> ProbeLearner:
    settings = replace(ProbeTileSettings(precision="fp32", warmup=0, label_smoothing=0.0), **changes)
    task = Task(Outputs(np.array([1, 2])), settings, STANDARD, stream(), 0)
    model = nn.Linear(3, 2)
    with torch.no_grad():
        model.weight.zero_()
        model.bias.copy_(torch.tensor([1.0, 0.0]))
    return ProbeLearner(task, model, 0.0)


def test_a_nucleus_counts_once_whatever_its_size() -> None:
    instances = torch.zeros(2, 32, 32, dtype=torch.long)
    instances[0, :2, :2], instances[0, 8:20], instances[1, :4], instances[1, 9:11] = 7, 9, 7, 3
    labels = torch.zeros_like(instances)
    labels[0, :2, :2], labels[0, 8:20], labels[1, :4], labels[1, 9:11] = 1, 2, 1, 1
    batch = Batch(labels, {"final": torch.ones(2, 4, 4, 3)}, None, instances)
    nll = [math.log(1 + math.e) - 1, math.log(1 + math.e)]
    plain = probe(class_weighting=False)
    assert float(plain._loss(batch).detach()) == pytest.approx(0.75 * nll[0] + 0.25 * nll[1], rel=1e-5)


def test_a_batch_without_nuclei_teaches_nothing() -> None:
    nothing = torch.zeros(2, 32, 32, dtype=torch.long)
    one = probe(weight_decay=0.0)
    before = one.model.weight.clone()
    one.advance(Batch(nothing, {"final": torch.ones(2, 4, 4, 3)}, None, nothing))
    assert torch.equal(one.model.weight, before)
