"""The one interface of methods: standardised embeddings and who has them in, class probabilities out.

Fits come in batches. Each of F fits has its own training patients, standardisation, seed and settings; all of them are
done at once as tensors whose first dimension is the fit. Nothing of one fit may depend on which others stand beside it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Offer:
    """What each of F fits is shown of n patients.

    Attributes:
        blocks: For each of M modalities (F, n, d_m) float32, standardised by the fit's own training patients that have
            it; 0 where it is not present.
        present: (F, n, M) bool: what is offered and there.
        residual_present: What the residual branch of a method with experts and a residual sees, where an ablation tells
            the two apart; None: the same as `present`.
    """

    blocks: tuple[Tensor, ...]
    present: Tensor
    residual_present: Tensor | None = None

    @property
    def fits(self) -> int:
        """F."""
        return self.present.shape[0]

    @property
    def widths(self) -> tuple[int, ...]:
        """d_m of each modality."""
        return tuple(block.shape[-1] for block in self.blocks)

    def of_fits(self, index: Tensor) -> Offer:
        """The same for chosen fits, in the order of `index` (repetition allowed)."""
        residual = None if self.residual_present is None else self.residual_present[index]
        return Offer(tuple(block[index] for block in self.blocks), self.present[index], residual)

    def showing(self, present: Tensor) -> Offer:
        """The same patients with less shown: blocks outside `present` (F, n, M) become 0."""
        kept = present & self.present
        shown = tuple(block * kept[..., m, None] for m, block in enumerate(self.blocks))
        return Offer(shown, kept)


@dataclass(frozen=True, eq=False)
class Lesson:
    """What F fits learn from.

    Attributes:
        offer: Of the training patients, n rows a fit; short fits are filled up with rows of weight 0.
        allowed: (F, n, C) bool: classes that a patient may have; one for most, several for a partial label, all or none
            where nothing is known.
        weight: (F, n) float32 ≥ 0: 0 for filling and for those without any label.
        inner: (F, n) int: inner fold (0 … K−1) of each row, −1 for filling: for what is chosen or stacked out of fold.
        split: (F,) int: fits with the same number have the same rows, whatever their seeds and settings.
        seeds: (F,) int.
        settings: Numbers that differ between the fits, (F,) float32 each, by name.
        ordinal: The classes are ordered.
        leaves: (F, n, L) bool or None: what is allowed among the finest labels of the hierarchy.
        leaf_class: (L,) int or None: class of each leaf in this task, −1 where it has none.
    """

    offer: Offer
    allowed: Tensor
    weight: Tensor
    inner: Tensor
    split: Tensor
    seeds: Tensor
    settings: Mapping[str, Tensor] = field(default_factory=dict)
    ordinal: bool = False
    leaves: Tensor | None = None
    leaf_class: Tensor | None = None

    @property
    def classes(self) -> int:
        """C."""
        return self.allowed.shape[-1]

    @property
    def fits(self) -> int:
        """F."""
        return self.allowed.shape[0]

    def of_fits(self, index: Tensor) -> Lesson:
        """The same for chosen fits."""
        return replace(
            self,
            offer=self.offer.of_fits(index),
            allowed=self.allowed[index],
            weight=self.weight[index],
            inner=self.inner[index],
            split=self.split[index],
            seeds=self.seeds[index],
            settings={name: value[index] for name, value in self.settings.items()},
            leaves=None if self.leaves is None else self.leaves[index],
        )

    def of_splits(self) -> tuple[Lesson, Tensor]:
        """One fit a split, and for each fit the place of its split: for what neither seed nor setting changes."""
        splits, place = torch.unique(self.split, return_inverse=True)
        first = torch.stack([(self.split == split).nonzero()[0, 0] for split in splits])
        return self.of_fits(first), place

    def targets(self) -> Tensor:
        """(F, n, C) float32 that sum to 1: certain labels, and partial ones spread evenly; 0 where nothing is known."""
        spread = self.allowed.float()
        return spread / spread.sum(-1, keepdim=True).clamp(min=1)

    def prior(self) -> Tensor:
        """(F, C): weighted share of each class, with half a patient added to each, so that none is 0."""
        counts = (self.targets() * self.weight[..., None]).sum(1) + 0.5
        return counts / counts.sum(-1, keepdim=True)


class Fitted(ABC):
    """F fitted models."""

    @abstractmethod
    def log_probabilities(self, offer: Offer) -> Tensor:
        """(F, n, C) log-probabilities that sum to 1; the training prior where nothing at all is present."""

    def facts(self) -> Mapping[str, Any]:
        """What was learnt that a reader would want to see: weights of modalities, alpha, chosen strengths."""
        return {}


@dataclass(frozen=True)
class Setting:
    """A setting of a method.

    Attributes:
        default: Its value.
        about: What it does, in a sentence.
        choices: Values among which the inner folds choose when the user asks for it; empty: never chosen.
        options: For a named setting, all its values.
    """

    default: float | int | str | bool
    about: str
    choices: tuple[float, ...] = ()
    options: tuple[str, ...] = ()


class Method(ABC):
    """A way from evidence to class probabilities, for every pattern of availability at once.

    Attributes:
        name: What it is called.
        about: One sentence: what it does.
        source: Where it comes from.
        settings: Its settings by name. Numbers may differ between the fits of a batch; named ones may not.
        has_residual: It tells experts from a residual branch, so that the two can be ablated apart.
        chance: Its result depends on the seed.
    """

    name: str
    about: str
    source: str = ""
    settings: Mapping[str, Setting] = {}
    has_residual: bool = False
    chance: bool = False

    @abstractmethod
    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Fit.

        Args:
            lesson: What to learn from; `lesson.settings` holds numbers that differ between fits.
            choice: Every setting of the method that is the same for all fits.
        """


def number(lesson: Lesson, choice: Mapping[str, Any], name: str) -> Tensor:
    """(F,) float32: a numeric setting, whether it differs between fits or not."""
    if name in lesson.settings:
        return lesson.settings[name]
    return torch.full((lesson.fits,), float(choice[name]))
