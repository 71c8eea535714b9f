"""What is counted in a field of view: every segmentation score of a set follows from these numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from os import PathLike
from typing import Any

from cryostat.core.errors import InputError
from cryostat.results.segmentation.detection import DetectionCounts, image_detection
from cryostat.results.segmentation.dice import PixelCounts, class_pixels
from cryostat.results.segmentation.maps import Instances
from cryostat.results.segmentation.panoptic import PanopticCounts, image_panoptic


@dataclass(frozen=True)
class Tally:
    """Numbers of one class in one field of view.

    Attributes:
        true: True instances.
        pred: Predicted instances.
        overlap_pairs: Pairs that overlap by more than the IoU threshold.
        iou_sum: Sum of these pairs' IoU.
        centre_pairs: Pairs whose centres are within the match radius.
        true_px: Pixels of the true instances.
        pred_px: Pixels of the predicted instances.
        shared_px: Pixels of both.
    """

    true: int = 0
    pred: int = 0
    overlap_pairs: int = 0
    iou_sum: float = 0.0
    centre_pairs: int = 0
    true_px: int = 0
    pred_px: int = 0
    shared_px: int = 0

    @property
    def panoptic(self) -> PanopticCounts:
        """As panoptic quality counts them."""
        pairs = self.overlap_pairs
        return PanopticCounts(pairs, self.pred - pairs, self.true - pairs, self.iou_sum)

    @property
    def detection(self) -> DetectionCounts:
        """As detection counts them."""
        return DetectionCounts(self.centre_pairs, self.pred - self.centre_pairs, self.true - self.centre_pairs)

    @property
    def pixels(self) -> PixelCounts:
        """As Dice counts them."""
        return PixelCounts(self.true_px, self.pred_px, self.shared_px)

    @property
    def possible(self) -> bool:
        """No number is negative, and no more is paired or shared than there is."""
        fewest = min(self.true, self.pred)
        return (
            all(value >= 0 for value in astuple(self))
            and max(self.overlap_pairs, self.centre_pairs) <= fewest
            and self.iou_sum <= self.overlap_pairs * (1 + 1e-9)
            and self.shared_px <= min(self.true_px, self.pred_px)
        )


FieldTally = Mapping[int, Tally]
"""Class id to its numbers in one field of view; 0 stands for all instances, whatever their class."""

COLUMNS = tuple(f.name for f in fields(Tally))
"""Names of the numbers."""


def tally_field(true: Instances, pred: Instances, names: dict[int, str], *, radius: float, iou: float) -> FieldTally:
    """Count one field of view.

    Args:
        true: Its instances.
        pred: Its predicted instances.
        names: Class ids to names.
        radius: Longest distance of a pair's centres, in px.
        iou: IoU that an overlapping pair must exceed.
    """
    overlaps = image_panoptic(true, pred, names, threshold=iou)
    panoptic = {0: overlaps.binary} | {c.id: c.counts for c in overlaps.classes}
    centres = image_detection(true, pred, names, radius)
    pixels = class_pixels(true, pred, max(names, default=0) + 1)
    return {
        c: Tally(p.tp + p.fn, p.tp + p.fp, p.tp, p.iou_sum, centres[c].tp, *map(int, pixels[c]))
        for c, p in panoptic.items()
    }


def to_columns(tallies: Sequence[FieldTally], ids: Sequence[int]) -> dict[str, dict[str, list[float]]]:
    """Plain data for JSON: class id, 0 first, to the name of each number to its value in each field."""
    return {
        str(c): {name: [getattr(tally[c], name) for tally in tallies] for name in COLUMNS} for c in sorted({0, *ids})
    }


def from_columns(facts: Any, ids: Sequence[int], n: int, where: str | PathLike[str]) -> tuple[FieldTally, ...]:
    """The inverse of `to_columns`.

    Args:
        facts: Plain data from JSON.
        ids: The class ids that there should be, without 0.
        n: Number of fields that there should be.
        where: File, for messages.

    Raises:
        InputError: Classes or numbers are missing, or the numbers cannot be.
    """
    by_class = {c: _tallies_of(c, facts, n, where) for c in sorted({0, *ids})}
    return tuple({c: column[i] for c, column in by_class.items()} for i in range(n))


def _tallies_of(c: int, facts: Any, n: int, where: str | PathLike[str]) -> list[Tally]:
    columns = facts.get(str(c)) if isinstance(facts, Mapping) else None
    if not isinstance(columns, Mapping):
        raise damaged(f"has no counts of class {c}", where)
    for name in COLUMNS:
        values = columns.get(name)
        kinds = (int, float) if name == "iou_sum" else (int,)
        if not isinstance(values, list) or len(values) != n or any(type(value) not in kinds for value in values):
            raise damaged(f"does not hold {n} numbers {name!r} of class {c}", where)
    tallies = [Tally(*row) for row in zip(*(columns[name] for name in COLUMNS), strict=True)]
    if wrong := next((tally for tally in tallies if not tally.possible), None):
        raise damaged(f"holds counts of class {c} that cannot be ({wrong})", where)
    return tallies


def damaged(problem: str, where: str | PathLike[str]) -> InputError:
    """The error of a file of scores that cannot be used."""
    return InputError(problem, where=where, remedy="Score the run again")
