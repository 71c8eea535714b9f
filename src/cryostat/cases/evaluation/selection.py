"""Settings of a method: checked, and chosen by inner folds where the method offers a choice."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cryostat.cases.evaluation.lessons import Fits, Lessons
from cryostat.cases.evaluation.predicting import answered, classes_learnt
from cryostat.cases.methods.base import Method
from cryostat.core.errors import SettingError
from cryostat.core.progress import track

Numbers = dict[str, NDArray[np.float32]]
"""Settings by name, (S,) values, one for each split."""


@dataclass(frozen=True, eq=False)
class Selection:
    """What the inner folds chose.

    Attributes:
        settings: Of each setting that was chosen (S,) values.
        tried: For each split everything tried, with its mean log-loss.
    """

    settings: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    tried: Sequence[Sequence[Mapping[str, float]]] = ()

    def facts(self, split: int) -> dict[str, Any]:
        """What a split chose, and what it tried; nothing where there was no choice."""
        if not self.settings:
            return {}
        return {"selected": _point(self.settings, split), "tried": [dict(point) for point in self.tried[split]]}


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


def open_settings(method: Method, settings: Mapping[str, Any]) -> dict[str, tuple[float, ...]]:
    """The settings that have choices and are left at their default, with their values, the default first.

    Args:
        method: The method.
        settings: Every setting, from `settled`.
    """
    return {
        name: tuple(dict.fromkeys((float(setting.default), *map(float, setting.choices))))
        for name, setting in method.settings.items()
        if setting.choices and settings[name] == setting.default
    }


def choose(
    lessons: Lessons,
    method: Method,
    settings: Mapping[str, Any],
    *,
    inner: int,
    seed: int,
    memory: int,
) -> Selection:
    """Choose settings for each split by the log-loss of its inner folds, each patient shown as it is.

    One setting after another in the order of the method, the others at their best so far: the cost grows with the sum
    of the choices and not with their product, and fewer candidates leave less to be chosen by luck.

    Evidence is prepared anew inside each inner fold: words, components and attention that had seen the held-out part
    would favour settings that trust them.

    Args:
        lessons: Of the S splits.
        method: What is fitted.
        settings: Every setting, as in `Method.fit`.
        inner: Inner folds.
        seed: Of all inner fits.
        memory: Bytes that the fits done at once are taken to need at most.
    """
    splits, free = len(lessons.folds), open_settings(method, settings)
    best: Numbers = {name: np.full(splits, values[0], np.float32) for name, values in free.items()}
    least = np.full(splits, np.inf)
    tried: list[list[Mapping[str, float]]] = [[] for _ in range(splits)]
    if not free:
        return Selection(best, tried)
    trial = _Trial(*lessons.inside(inner), method, settings, seed, memory)
    for name, values in free.items():
        # That all stand at their best so far is known from the setting before.
        candidates = values if np.isinf(least).all() else values[1:]
        losses = trial.losses(best, name, candidates)
        for value, loss in zip(candidates, losses.T, strict=True):
            shown = best | {name: np.full(splits, value, np.float32)}
            for split in range(splits):
                tried[split].append({**_point(shown, split), "loss": float(loss[split])})
        place = losses.argmin(1)
        better = losses.min(1) < least
        best[name] = np.where(better, np.array(candidates, np.float32)[place], best[name])
        least = np.where(better, losses.min(1), least)
    return Selection(best, tried)


def _point(settings: Mapping[str, NDArray[np.float32]], split: int) -> dict[str, float]:
    return {name: float(f"{values[split]:.7g}") for name, values in settings.items()}


@dataclass(frozen=True, eq=False)
class _Trial:
    """All inner folds of all splits, and what is tried on them."""

    lessons: Lessons
    split: NDArray[np.intp]
    method: Method
    settings: Mapping[str, Any]
    seed: int
    memory: int

    def losses(self, best: Numbers, name: str, candidates: Sequence[float]) -> NDArray[np.float64]:
        """(S, G) mean log-loss of each split with each candidate for one setting, the others at their best."""
        fold, place = np.divmod(np.arange(len(self.split) * len(candidates)), len(candidates))
        chosen = {other: values[self.split[fold]] for other, values in best.items()}
        chosen[name] = np.array(candidates, np.float32)[place]
        fits = Fits(fold, np.full(len(fold), self.seed, np.int64), chosen)
        total = np.zeros((int(self.split.max()) + 1, len(candidates)))
        count, done = np.zeros_like(total), 0
        for batch in track(list(self.lessons.batches(fits, self.memory)), f"choosing {name}"):
            loss, patients = _held_out_loss(self.lessons, batch, self.method, self.settings)
            at = (self.split[batch.fold], place[done : done + len(batch)])
            np.add.at(total, at, loss)
            np.add.at(count, at, patients)
            done += len(batch)
        return np.nan_to_num(total / np.maximum(count, 1), nan=np.inf)


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
