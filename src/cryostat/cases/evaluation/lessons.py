"""Lessons of many fits at once: folds prepared as they are needed, filled up to one size, cut to fit memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryostat.cases.evaluation.offers import Shown
from cryostat.cases.evaluation.preparation import Preparation, Prepared
from cryostat.cases.evaluation.remembering import prepared
from cryostat.cases.evaluation.splits import Split, deal
from cryostat.cases.evidence import Evidence
from cryostat.cases.labels import Targets
from cryostat.cases.methods.base import Lesson, Offer

HIDDEN = 256
"""Numbers per patient that a method is taken to hold beside the evidence."""

COPIES = 8
"""How often a method is taken to hold either while it learns (activations, gradients, moments)."""


@dataclass(frozen=True, eq=False)
class Fold:
    """One set of patients to learn from, and one to be asked about.

    Attributes:
        key: What its random numbers depend on.
        train: Rows of the training patients.
        test: Rows of the patients to be asked about.
        inner: Inner fold of each training patient.
    """

    key: tuple[int, ...]
    train: NDArray[np.intp]
    test: NDArray[np.intp]
    inner: NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Fits:
    """F fits to be done, those of one fold beside each other.

    Attributes:
        fold: (F,) number of each fit's fold.
        seeds: (F,) int.
        settings: Numbers that differ between fits, (F,) each.
    """

    fold: NDArray[np.intp]
    seeds: NDArray[np.int64]
    settings: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.fold)

    def part(self, start: int, stop: int) -> Fits:
        """Some of them."""
        return Fits(
            self.fold[start:stop],
            self.seeds[start:stop],
            {name: values[start:stop] for name, values in self.settings.items()},
        )


def folds_of_splits(splits: Sequence[Split], targets: Targets, present: NDArray[np.bool_], inner: int) -> list[Fold]:
    """One fold a split, its training patients dealt into inner folds."""
    return [_fold((split.repeat, split.fold), split.train, split.test, targets, present, inner) for split in splits]


def informative(allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(n,): the label leaves out some class, but not all."""
    return np.asarray(allowed.any(1) & ~allowed.all(1))


def _inner(fold: Fold, targets: Targets, present: NDArray[np.bool_], inner: int) -> list[Fold]:
    labelled = informative(targets.allowed)[fold.train]
    made = []
    for k in np.unique(fold.inner):
        held = (fold.inner == k) & labelled
        made.append(_fold((*fold.key, int(k)), fold.train[~held], fold.train[held], targets, present, inner))
    return made


def _fold(
    key: tuple[int, ...],
    train: NDArray[np.intp],
    test: NDArray[np.intp],
    targets: Targets,
    present: NDArray[np.bool_],
    inner: int,
) -> Fold:
    dealt = deal(targets.y[train], present[train], inner, np.random.default_rng(key))
    return Fold(key, train, test, dealt)


