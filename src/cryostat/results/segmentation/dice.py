"""Dice coefficient of the pixels, binary and per class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryostat.results.scores import Classes, class_names
from cryostat.results.segmentation.maps import Instances, Maps, read_pairs
from cryostat.results.segmentation.ratios import mean, ratio


@dataclass(frozen=True)
class PixelCounts:
    """Pixels of a class, in an image or pooled over a set.

    Attributes:
        true: In the truth.
        pred: In the prediction.
        shared: In both.
    """

    true: int = 0
    pred: int = 0
    shared: int = 0

    def __add__(self, other: PixelCounts) -> PixelCounts:
        return PixelCounts(self.true + other.true, self.pred + other.pred, self.shared + other.shared)

    @property
    def dice(self) -> float | None:
        """Twice the shared pixels over the pixels of both; None without any."""
        return ratio(2 * self.shared, self.true + self.pred)


@dataclass(frozen=True)
class ClassDice:
    """Pixels of a class.

    Attributes:
        id: Class id.
        name: Class name.
        pixels: Pooled over the set.
        images: In each image.
    """

    id: int
    name: str
    pixels: PixelCounts
    images: tuple[PixelCounts, ...]

    @property
    def dice(self) -> float | None:
        """Dice of the pooled pixels."""
        return self.pixels.dice

    @property
    def image_mean(self) -> float | None:
        """Mean Dice of the images that have the class on either side."""
        return mean(image.dice for image in self.images)


@dataclass(frozen=True)
class DiceScores:
    """Dice of a set.

    Attributes:
        binary: Instances against background (id 0, named `nuclei`).
        classes: Per class, ids ascending.
    """

    binary: ClassDice
    classes: tuple[ClassDice, ...]

    @property
    def macro(self) -> float | None:
        """Mean over classes of the Dice of the pooled pixels."""
        return mean(c.dice for c in self.classes)


def score_dice(true: Maps, pred: Maps, classes: Classes) -> DiceScores:
    """Dice of predicted maps; the pixels of an instance have the instance's class.

    Args:
        true: (N, H, W, 2), or N maps (H, W, 2): instance and class ids, 0 background.
        pred: The same for the prediction, in the same order and sizes.
        classes: The cell types, without background.

    Raises:
        InputError: Maps are malformed, do not fit each other, or hold a class that is not listed.
    """
    names = class_names(classes)
    size = max(names, default=0) + 1
    tables = [class_pixels(t, p, size) for t, p in read_pairs(true, pred, names)]
    return DiceScores(_of_class(0, "nuclei", tables), tuple(_of_class(c, name, tables) for c, name in names.items()))


def class_pixels(true: Instances, pred: Instances, size: int) -> NDArray[np.int64]:
    """(size, 3) true, predicted and shared pixels of the classes below `size`; row 0 is that of all instances."""
    t, p = true.semantic.ravel(), pred.semantic.ravel()
    table = np.stack([np.bincount(pixels, minlength=size) for pixels in (t, p, t[t == p])], axis=1)
    inside = [true.index > 0, pred.index > 0]
    table[0] = [inside[0].sum(), inside[1].sum(), (inside[0] & inside[1]).sum()]
    return table.astype(np.int64)


def _of_class(row: int, name: str, tables: list[NDArray[np.int64]]) -> ClassDice:
    images = tuple(PixelCounts(*map(int, table[row])) for table in tables)
    return ClassDice(row, name, sum(images, PixelCounts()), images)
