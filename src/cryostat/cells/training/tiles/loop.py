"""The loop of training on tiles: any number of learners beside each other, each as if it were alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cryostat.cells.training.tiles.batch import Feed
from cryostat.cells.training.tiles.learners import Learner
from cryostat.core.progress import meter

Evaluate = Callable[[Sequence[Learner]], Sequence[float]]
"""Learners to their macro F1 on the validation part."""

Keep = Callable[[Learner], None]
"""Puts a learner's state where a killed training finds it again."""


def train(learners: Sequence[Learner], feed: Feed, evaluate: Evaluate, keep: Keep, *, title: str = "Training") -> None:
    """Train until every learner is done, then give each its best weights back.

    A learner that was further along than the others when its training was interrupted waits for them.

    Args:
        learners: At their beginning, or restored.
        feed: Batches of a step.
        evaluate: Scores those whose look is due, together.
        keep: Called after each look.
        title: Of the progress bar.

    Raises:
        SettingError: A training went astray.
    """
    total = max(learner.task.settings.steps for learner in learners)
    active = [learner for learner in learners if not learner.done]
    for learner in learners:
        if learner.done:
            feed.retire(learner.task.stream)
    try:
        with meter(title, total, "steps") as show:
            while active:
                show(min(learner.step for learner in active))
                for learner in _turn(active, feed, evaluate, keep):
                    feed.retire(learner.task.stream)
                    active.remove(learner)
    finally:
        feed.close()
    for learner in learners:
        learner.keeper.restore()
        learner.learning.eval()


def _turn(active: Sequence[Learner], feed: Feed, evaluate: Evaluate, keep: Keep) -> list[Learner]:
    """One step of those that are furthest behind; the learners that are done with it."""
    step = min(learner.step for learner in active)
    turn = [learner for learner in active if learner.step == step]
    for learner in turn:
        learner.advance(feed.batch(learner.task.stream, step, learner.wants))
    _look([learner for learner in turn if learner.due], evaluate, keep)
    return [learner for learner in turn if learner.done]


def _look(due: Sequence[Learner], evaluate: Evaluate, keep: Keep) -> None:
    """Look at the validation part."""
    if not due:
        return
    for learner in due:
        learner.require_sound()
        learner.learning.eval()
    for learner, score in zip(due, evaluate(due), strict=True):
        learner.look(score)
        keep(learner)
