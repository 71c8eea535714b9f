"""From fitted models to rows of the predictions table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryostat.cases.evaluation.lessons import Fits
from cryostat.cases.evaluation.offers import Arm, Shown
from cryostat.cases.evaluation.splits import Split
from cryostat.cases.evidence import Evidence
from cryostat.cases.labels import Targets
from cryostat.cases.methods.base import Fitted, Lesson, Offer
from cryostat.core.errors import InputError
from cryostat.results.cases.subsets import subset_name

DECISIONS = ("balanced", "argmax")
"""Ways from probabilities to a class."""

SUM_TOLERANCE = 1e-3
"""How far the probabilities of a patient may sum from 1."""


@dataclass(frozen=True, eq=False)
class _Part:
    """Predictions of some fits under one arm, k rows."""

    fold: NDArray[np.intp]
    seed: NDArray[np.int64]
    patient: NDArray[np.intp]
    probabilities: NDArray[np.float32]
    chosen: NDArray[np.intp]


class Predictions:
    """Collects what fitted models say of their test patients.

    Args:
        evidence: Of n patients.
        targets: Their labels.
        splits: Who is tested where.
        arms: What is asked.
        decision: How a class is chosen, one of `DECISIONS`.
    """

    def __init__(
        self, evidence: Evidence, targets: Targets, splits: Sequence[Split], arms: Sequence[Arm], decision: str
    ) -> None:
        self._evidence, self._targets, self._splits = evidence, targets, splits
        self._arms, self._decision = arms, decision
        self._parts: list[list[_Part]] = [[] for _ in arms]

    def add(self, method: str, fits: Fits, lesson: Lesson, fitted: Fitted, shown: Shown, rows: Tensor) -> None:
        """Ask some fits everything.

        Args:
            method: Name of the method, for messages.
            fits: The fits.
            lesson: What they learnt from.
            fitted: What came of it.
            shown: All that is known of t patients to test.
            rows: (F, t) int: which patients these are, −1 for filling.

        Raises:
            InputError: The method gives something that is no probability.
        """
        fit, place = (index.numpy() for index in (rows >= 0).nonzero(as_tuple=True))
        patient = rows.numpy()[fit, place]
        for arm, parts in zip(self._arms, self._parts, strict=True):
            offer = arm.made(shown)
            found = answered(fitted, offer, lesson)
            chosen = decided(found, offer, lesson, self._decision).numpy()[fit, place]
            p = found.exp().numpy()[fit, place]
            _check(p, method, self._splits, fits.fold[fit])
            parts.append(_Part(fits.fold[fit], fits.seeds[fit], patient, p, chosen))

    def frame(self) -> pd.DataFrame:
        """All rows, by arm, split and seed."""
        return pd.concat(
            [self._table(arm, part) for arm, parts in zip(self._arms, self._parts, strict=True) for part in parts],
            ignore_index=True,
        )

    def _table(self, arm: Arm, part: _Part) -> pd.DataFrame:
        classes = np.array(self._targets.task.classes, object)
        names = tuple(self._evidence.modalities)
        seen = self._evidence.present[part.patient] & np.array(arm.kept, bool)
        patterns, pattern = np.unique(seen, axis=0, return_inverse=True)
        written = np.array([_written(names, some) for some in patterns], object)
        columns = {
            "repeat": np.array([split.repeat for split in self._splits], np.int32)[part.fold],
            "fold": np.array([split.fold for split in self._splits], np.int32)[part.fold],
            "seed": part.seed,
            "patient_id": np.array(self._evidence.patients, object)[part.patient],
            "ablation": arm.ablation,
            "offered": _written(names, arm.kept),
            "seen": written[pattern.reshape(-1)],
            "y_true": classes[self._targets.y[part.patient]],
            "y_pred": classes[part.chosen],
        }
        shares = {f"p_{name}": part.probabilities[:, c] for c, name in enumerate(classes)}
        return pd.DataFrame(columns | shares)


def answered(fitted: Fitted, offer: Offer, lesson: Lesson) -> Tensor:
    """(F, n, C) log-probabilities; the training prior for patients of whom nothing is shown."""
    prior = lesson.prior().log()[:, None]
    return torch.where(_something(offer)[..., None], fitted.log_probabilities(offer), prior)


def decided(found: Tensor, offer: Offer, lesson: Lesson, decision: str) -> Tensor:
    """(F, n) class for (F, n, C) log-probabilities.

    Balanced, a class that no training patient has is never chosen, since its frequency says nothing. Where nothing is
    shown no class is favoured, and the first is named whatever the fold: the most frequent of the training patients is
    the one that the patients left out have least of, and would come out worse than chance.
    """
    if decision == "argmax":
        return found.argmax(-1)
    gain = found - lesson.prior().log()[:, None]
    gain = torch.where(classes_learnt(lesson)[:, None], gain, -torch.inf)
    return torch.where(_something(offer), gain.argmax(-1), 0)


def classes_learnt(lesson: Lesson) -> Tensor:
    """(F, C) bool: classes that some training patient may have, his label saying something."""
    return (lesson.allowed & (lesson.weight > 0)[..., None]).any(1)


def _something(offer: Offer) -> Tensor:
    there = offer.present.any(-1)
    return there if offer.residual_present is None else there | offer.residual_present.any(-1)


def _written(names: Sequence[str], kept: Sequence[bool] | NDArray[np.bool_]) -> str:
    return subset_name(name for name, there in zip(names, kept, strict=True) if there)


def _check(p: NDArray[np.float32], method: str, splits: Sequence[Split], fold: NDArray[np.intp]) -> None:
    right = np.isfinite(p).all(1) & (np.abs(p.sum(1) - 1) < SUM_TOLERANCE)
    if not right.all():
        raise InputError(
            f"gives {int((~right).sum())} patients something that is no probability",
            where=f"method {method}, {splits[fold[np.argmin(right)]].name}",
            remedy="Log-probabilities must be finite where a class is possible, and their exponentials sum to 1",
        )
