"""All scores of predicted instance maps together, each under its own name, and their form on disk."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from os import PathLike
from typing import Any

from cryostat.core.errors import SettingError
from cryostat.results.scores import Classes, class_names
from cryostat.results.segmentation.counts import ClassCounts, CountScores
from cryostat.results.segmentation.detection import (
    ClassDetection,
    DetectionCounts,
    DetectionScores,
    match_radii,
    pixel_sizes,
)
from cryostat.results.segmentation.dice import ClassDice, DiceScores, PixelCounts
from cryostat.results.segmentation.maps import Maps, check_sets, read_pairs
from cryostat.results.segmentation.panoptic import ClassPanoptic, ImagePanoptic, PanopticScores, pooled
from cryostat.results.segmentation.tallies import FieldTally, damaged, from_columns, tally_field, to_columns

FORMAT = 1
"""Version of `segmentation.json`."""


@dataclass(frozen=True)
class SegmentationSettings:
    """How instances were paired.

    Attributes:
        match_px: Longest distance in px of two centres that count as one nucleus; None where fields differ in scale.
        match_um: The same in µm; None where the scale is not known, or fields differ in it.
        iou_threshold: IoU that a pair must exceed for panoptic quality.
    """

    match_px: float | None
    match_um: float | None
    iou_threshold: float = 0.5

    def __post_init__(self) -> None:
        lengths = [length for length in (self.match_px, self.match_um) if length is not None]
        if not lengths or not all(_is_number(length) and length > 0 for length in lengths):
            raise SettingError(
                f"match radius {self.match_px} px, {self.match_um} µm", remedy="Choose a radius above 0, in px or µm"
            )
        if not _is_number(self.iou_threshold) or not 0.5 <= self.iou_threshold < 1:
            raise SettingError(f"IoU threshold {self.iou_threshold}", remedy="Choose 0.5 or more and less than 1")

    @property
    def about(self) -> str:
        """The match radius in words: `3 µm (6 px)`."""
        forms = [f"{length:g} {unit}" for length, unit in ((self.match_um, "µm"), (self.match_px, "px")) if length]
        return forms[0] + "".join(f" ({form})" for form in forms[1:])


@dataclass(frozen=True)
class ClassSegmentation:
    """Scores of one class over a set; None is undefined.

    Attributes:
        id: Class id.
        name: Class name.
        true: True instances.
        pred: Predicted instances.
        pq: Panoptic quality of the pooled counts.
        dq: Detection quality, its first factor.
        sq: Segmentation quality, its second.
        r2: R² of the numbers in each field, by CoNIC's rule where it is undefined.
        precision: Of detection by centres.
        recall: Of detection by centres.
        f1: Of detection by centres.
        dice: Of the pooled pixels.
    """

    id: int
    name: str
    true: int
    pred: int
    pq: float | None
    dq: float | None
    sq: float | None
    r2: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    dice: float | None


@dataclass(frozen=True)
class SegmentationScores:
    """Scores of predicted instance maps.

    Attributes:
        classes: Class ids to names, ids ascending, without background.
        settings: How instances were paired.
        tallies: What was counted in each field; all scores follow from it.
    """

    classes: Mapping[int, str]
    settings: SegmentationSettings
    tallies: tuple[FieldTally, ...]

    @property
    def fields(self) -> int:
        """Number of fields scored."""
        return len(self.tallies)

    @cached_property
    def panoptic(self) -> PanopticScores:
        """Panoptic quality."""
        images = [
            ImagePanoptic(
                tally[0].panoptic, tuple(ClassPanoptic(c, name, tally[c].panoptic) for c, name in self.classes.items())
            )
            for tally in self.tallies
        ]
        return pooled(images, dict(self.classes))

    @cached_property
    def counts(self) -> CountScores:
        """Agreement of the numbers of nuclei."""
        return CountScores(
            tuple(
                ClassCounts(c, name, tuple(t[c].true for t in self.tallies), tuple(t[c].pred for t in self.tallies))
                for c, name in self.classes.items()
            )
        )

    @cached_property
    def detection(self) -> DetectionScores:
        """Detection by centres."""
        radius, unit = self.settings.match_px, "px"
        if radius is None:
            radius, unit = self.settings.match_um or math.nan, "um"
        rows = tuple(ClassDetection(c, name, self._found(c)) for c, name in self.classes.items())
        return DetectionScores(radius, unit, 0, self._found(0), rows)

    def _found(self, c: int) -> DetectionCounts:
        return sum((tally[c].detection for tally in self.tallies), DetectionCounts())

    @cached_property
    def dice(self) -> DiceScores:
        """Dice of the pixels."""
        return DiceScores(self._dice(0, "nuclei"), tuple(self._dice(c, name) for c, name in self.classes.items()))

    def _dice(self, c: int, name: str) -> ClassDice:
        images = tuple(tally[c].pixels for tally in self.tallies)
        return ClassDice(c, name, sum(images, PixelCounts()), images)

    def metrics(self) -> dict[str, float | None]:
        """Name of each metric (those of `METRICS`, and `bpq`, PanNuke's name of `pq`) to its value; None: undefined."""
        values = {metric.name: metric.of(self) for metric in METRICS}
        return {**values, "bpq": values["pq"]}

    @property
    def per_class(self) -> tuple[ClassSegmentation, ...]:
        """Scores of each class, ids ascending."""
        parts = zip(self.panoptic.classes, self.counts.classes, self.detection.classes, self.dice.classes, strict=True)
        return tuple(
            ClassSegmentation(
                id=p.id,
                name=p.name,
                true=sum(n.true),
                pred=sum(n.pred),
                pq=p.counts.pq,
                dq=p.counts.dq,
                sq=p.counts.sq,
                r2=n.finite_r2,
                precision=d.counts.precision,
                recall=d.counts.recall,
                f1=d.counts.f1,
                dice=pixels.dice,
            )
            for p, n, d, pixels in parts
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; what is undefined is None. `metrics` and `per_class` are there for other programs."""
        return {
            "format": FORMAT,
            "fields": self.fields,
            "classes": {str(c): name for c, name in self.classes.items()},
            "settings": asdict(self.settings),
            "metrics": self.metrics(),
            "per_class": [asdict(row) for row in self.per_class],
            "counts": to_columns(self.tallies, list(self.classes)),
        }

    @classmethod
    def from_dict(cls, facts: Any, where: str | PathLike[str] = "segmentation scores") -> SegmentationScores:
        """The inverse of `to_dict`; the scores are computed from the counts again.

        Raises:
            InputError: The data are not such scores, of another version, or cannot be.
        """
        if not isinstance(facts, Mapping) or type(facts.get("format")) is not int or facts["format"] != FORMAT:
            raise damaged(f"does not hold segmentation scores of version {FORMAT}", where)
        classes, settings, n = _classes(facts.get("classes"), where), facts.get("settings"), facts.get("fields")
        if type(n) is not int or n < 0:
            raise damaged(f"says that it holds {n!r} fields", where)
        try:
            known = SegmentationSettings(**settings) if isinstance(settings, dict) else None
        except (TypeError, SettingError) as error:
            raise damaged(f"was scored by settings that cannot be ({error})", where) from error
        if known is None:
            raise damaged("does not hold the settings of its scores", where)
        return cls(classes, known, from_columns(facts.get("counts"), list(classes), n, where))


@dataclass(frozen=True)
class Metric:
    """A score of a set.

    Attributes:
        name: Name in `SegmentationScores.metrics`.
        label: Name in tables.
        about: What it is, in a line.
        of: Its value.
    """

    name: str
    label: str
    about: str
    of: Callable[[SegmentationScores], float | None]


METRICS = (
    Metric("pq", "PQ", "whatever the class; mean over fields (CoNIC's PQ, PanNuke's bPQ)", lambda s: s.panoptic.bpq),
    Metric("mpq", "mPQ", "mean over the classes of each field, then over fields", lambda s: s.panoptic.mpq),
    Metric("mpq_plus", "mPQ+", "mean over classes of the PQ of all fields (CoNIC)", lambda s: s.panoptic.mpq_plus),
    Metric("r2", "R²", "of the numbers of nuclei a field, mean over classes (CoNIC)", lambda s: s.counts.multi_r2),
    Metric(
        "detection_f1",
        "detection F1",
        "centres paired within the match radius, whatever the class",
        lambda s: s.detection.overall.f1,
    ),
    Metric(
        "detection_f1_macro",
        "detection F1, macro",
        "the same within each class, mean over classes",
        lambda s: s.detection.macro_f1,
    ),
    Metric("dice", "Dice", "pixels of nuclei against background, all fields together", lambda s: s.dice.binary.dice),
    Metric("dice_macro", "Dice, macro", "pixels of each class, mean over classes", lambda s: s.dice.macro),
)
"""The metrics, in the order of tables."""


def score_segmentation(
    true: Maps,
    pred: Maps,
    classes: Classes,
    *,
    match_px: float | None = None,
    match_um: float | None = None,
    mpp: float | Sequence[float] | None = None,
    iou_threshold: float = 0.5,
) -> SegmentationScores:
    """Score predicted instance maps by all metrics, in one pass over the maps.

    Args:
        true: (N, H, W, 2), or N maps (H, W, 2) of any sizes: instance and class ids, 0 background. A sequence that
            reads its maps when asked is read once, in order.
        pred: The same for the prediction, in the same order and sizes.
        classes: The cell types, without background.
        match_px: Longest distance in px of two centres that count as one nucleus (HoVer-NeXt: 6 on Lizard, 12 on
            PanNuke); or give `match_um`.
        match_um: The same in µm; needs `mpp`.
        mpp: µm per pixel, of all images or of each.
        iou_threshold: IoU that a pair must exceed for panoptic quality.

    Raises:
        InputError: Maps are malformed, do not fit each other, or hold a class that is not listed.
        SettingError: Radius, mpp or threshold make no sense.
    """
    names = class_names(classes)
    check_sets(true, pred)
    settings, radii = _radii(match_px, match_um, mpp, iou_threshold, len(true))
    pairs = zip(read_pairs(true, pred, names), radii, strict=True)
    tallies = tuple(tally_field(t, p, names, radius=radius, iou=iou_threshold) for (t, p), radius in pairs)
    return SegmentationScores(names, settings, tallies)


def together(parts: Sequence[SegmentationScores]) -> SegmentationScores:
    """The scores of several sets of fields, such as the folds of a cross-validation, as those of one set.

    Raises:
        SettingError: They were scored by different settings or classes, or there are none.
    """
    if len({(tuple(part.classes.items()), part.settings) for part in parts}) != 1:
        raise SettingError(
            "segmentation scores of different settings or classes cannot be pooled", remedy="Score them by one rule"
        )
    return SegmentationScores(parts[0].classes, parts[0].settings, tuple(t for part in parts for t in part.tallies))


def _radii(
    match_px: float | None, match_um: float | None, mpp: float | Sequence[float] | None, iou: float, n: int
) -> tuple[SegmentationSettings, list[float]]:
    """The settings, and the radius of each field in px."""
    sizes = set() if mpp is None else set(pixel_sizes(mpp, n))
    scale = sizes.pop() if len(sizes) == 1 else None
    if match_px is not None and match_um is None:
        in_um = None if scale is None else float(match_px * scale)
        return SegmentationSettings(float(match_px), in_um, iou), match_radii(match_px, "px", None, n)
    if match_um is not None and match_px is None:
        in_px = None if scale is None else float(match_um / scale)
        return SegmentationSettings(in_px, float(match_um), iou), match_radii(match_um, "um", mpp, n)
    raise SettingError("the match radius is not given once", remedy="Give it in px, or in µm with mpp")


def _classes(facts: Any, where: str | PathLike[str]) -> dict[int, str]:
    good = isinstance(facts, Mapping) and all(
        isinstance(key, str) and key.isdecimal() and 0 < len(key) <= 4 and int(key) > 0 and isinstance(name, str)
        for key, name in facts.items()
    )
    if not good:
        raise damaged("does not name its classes", where)
    return {int(key): facts[key] for key in sorted(facts, key=int)}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
