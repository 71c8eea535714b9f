"""Detection scores: true and predicted centres paired one to one within a radius."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from cryostat.core.errors import SettingError
from cryostat.results.scores import Classes, class_names
from cryostat.results.segmentation.maps import Instances, Maps, check_sets, read_pairs
from cryostat.results.segmentation.ratios import mean, ratio

CentrePairs = tuple[NDArray[np.int64], NDArray[np.int64]]


@dataclass(frozen=True)
class DetectionCounts:
    """What was found; the counts of two parts of a set add up.

    Attributes:
        tp: Pairs.
        fp: Predicted instances without a partner.
        fn: True instances without a partner.
    """

    tp: int = 0
    fp: int = 0
    fn: int = 0

    def __add__(self, other: DetectionCounts) -> DetectionCounts:
        return DetectionCounts(self.tp + other.tp, self.fp + other.fp, self.fn + other.fn)

    @property
    def precision(self) -> float | None:
        """Share of the predicted that are true; None when nothing is predicted."""
        return ratio(self.tp, self.tp + self.fp)

    @property
    def recall(self) -> float | None:
        """Share of the true that are found; None when nothing is true."""
        return ratio(self.tp, self.tp + self.fn)

    @property
    def f1(self) -> float | None:
        """Harmonic mean of the two; None without any instance."""
        return ratio(2 * self.tp, 2 * self.tp + self.fp + self.fn)


@dataclass(frozen=True)
class ClassDetection:
    """Detection of a class.

    Attributes:
        id: Class id.
        name: Class name.
        counts: Pooled over the set; instances are paired among those of the class alone.
    """

    id: int
    name: str
    counts: DetectionCounts


@dataclass(frozen=True)
class DetectionScores:
    """Detection in a set, counts pooled over the images.

    Attributes:
        radius: Longest distance of a pair.
        unit: Unit of the radius, `px` or `um`.
        margin: Pixels cut off at each border.
        overall: Paired whatever the classes.
        classes: Per class, ids ascending.
    """

    radius: float
    unit: str
    margin: int
    overall: DetectionCounts
    classes: tuple[ClassDetection, ...]

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 of the classes that are in the truth or the prediction."""
        return mean(c.counts.f1 for c in self.classes)


def score_detection(
    true: Maps,
    pred: Maps,
    classes: Classes,
    *,
    radius: float,
    unit: Literal["px", "um"] = "px",
    mpp: float | Sequence[float] | None = None,
    margin: int = 0,
) -> DetectionScores:
    """Detection precision, recall and F1 of predicted maps.

    Args:
        true: (N, H, W, 2), or N maps (H, W, 2): instance and class ids, 0 background.
        pred: The same for the prediction, in the same order and sizes.
        classes: The cell types, without background.
        radius: Longest distance of a pair's centres (HoVer-NeXt: 6 px on Lizard, 12 px on PanNuke).
        unit: `px`, or `um` for µm.
        mpp: µm per pixel, of all images or of each; needed for a radius in µm.
        margin: Pixels cut off at each border before centres are measured (HoVer-NeXt: 4).

    Raises:
        InputError: Maps are malformed, do not fit each other, or hold a class that is not listed.
        SettingError: The radius, unit or mpp make no sense.
    """
    names = class_names(classes)
    check_sets(true, pred)
    radii = match_radii(radius, unit, mpp, len(true))
    pooled = dict.fromkeys([0, *names], DetectionCounts())
    for (t, p), reach in zip(read_pairs(true, pred, names, margin=margin), radii, strict=True):
        for c, found in image_detection(t, p, names, reach).items():
            pooled[c] += found
    rows = tuple(ClassDetection(c, name, pooled[c]) for c, name in names.items())
    return DetectionScores(float(radius), unit, margin, pooled[0], rows)


def image_detection(
    true: Instances, pred: Instances, classes: Iterable[int], radius: float
) -> dict[int, DetectionCounts]:
    """What was found in an image: of each class, and under 0 whatever the classes.

    Args:
        true: Instances of the image.
        pred: Predicted instances of it.
        classes: Class ids, without 0.
        radius: Longest distance of a pair's centres, in px.
    """
    true_centres, pred_centres = true.centres, pred.centres
    found = {0: _detected(true_centres, pred_centres, radius)}
    for c in classes:
        found[c] = _detected(true_centres[true.classes == c], pred_centres[pred.classes == c], radius)
    return found


