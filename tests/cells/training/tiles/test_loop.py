"""The loop: when it looks, when it stops, which weights stay, and that nobody notices their companions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from tile_fakes import STANDARD, Colours, PlainFeed, Tiles, learner, stream
from torch import nn

from cryostat.cells.augmentation import STANDARD as AUGMENTED
from cryostat.cells.training.tiles.batch import Wants
from cryostat.cells.training.tiles.learners import Learner
from cryostat.cells.training.tiles.live import LiveFeed
from cryostat.cells.training.tiles.loop import train


def forget(one: Learner) -> None:
    """Keep nothing."""


def scripted(*scores: float) -> Callable[[Sequence[Learner]], list[float]]:
    """Scores in order, the last one again and again."""
    left = list(scores)
    return lambda due: [left.pop(0) if len(left) > 1 else left[0] for _ in due]


def weights(one: Learner) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in one.model.parameters()])


def test_looks_are_regular_and_one_is_at_the_end() -> None:
    one, feed = learner(steps=7, validate_every=3), PlainFeed()
    train([one], feed, scripted(0.1, 0.2, 0.3), forget)
    assert [look["step"] for look in one.log.looks] == [3, 6, 7]
    assert [look["valid_macro_f1"] for look in one.log.looks] == [0.1, 0.2, 0.3]
    assert (one.log.steps, one.log.best_at, one.log.stopped_early) == (7, 7, False)
    assert feed.closed
    assert feed.retired == [one.task.stream]


def test_patience_ends_it_and_the_best_weights_return() -> None:
    one, seen = learner(steps=50, validate_every=1, patience=3), []
    scores = scripted(0.5, 0.6, 0.6, 0.4, 0.1)

    def look(due: Sequence[Learner]) -> list[float]:
        seen.append(weights(one))
        return scores(due)

    train([one], PlainFeed(), look, forget)
    assert (one.log.steps, one.log.best_at, one.log.best_score, one.log.stopped_early) == (5, 2, 0.6, True)
    assert torch.equal(weights(one), seen[1])


@pytest.mark.parametrize(("quirk", "best"), [(False, 1), (True, 4)])
def test_of_equal_scores_the_first_stays_or_by_the_quirk_the_last(quirk: bool, best: int) -> None:
    one = learner(replace(STANDARD, last_of_equals=quirk), steps=4, validate_every=1)
    train([one], PlainFeed(), scripted(0.5), forget)
    assert one.log.best_at == best


def test_equal_scores_of_the_quirk_renew_the_patience() -> None:
    one = learner(replace(STANDARD, last_of_equals=True), steps=9, validate_every=1, patience=2)
    train([one], PlainFeed(), scripted(0.5), forget)
    assert one.log.steps == 9


@pytest.mark.parametrize(("quirk", "steps"), [(False, 5), (True, 8)])
def test_by_the_quirk_steps_overshoot_to_the_end_of_the_epoch(quirk: bool, steps: int) -> None:
    rules = replace(STANDARD, stops_between_epochs=quirk)
    one = learner(rules, where=stream(7, batch=2), steps=5, validate_every=5)  # an epoch of 7 tiles is 4 steps
    train([one], PlainFeed(Tiles(7)), scripted(0.5), forget)
    assert one.log.steps == steps
    assert one.log.looks[-1]["step"] == steps


@pytest.mark.parametrize(("quirk", "steps"), [(False, 6), (True, 8)])
def test_by_the_quirk_patience_overshoots_to_the_end_of_the_epoch(quirk: bool, steps: int) -> None:
    rules = replace(STANDARD, stops_between_epochs=quirk)
    one = learner(rules, where=stream(7, batch=2), steps=100, validate_every=3, patience=1)
    train([one], PlainFeed(Tiles(7)), scripted(0.5, 0.4), forget)
    assert one.log.steps == steps
    assert [look["step"] for look in one.log.looks] == [3, 6]
    assert one.log.stopped_early


def test_by_the_quirk_a_better_score_before_the_end_of_the_epoch_goes_on() -> None:
    rules = replace(STANDARD, stops_between_epochs=True)
    one = learner(rules, where=stream(7, batch=1), steps=14, validate_every=3, patience=1)  # an epoch is 7 steps
    train([one], PlainFeed(Tiles(7)), scripted(0.5, 0.6, 0.7, 0.6, 0.8), forget)
    assert one.log.steps == 14
    # 12 spends the patience, 14 ends the second epoch with the last look.
    assert [look["step"] for look in one.log.looks] == [3, 6, 9, 12, 14]


class Dropping(nn.Module):
    """A linear head that drops features."""

    def __init__(self) -> None:
        super().__init__()
        self.drop, self.classify = nn.Dropout(0.5), nn.Conv2d(3, 2, 1)

    def forward(self, maps: list[torch.Tensor], image: torch.Tensor) -> torch.Tensor:
        return nn.functional.interpolate(self.classify(self.drop(maps[0])), image.shape[-2:])


def dropping(seed: int, **changes: object) -> Learner:
    torch.manual_seed(0)
    head = Dropping()
    return learner(seed=seed, head=head, **changes)


def live(learners: Sequence[Learner]) -> LiveFeed:
    wants = Wants(("final",), images=True)
    streams = [one.task.stream for one in learners]
    return LiveFeed(Colours(), Tiles(), streams, wants, AUGMENTED, torch.device("cpu"))


def by_weights(due: Sequence[Learner]) -> list[float]:
    """A score that follows from the learner alone."""
    return [float(weights(one).sum().sin()) for one in due]


def test_a_learner_ends_at_the_same_weights_whoever_learns_beside_it() -> None:
    alone = dropping(1)
    train([alone], live([alone]), by_weights, forget)
    mine = dropping(1)
    others = [
        dropping(2),
        dropping(3, batch=5, steps=13),
        learner(seed=4, steps=3),
        learner(seed=1, where=stream(tiles=[0, 3])),
    ]
    train([mine, *others], live([mine, *others]), by_weights, forget)
    assert torch.equal(weights(alone), weights(mine))
    assert alone.log == mine.log
    assert [one.log.steps for one in others] == [8, 13, 3, 8]


def test_one_who_is_further_waits_for_the_others() -> None:
    first, second = dropping(1), dropping(2)
    reference = [dropping(1), dropping(2)]
    train(reference, live(reference), by_weights, forget)
    feed = live([first])
    for step in range(3):
        first.advance(feed.batch(first.task.stream, step, first.wants))
        if first.due:
            first.look(by_weights([first])[0])
    feed.close()
    order: list[tuple[int, int]] = []
    together = live([first, second])
    draw = together.batch

    def noted(drawn: object, step: int, wants: object) -> object:
        order.append((1 if drawn is first.task.stream else 2, step))
        return draw(drawn, step, wants)

    together.batch = noted
    train([first, second], together, by_weights, forget)
    assert order[:4] == [(2, 0), (2, 1), (2, 2), (1, 3)]
    for one, other in zip((first, second), reference, strict=True):
        assert torch.equal(weights(one), weights(other))


def test_looks_are_in_eval_mode_and_steps_in_train_mode() -> None:
    one, modes = dropping(0, steps=4), []
    step = one.advance

    def advance(batch: object) -> None:
        step(batch)
        modes.append(one.model.training)

    one.advance = advance

    def look(due: Sequence[Learner]) -> list[float]:
        modes.append(one.model.training)
        return by_weights(due)

    train([one], PlainFeed(), look, forget)
    assert modes == [True, True, False, True, True, False]
    assert not one.model.training


def test_the_feed_is_closed_when_training_fails() -> None:
    one, feed = learner(), PlainFeed()

    def broken(due: Sequence[Learner]) -> list[float]:
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        train([one], feed, broken, forget)
    assert feed.closed


def test_the_global_random_state_is_left_alone() -> None:
    one = dropping(0, steps=4)
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    train([one], PlainFeed(), by_weights, forget)
    assert torch.equal(torch.random.get_rng_state(), before)
