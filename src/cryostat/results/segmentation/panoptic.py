"""Panoptic quality: instances paired by overlap, per image and over a set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import SettingError
from cryostat.results.scores import Classes, class_names
from cryostat.results.segmentation.maps import Instances, Maps, read_pairs
from cryostat.results.segmentation.ratios import mean, ratio


@dataclass(frozen=True, eq=False)
class Overlaps:
    """Pairs of a true and a predicted instance.

    Attributes:
        true: (p,) rows of the true instances, from 0.
        pred: (p,) rows of the predicted instances, from 0.
        iou: (p,) intersection over union.
    """

    true: NDArray[np.int64]
    pred: NDArray[np.int64]
    iou: NDArray[np.float64]


@dataclass(frozen=True)
class PanopticCounts:
    """What panoptic quality is made of; the counts of two parts of a set add up.

    Attributes:
        tp: Pairs.
        fp: Predicted instances without a partner.
        fn: True instances without a partner.
        iou_sum: Sum of the pairs' IoU.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0
    iou_sum: float = 0.0

    def __add__(self, other: PanopticCounts) -> PanopticCounts:
        return PanopticCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn, self.iou_sum + other.iou_sum)

    @property
    def dq(self) -> float | None:
        """Detection quality, the F1 of the pairing; None without any instance."""
        return ratio(self.tp, self.tp + 0.5 * self.fp + 0.5 * self.fn)

    @property
    def sq(self) -> float | None:
        """Segmentation quality, the mean IoU of the pairs; None without pairs."""
        return ratio(self.iou_sum, self.tp)

    @property
    def pq(self) -> float | None:
        """Panoptic quality, DQ times SQ: 0 without pairs, None without any instance."""
        return ratio(self.iou_sum, self.tp + 0.5 * self.fp + 0.5 * self.fn)


@dataclass(frozen=True)
class ClassPanoptic:
    """Panoptic counts of a class.

    Attributes:
        id: Class id.
        name: Class name.
        counts: What was paired.
    """

    id: int
    name: str
    counts: PanopticCounts


@dataclass(frozen=True)
class ImagePanoptic:
    """Panoptic counts of an image.

    Attributes:
        binary: Whatever the classes.
        classes: Per class, ids ascending.
    """

    binary: PanopticCounts
    classes: tuple[ClassPanoptic, ...]

    @property
    def mpq(self) -> float | None:
        """Mean PQ of the classes that are in the truth or the prediction; None without any."""
        return mean(c.counts.pq for c in self.classes)


@dataclass(frozen=True)
class PanopticScores:
    """Panoptic quality of a set. What is undefined is None and left out of means.

    Attributes:
        images: Per image, in order.
        binary: Pooled over the images, whatever the classes.
        classes: Pooled over the images, per class, ids ascending.
    """

    images: tuple[ImagePanoptic, ...]
    binary: PanopticCounts
    classes: tuple[ClassPanoptic, ...]

    @property
    def bpq(self) -> float | None:
        """Binary PQ: mean over images (`PQ` of CoNIC, `bPQ` of PanNuke)."""
        return mean(image.binary.pq for image in self.images)

    @property
    def bdq(self) -> float | None:
        """Binary DQ: mean over images."""
        return mean(image.binary.dq for image in self.images)

    @property
    def bsq(self) -> float | None:
        """Binary SQ: mean over images with pairs."""
        return mean(image.binary.sq for image in self.images)

    @property
    def mpq(self) -> float | None:
        """Mean over images of the mean PQ over the classes of each image."""
        return mean(image.mpq for image in self.images)

    @property
    def mpq_plus(self) -> float | None:
        """Mean over classes of the PQ of the counts pooled over the set (CoNIC's `mPQ+`).

        A class on neither side is left out; CoNIC's program would count it as 0.
        """
        return mean(c.counts.pq for c in self.classes)


def pair_by_iou(true: Instances, pred: Instances, threshold: float = 0.5) -> Overlaps:
    """Pair instances that overlap by more than the threshold; above 0.5 no instance can have two partners.

    Args:
        true: Instances of an image.
        pred: Instances of the same image.
        threshold: IoU that a pair must exceed, 0.5 or more and below 1.

    Raises:
        SettingError: The threshold is out of its range.
    """
    if not 0.5 <= threshold < 1:
        raise SettingError(f"IoU threshold {threshold}", remedy="Choose 0.5 or more and less than 1")
    both = (true.index > 0) & (pred.index > 0)
    codes = (true.index[both] - 1) * len(pred) + pred.index[both] - 1
    code, shared = np.unique(codes, return_counts=True)
    rows, columns = np.divmod(code, max(len(pred), 1))
    iou = shared / (true.areas[rows] + pred.areas[columns] - shared)
    kept = iou > threshold
    return Overlaps(rows[kept], columns[kept], iou[kept])


def score_panoptic(true: Maps, pred: Maps, classes: Classes, *, threshold: float = 0.5) -> PanopticScores:
    """Panoptic quality of predicted maps.

    Args:
        true: (N, H, W, 2), or N maps (H, W, 2): instance and class ids, 0 background.
        pred: The same for the prediction, in the same order and sizes.
        classes: The cell types, without background.
        threshold: IoU that a pair must exceed.

    Raises:
        InputError: Maps are malformed, do not fit each other, or hold a class that is not listed.
        SettingError: The threshold is out of its range.
    """
    names = class_names(classes)
    return pooled([image_panoptic(t, p, names, threshold=threshold) for t, p in read_pairs(true, pred, names)], names)


def image_panoptic(true: Instances, pred: Instances, names: dict[int, str], *, threshold: float = 0.5) -> ImagePanoptic:
    """Panoptic counts of an image, binary and per class; a pair counts for a class when both sides have it.

    Args:
        true: Instances of the image.
        pred: Predicted instances of it.
        names: Class ids to names.
        threshold: IoU that a pair must exceed.
    """
    pairs = pair_by_iou(true, pred, threshold)
    size = max(names, default=0) + 1
    named = true.classes[pairs.true]
    agree = named == pred.classes[pairs.pred]
    tp = np.bincount(named[agree], minlength=size)
    iou = np.bincount(named[agree], weights=pairs.iou[agree], minlength=size)
    fn = np.bincount(true.classes, minlength=size) - tp
    fp = np.bincount(pred.classes, minlength=size) - tp
    n = len(pairs.iou)
    return ImagePanoptic(
        PanopticCounts(n, len(pred) - n, len(true) - n, float(pairs.iou.sum())),
        tuple(
            ClassPanoptic(c, name, PanopticCounts(int(tp[c]), int(fp[c]), int(fn[c]), float(iou[c])))
            for c, name in names.items()
        ),
    )


def pooled(images: Sequence[ImagePanoptic], names: dict[int, str]) -> PanopticScores:
    """The scores of a set from the counts of its images.

    Args:
        images: Counts of each image, all with the classes of `names`.
        names: Class ids to names, ids ascending.
    """
    binary = sum((image.binary for image in images), PanopticCounts())
    classes = tuple(
        ClassPanoptic(c, name, sum((image.classes[at].counts for image in images), PanopticCounts()))
        for at, (c, name) in enumerate(names.items())
    )
    return PanopticScores(tuple(images), binary, classes)
