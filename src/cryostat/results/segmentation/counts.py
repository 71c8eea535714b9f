"""Agreement of the numbers of nuclei per image and class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryostat.results.scores import Classes, class_names
from cryostat.results.segmentation.maps import Instances, Maps, read_pairs
from cryostat.results.segmentation.ratios import mean


@dataclass(frozen=True)
class ClassCounts:
    """Numbers of instances of a class over the images of a set.

    Attributes:
        id: Class id.
        name: Class name.
        true: True number in each image.
        pred: Predicted number in each image.
    """

    id: int
    name: str
    true: tuple[int, ...]
    pred: tuple[int, ...]

    @property
    def r2(self) -> float | None:
        """Coefficient of determination; None when the true number is the same in all images (or there is none)."""
        true, pred = np.array(self.true, dtype=float), np.array(self.pred, dtype=float)
        spread = float(((true - true.mean()) ** 2).sum()) if len(true) else 0.0
        return None if spread == 0 else 1 - float(((true - pred) ** 2).sum()) / spread

    @property
    def finite_r2(self) -> float | None:
        """`r2`, or where that is undefined 1 if all numbers are right, else 0; None below two images."""
        if len(self.true) < 2:
            return None
        return float(self.true == self.pred) if self.r2 is None else self.r2


@dataclass(frozen=True)
class CountScores:
    """Agreement of numbers of nuclei.

    Attributes:
        classes: Per class, ids ascending.
    """

    classes: tuple[ClassCounts, ...]

    @property
    def multi_r2(self) -> float | None:
        """CoNIC's multi-class R²: mean of `finite_r2` over all listed classes."""
        return mean(c.finite_r2 for c in self.classes)

    @property
    def defined_r2(self) -> float | None:
        """Mean of `r2` over the classes that have one."""
        return mean(c.r2 for c in self.classes)


def score_counts(true: Maps, pred: Maps, classes: Classes, *, margin: int = 0) -> CountScores:
    """Compare the numbers of nuclei per image and class.

    Args:
        true: (N, H, W, 2), or N maps (H, W, 2): instance and class ids, 0 background.
        pred: The same for the prediction, in the same order and sizes.
        classes: The cell types, without background.
        margin: Pixels cut off at each border before counting.

    Raises:
        InputError: Maps are malformed, do not fit each other, or hold a class that is not listed.
    """
    names = class_names(classes)
    pairs = read_pairs(true, pred, names, margin=margin)
    return count_scores([(class_counts(t, names), class_counts(p, names)) for t, p in pairs], names)


def class_counts(instances: Instances, names: dict[int, str]) -> NDArray[np.int64]:
    """(k,) number of instances of each class, in the order of `names`."""
    tally = np.bincount(instances.classes, minlength=max(names, default=0) + 1)
    return tally[list(names)].astype(np.int64)


def count_scores(rows: list[tuple[NDArray[np.int64], NDArray[np.int64]]], names: dict[int, str]) -> CountScores:
    """Scores from the true and predicted numbers (k,) of each image."""
    return CountScores(
        tuple(
            ClassCounts(c, name, tuple(int(t[at]) for t, _ in rows), tuple(int(p[at]) for _, p in rows))
            for at, (c, name) in enumerate(names.items())
        )
    )