def pair_by_centre(true: NDArray[np.float64], pred: NDArray[np.float64], radius: float) -> CentrePairs:
    """Pair points one to one: as many pairs as possible, and of those choices the one of least total distance.

    Args:
        true: (n, 2) coordinates.
        pred: (m, 2) coordinates.
        radius: Longest distance of a pair, in the unit of the coordinates; a pair may be that far apart.

    Returns:
        Rows of the paired points in `true` (ascending) and in `pred`.
    """
    if not len(true) or not len(pred):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    near = KDTree(true).sparse_distance_matrix(KDTree(pred), radius, output_type="ndarray")
    rows, columns, distances = near["i"], near["j"], near["v"]
    lone = (np.bincount(rows, minlength=len(true))[rows] == 1) & (
        np.bincount(columns, minlength=len(pred))[columns] == 1
    )
    found = [np.stack([rows[lone], columns[lone]])]
    found += _contested(rows[~lone], columns[~lone], distances[~lone], (len(true), len(pred)))
    pairs = np.concatenate(found, axis=1).astype(np.int64)
    pairs = pairs[:, np.argsort(pairs[0])]
    return pairs[0], pairs[1]


def _contested(
    rows: NDArray[np.int64], columns: NDArray[np.int64], distances: NDArray[np.float64], shape: tuple[int, int]
) -> list[NDArray[np.int64]]:
    """Pairs (2, p) of each group of points that compete for one another."""
    n, m = shape
    edges = coo_array((np.ones(len(rows)), (rows, columns + n)), shape=(n + m, n + m))
    group = connected_components(edges, directed=False)[1][rows]
    order = np.argsort(group, kind="stable")
    ends = np.flatnonzero(np.diff(group[order])) + 1
    return [_assigned(rows[part], columns[part], distances[part]) for part in np.split(order, ends) if len(part)]


def _assigned(rows: NDArray[np.int64], columns: NDArray[np.int64], distances: NDArray[np.float64]) -> NDArray[np.int64]:
    row_ids, r = np.unique(rows, return_inverse=True)
    column_ids, c = np.unique(columns, return_inverse=True)
    too_far = 1.0 + distances.max() * (min(len(row_ids), len(column_ids)) + 1)  # dearer than all pairs together
    cost = np.full((len(row_ids), len(column_ids)), too_far)
    cost[r, c] = distances
    at, to = linear_sum_assignment(cost)
    kept = cost[at, to] < too_far
    return np.stack([row_ids[at[kept]], column_ids[to[kept]]])


def _detected(true: NDArray[np.float64], pred: NDArray[np.float64], radius: float) -> DetectionCounts:
    tp = len(pair_by_centre(true, pred, radius)[0])
    return DetectionCounts(tp, len(pred) - tp, len(true) - tp)


def match_radii(radius: float, unit: str, mpp: float | Sequence[float] | None, n: int) -> list[float]:
    """The radius in px for each of n images.

    Raises:
        SettingError: The radius, unit or mpp make no sense.
    """
    if not (math.isfinite(radius) and radius > 0):
        raise SettingError(f"radius {radius}", remedy="Choose a radius above 0")
    if unit == "px":
        return [float(radius)] * n
    if unit != "um":
        raise SettingError(f"unit {unit!r} of the radius", remedy="Choose 'px' or 'um'")
    if mpp is None:
        raise SettingError("a radius in µm without a pixel size", remedy="Give mpp, or the radius in px")
    return [radius / size for size in pixel_sizes(mpp, n)]


def pixel_sizes(mpp: float | Sequence[float], n: int) -> list[float]:
    """µm per pixel of each of n images, from one number or n.

    Raises:
        SettingError: They make no sense.
    """
    try:
        sizes = np.asarray(mpp, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise SettingError(f"mpp {mpp!r}", remedy="Give µm per pixel, one number or one for each image") from error
    if sizes.shape not in ((), (n,)):
        raise SettingError(
            f"mpp of shape {sizes.shape} for {n} images", remedy="Give one number, or one for each image"
        )
    if not (np.isfinite(sizes) & (sizes > 0)).all():
        raise SettingError(f"mpp {mpp}", remedy="Give µm per pixel above 0")
    return [float(size) for size in np.broadcast_to(sizes, n)]