class Lessons:
    """Makes lessons, and offers of the patients to be asked about, for any fits of some folds.

    All lessons have one size, that of the largest fold, so that no fit depends on which others stand beside it.

    Args:
        evidence: Of n patients.
        targets: Their labels; those of patients to be asked about are never looked at.
        preparation: What is fitted inside a fold.
        folds: All folds.
    """

    def __init__(self, evidence: Evidence, targets: Targets, preparation: Preparation, folds: Sequence[Fold]) -> None:
        self.folds = folds
        self._evidence, self._targets, self._preparation = evidence, targets, preparation
        self._train_size = max(len(fold.train) for fold in folds)
        self._test_size = max(len(fold.test) for fold in folds)
        self._kept: dict[int, Prepared] = {}
        # One row more, for filling: a patient of whom nothing is known.
        self._allowed = torch.from_numpy(np.pad(targets.allowed, ((0, 1), (0, 0)), constant_values=True))
        self._possible = torch.from_numpy(np.pad(targets.possible, ((0, 1), (0, 0)), constant_values=True))

    def inside(self, inner: int) -> tuple[Lessons, NDArray[np.intp]]:
        """Lessons of the inner folds of every fold, and which fold each belongs to.

        Only patients whose label says something are asked about; the others train.
        """
        made = [_inner(fold, self._targets, self._evidence.present, inner) for fold in self.folds]
        belongs = np.repeat(np.arange(len(made)), [len(folds) for folds in made])
        folds = [fold for some in made for fold in some]
        return Lessons(self._evidence, self._targets, self._preparation, folds), belongs

    def batches(self, fits: Fits, memory: int) -> Iterator[Fits]:
        """As many fits at once as are taken to need at most `memory` bytes, but one at least."""
        if not len(fits):
            return
        width = sum(self.prepared(int(fits.fold[0])).widths)
        rows = self._train_size + self._test_size
        step = max(1, memory // (4 * COPIES * rows * (width + HIDDEN)))
        for start in range(0, len(fits), step):
            yield fits.part(start, start + step)

    def prepared(self, number: int) -> Prepared:
        """The evidence prepared for a fold."""
        if number not in self._kept:
            self._kept[number] = self._prepare(self.folds[number])
        return self._kept[number]

    def _prepare(self, fold: Fold) -> Prepared:
        # What is not to be looked at is not shown either.
        visible = np.ones_like(self._targets.allowed)
        visible[fold.train] = self._targets.allowed[fold.train]
        return prepared(self._preparation, self._evidence, fold.train, visible)

    def lesson(self, fits: Fits) -> Lesson:
        """What the fits learn from."""
        rows = self._rows(fits, [fold.train for fold in self.folds], self._train_size)
        inner = self._rows(fits, [fold.inner for fold in self.folds], self._train_size)
        allowed = self._allowed[rows]
        return Lesson(
            offer=self._offer(fits, rows),
            allowed=allowed,
            weight=(allowed.any(-1) & ~allowed.all(-1)).float(),
            inner=inner,
            split=torch.from_numpy(fits.fold),
            seeds=torch.from_numpy(fits.seeds),
            settings={name: torch.from_numpy(values) for name, values in fits.settings.items()},
            ordinal=self._targets.task.ordinal,
            leaves=self._possible[rows],
            leaf_class=torch.tensor(self._targets.task.leaf_class),
        )

    def shown(self, fits: Fits) -> Shown:
        """All that is known of the patients to be asked about, filled up with patients of whom nothing is."""
        rows = self._rows(fits, [fold.test for fold in self.folds], self._test_size)
        zeros = zip(*(self.prepared(int(number)).zero for number in fits.fold), strict=True)
        # A seed may be negative, but no part of a key.
        keys = [
            (int(seed) % 2**32, *self.folds[number].key) for seed, number in zip(fits.seeds, fits.fold, strict=True)
        ]
        return Shown(self._offer(fits, rows), tuple(torch.from_numpy(np.stack(zero)) for zero in zeros), keys)

    def asked(self, fits: Fits) -> tuple[Tensor, Tensor]:
        """(F, t) int rows of the patients to be asked about, −1 for filling, and (F, t, C) classes allowed."""
        rows = self._rows(fits, [fold.test for fold in self.folds], self._test_size)
        return rows, self._allowed[rows]

    def _rows(self, fits: Fits, values: Sequence[NDArray[np.intp]], size: int) -> Tensor:
        found = np.full((len(fits), size), -1, np.int64)
        for f, number in enumerate(fits.fold):
            found[f, : len(values[number])] = values[number]
        return torch.from_numpy(found)

    def _offer(self, fits: Fits, rows: Tensor) -> Offer:
        numbers, first, place = np.unique(fits.fold, return_index=True, return_inverse=True)
        # Folds no longer needed are forgotten: all of them at once may not fit.
        self._kept = {int(number): self.prepared(int(number)) for number in numbers}
        blocks = zip(*(self._kept[int(number)].blocks for number in numbers), strict=True)
        present = torch.from_numpy(np.pad(self._evidence.present, ((0, 1), (0, 0))))[rows]
        return Offer(tuple(_gathered(block, rows[first], place) for block in blocks), present)


def _gathered(blocks: tuple[NDArray[np.float32], ...], rows: Tensor, place: NDArray[np.intp]) -> Tensor:
    """(F, rows, d) of (n, d) a fold; row −1 is 0, and folds that many fits share are cut out once."""
    cut = [
        torch.from_numpy(block)[row.clamp(min=0)] * (row >= 0)[:, None] for block, row in zip(blocks, rows, strict=True)
    ]
    stacked = torch.stack(cut)
    return stacked if len(place) == len(cut) else stacked[torch.from_numpy(place)]
