"""Every published quirk of training, switched on alone, changes what it says, and a test knows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from cryostat.cells.augmentation import PUBLISHED, STANDARD
from cryostat.cells.field import CellClass
from cryostat.cells.heads import HEADS
from cryostat.cells.heads.linear import LinearHead
from cryostat.cells.heads.settings import HoverNeXtSettings, TileSettings
from cryostat.cells.hovernext.head import HoverHead
from cryostat.cells.protocols import Protocol, Training, load_protocol
from cryostat.cells.runs.material import Features
from cryostat.cells.runs.modes import Mode, resolve_mode
from cryostat.cells.runs.pupils import _standardisers, _stream
from cryostat.cells.runs.tilefits import _augmentations, _feed
from cryostat.cells.training.common import Outputs, Standardiser
from cryostat.cells.training.tiles.hover import HoverLearner
from cryostat.cells.training.tiles.learners import DenseLearner, Task
from cryostat.cells.training.tiles.models import DenseModel
from cryostat.cells.training.tiles.streams import Stream
from cryostat.encoders.card import EncoderCard

CARD = EncoderCard("some", "Some", "ViT", input_size=32, patch_size=8, width=3, depth=12)
PLAIN, PAPER = load_protocol("standard"), load_protocol("paper")
CLASSES = [CellClass(1, "one"), CellClass(2, "two")]


class Tiles:
    """Two tiles: one has little of a class, one much of two and a third of background."""

    tile_size = 32

    def labels(self, tiles: list[int]) -> np.ndarray:
        both = np.ones((2, 32, 32), np.int16)
        both[0, 1:], both[1, :10], both[1, 10:20] = 0, 0, 2
        return both[list(tiles)]


def features(protocol: Protocol) -> Any:
    known = SimpleNamespace(
        dataset=SimpleNamespace(classes=CLASSES),
        protocol=protocol,
        encoder=SimpleNamespace(card=CARD, device=torch.device("cpu")),
        tiles=Tiles(),
        tiles_in=lambda fovs: [0, 1],
    )
    known.layers_of = lambda head: Features.layers_of(known, head)
    known.outputs = lambda dense: Features.outputs(known, dense=dense)
    return known


def run(protocol: Protocol, mode: str = "live", settings: TileSettings | None = None) -> Any:
    return SimpleNamespace(
        features=features(protocol),
        settings=settings or TileSettings(),
        mode=Mode.parse(mode),
        split=SimpleNamespace(fovs=lambda part: ["field"]),
        spec=SimpleNamespace(seed=0, head="linear"),
    )


def learner(protocol: Protocol, **settings: Any) -> DenseLearner:
    model = DenseModel(LinearHead(3, 2), ("final",), CARD, {"final": Standardiser.none(3)})
    stream = Stream(np.arange(7), np.ones(7), 2, 1, 0)
    known = TileSettings(steps=5, warmup=0, **settings)
    return DenseLearner(Task(Outputs(np.array([1, 2])), known, protocol.training, stream, 0), model)


def hover(protocol: Protocol) -> HoverLearner:
    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.zeros(1))

    task = Task(Outputs(np.array([1, 2])), HoverNeXtSettings(), protocol.training, _stream(run(protocol)), 0)
    return HoverLearner(task, DenseModel(HoverHead(Network()), (), CARD, {}))


def rate_after(protocol: Protocol) -> float:
    one = learner(protocol, period=2, lr=1.0, lowest_lr=0.5)
    for _ in range(4):
        one.optimiser.step()
        one.scheduler.step()
    return float(one.optimiser.param_groups[0]["lr"])


def keeps(protocol: Protocol) -> int:
    one = learner(protocol)
    one.keeper.look(1, 0.5, 0.0)
    one.keeper.look(2, 0.5, 0.0)
    return one.log.best_at


def weighs(protocol: Protocol) -> list[float]:
    one = learner(protocol)
    one.loss.classes.update(torch.tensor([0] * 3 + [1]))
    return [round(weight, 2) for weight in one.loss.classes.weights().tolist()]


def scaled(protocol: Protocol) -> list[float]:
    seen = SimpleNamespace(maps=lambda tiles: {"final": torch.tensor([[2.0, 2, 2], [4, 4, 4]]).view(1, 1, 2, 3)})
    return _standardisers(run(protocol), seen, ("final",))["final"].mean.tolist()


def in_train_mode(protocol: Protocol) -> bool:
    ready = run(protocol)
    feed: Any = _feed([ready], [SimpleNamespace(learner=learner(protocol))])
    feed.close()
    return bool(feed.train_mode)


def drawn(protocol: Protocol) -> list[float]:
    return [round(weight, 2) for weight in _stream(run(protocol)).weights]


# 32 pixels of class 1 in the first tile and 384 in the second, 320 of class 2 and 992 + 320 of background.
ROWS = [32 / 416, 384 / 416 + 1]
WITH_BACKGROUND = [32 / 416 + 992 / 1312, 384 / 416 + 1 + 320 / 1312]

SAYS: dict[str, tuple[Callable[[Protocol], Any], Any, Any]] = {
    "background_logit": (lambda p: features(p).outputs(dense=True).ids.tolist(), [1, 2], [0, 1, 2]),
    "standardise": (scaled, [3.0, 3.0, 3.0], [0.0, 0.0, 0.0]),
    "layers": (
        lambda p: features(p).layers_of("unetr"),
        ("block-3", "block-6", "block-9", "block-12"),
        ("block-9", "block-10", "block-11", "block-12"),
    ),
    "decoders": (lambda p: str(resolve_mode(None, HEADS["dpt"], p)), "cached", "finetune"),
    "linear": (lambda p: str(resolve_mode(None, HEADS["linear"], p)), "cached", "live"),
    "softmaxed_weights": (weighs, [0.25, 0.75], [0.38, 0.62]),
    "focal_mean_over_all": (lambda p: hover(p).task.rules.focal_mean_over_all, False, True),
    "sampled_background": (drawn, [round(x, 2) for x in ROWS], [round(x, 2) for x in WITH_BACKGROUND]),
    "no_horizontal_shift": (lambda p: _augmentations(run(p)).shifts, (0.1, 0.1), (0.0, 0.1)),
    "strong_stains": (lambda p: _augmentations(run(p)).shift_of_stains, 0.01, 0.05),
    "flat_elastic": (lambda p: _augmentations(run(p)).elastic_form, STANDARD.bend, PUBLISHED.elastic_form),
    "rate_rises_again": (rate_after, 0.5, pytest.approx(1.0)),
    "decays_all": (lambda p: len(learner(p).optimiser.param_groups), 2, 1),
    "last_of_equals": (keeps, 1, 2),
    "stops_between_epochs": (lambda p: learner(p)._last_step, 5, 8),
    "train_mode_encoder": (in_train_mode, False, True),
}
"""Quirk: what it changes, what that is without and with it."""


def with_quirk(name: str) -> Protocol:
    changed = replace(PLAIN.training, **{name: getattr(PAPER.training, name)})
    return replace(PLAIN, training=changed)


@pytest.mark.parametrize("name", SAYS)
def test_a_quirk_alone_changes_what_it_says(name: str) -> None:
    ask, without, having = SAYS[name]
    assert ask(PLAIN) == without
    assert ask(with_quirk(name)) == having


@pytest.mark.parametrize("name", SAYS)
def test_a_quirk_changes_nothing_else(name: str) -> None:
    for other, (ask, without, _) in SAYS.items():
        if other != name:
            assert ask(with_quirk(name)) == without, other


def test_every_switch_of_training_is_here_and_the_paper_has_them_all() -> None:
    assert set(SAYS) == {field.name for field in fields(Training)}
    assert all(getattr(PAPER.training, name) != getattr(PLAIN.training, name) for name in SAYS)
    said = " ".join(PAPER.quirks())
    assert all(f"training.{name}:" in said for name in SAYS)


def test_the_paper_draws_and_augments_as_published() -> None:
    assert _augmentations(run(PAPER)) == PUBLISHED
    assert _augmentations(run(PLAIN)) == STANDARD
    assert drawn(PAPER) == [round(x, 2) for x in WITH_BACKGROUND]


def test_unbalanced_draws_are_even() -> None:
    assert _stream(run(PLAIN, settings=TileSettings(balanced=False))).weights.tolist() == [1, 1]
