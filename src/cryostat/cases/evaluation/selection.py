"""Settings of a method: checked, and chosen by inner folds where the method offers a choice."""

from __future__ import annotations

import difflib
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cryostat.cases.evaluation.lessons import Fits, Lessons
from cryostat.cases.evaluation.predicting import answered, classes_learnt
from cryostat.cases.methods.base import Method
from cryostat.core.errors import SettingError
from cryostat.core.progress import track

LARGEST_GRID = 64
"""Combinations of settings that are tried at most."""

Point = Mapping[str, float]
"""A value of each setting that is to be chosen."""


@dataclass(frozen=True, eq=False)
class Selection:
    """What the inner folds chose.

    Attributes:
        grid: Everything that was tried.
        loss: (S, G) mean log-loss of each split's inner folds for each of the grid.
    """

    grid: Sequence[Point]
    loss: NDArray[np.float64]

    @property
    def best(self) -> NDArray[np.intp]:
        """(S,) place in the grid; of equals the first."""
        return np.asarray(np.argmin(np.nan_to_num(self.loss, nan=np.inf), axis=1))

    def settings(self) -> dict[str, NDArray[np.float32]]:
        """(S,) of each setting that was chosen."""
        names = self.grid[0] if self.grid else ()
        return {name: np.array([self.grid[g][name] for g in self.best], np.float32) for name in names}

    def facts(self, split: int) -> dict[str, Any]:
        """What a split chose, and the inner log-loss of everything tried; nothing where there was no choice."""
        if not self.grid:
            return {}
        tried = [{**point, "loss": float(loss)} for point, loss in zip(self.grid, self.loss[split], strict=True)]
        return {"selected": dict(self.grid[self.best[split]]), "tried": tried}


def settled(method: Method, choice: Mapping[str, Any]) -> dict[str, Any]:
    """Every setting of the method, as given or by default.

    Raises:
        SettingError: The method has no such setting.
    """
    for name in choice:
        if name not in method.settings:
            near = difflib.get_close_matches(name, method.settings, 3) or list(method.settings) or ["none at all"]
            raise SettingError(
                f"the method {method.name} has no setting {name!r}", remedy=f"Its settings are: {', '.join(near)}"
            )
    return {name: setting.default for name, setting in method.settings.items()} | dict(choice)


def grid(method: Method, choice: Mapping[str, Any]) -> Sequence[Point]:
    """All combinations of the settings that have choices and are left at their default.

    Args:
        method: The method.
        choice: Every setting, from `settled`.

    Raises:
        SettingError: There are more than are tried.
    """
    free = {name: s.choices for name, s in method.settings.items() if s.choices and choice[name] == s.default}
    points = [dict(zip(free, values, strict=True)) for values in itertools.product(*free.values())] if free else []
    if len(points) > LARGEST_GRID:
        raise SettingError(
            f"the method {method.name} would try {len(points)} combinations of {', '.join(free)}",
            remedy=f"Set some of these away from their defaults, so that at most {LARGEST_GRID} are left",
        )
    return points


def choose(
    lessons: Lessons,
    method: Method,
    settings: Mapping[str, Any],
    points: Sequence[Point],
    *,
    inner: int,
    seed: int,
    memory: int,
) -> Selection:
    """Choose settings for each split by the log-loss of its inner folds, each patient shown as it is.

    Evidence is prepared anew inside each inner fold: words, components and attention that had seen the held-out part
    would favour settings that trust them.

    Args:
        lessons: Of the splits.
        method: What is fitted.
        settings: Every setting, as in `Method.fit`.
        points: What is tried; empty: nothing is done.
        inner: Inner folds.
        seed: Of all inner fits.
        memory: Bytes that the fits done at once are taken to need at most.
    """
    total = np.zeros((len(lessons.folds), len(points)))
    if not points:
        return Selection(points, total)
    within, split = lessons.inside(inner)
    count = np.zeros_like(total)
    fits, place = _inner_fits(len(split), points, seed)
    done = 0
    for batch in track(list(within.batches(fits, memory)), f"choosing for {method.name}"):
        loss, patients = _held_out_loss(within, batch, method, settings)
        at = (split[batch.fold], place[done : done + len(batch)])
        np.add.at(total, at, loss)
        np.add.at(count, at, patients)
        done += len(batch)
    return Selection(points, total / np.maximum(count, 1))


def _inner_fits(folds: int, points: Sequence[Point], seed: int) -> tuple[Fits, NDArray[np.intp]]:
    fold, place = np.divmod(np.arange(folds * len(points)), len(points))
    settings = {name: np.array([points[g][name] for g in place], np.float32) for name in points[0]}
    return Fits(fold, np.full(len(fold), seed, np.int64), settings), place


def _held_out_loss(
    lessons: Lessons, fits: Fits, method: Method, settings: Mapping[str, Any]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(F,) summed log-loss of the patients held out, and how many they are."""
    lesson = lessons.lesson(fits)
    fitted = method.fit(lesson, settings)
    with torch.no_grad():
        found = answered(fitted, lessons.shown(fits).offer, lesson)
    rows, allowed = lessons.asked(fits)
    # A class that nobody in training has would add the same large number whatever the setting.
    allowed = allowed & classes_learnt(lesson)[:, None]
    counted = (rows >= 0) & allowed.any(-1)
    hit = torch.where(allowed, found, -torch.inf).logsumexp(-1)
    return torch.where(counted, -hit, 0.0).double().sum(-1).numpy(), counted.double().sum(-1).numpy()
