"""The watershed's thresholds, chosen on validation fields."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.field import nucleus_index
from cryostat.cells.hovernext.watershed import Segmented, WatershedSettings, segment
from cryostat.core.errors import SettingError
from cryostat.results.segmentation import PanopticScores, score_panoptic

FOREGROUND = (0.3, 0.4, 0.5, 0.6, 0.7)
SEED = (0.2, 0.3, 0.4, 0.5, 0.6, 0.7)

MEASURES: dict[str, Callable[[PanopticScores], float | None]] = {
    "mpq+": lambda scores: scores.mpq_plus,
    "pq": lambda scores: scores.bpq,
}
"""What can be maximised: mPQ+ over the classes, or PQ whatever the classes."""

ProbabilityMaps = tuple[NDArray[Any], NDArray[Any]]
"""(3, H, W) parts and (K, H, W) classes of a field."""

Truth = tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]
"""(H, W) nucleus ids, (n,) those that occur, ascending, and (n,) their classes."""


def choose_thresholds(
    maps: Sequence[ProbabilityMaps],
    truth: Sequence[Truth],
    class_ids: Sequence[int],
    *,
    start: WatershedSettings | None = None,
    measure: str = "mpq+",
) -> WatershedSettings:
    """The foreground and then the seed threshold, one for all classes, that segment validation fields best.

    As published the foreground is chosen first, with the seed of `start`, then the seed: eleven segmentations of each
    field at most. HoVer-NeXt chose them on the test part; here they must never see it. Of thresholds that are equally
    good the one nearest the middle of its grid is taken.

    Args:
        maps: Probabilities of each validation field, as `segment` takes them.
        truth: Its nuclei.
        class_ids: (K,) class id of each class output, 0 for background.
        start: Sizes, and the seed threshold to begin with.
        measure: `mpq+` or `pq`.

    Raises:
        SettingError: There are no fields, not as many truths as maps, or no such measure.
        InputError: Maps are malformed or do not fit the truth.
    """
    if not len(maps) or len(maps) != len(truth):
        raise SettingError(f"{len(maps)} maps for {len(truth)} truths", remedy="Give both for each validation field")
    if measure not in MEASURES:
        raise SettingError(f"there is no measure {measure!r}", remedy=f"Choose one of: {', '.join(MEASURES)}")
    true = [class_stack(instances, ids, classes) for instances, ids, classes in truth]
    names = [c for c in class_ids if c > 0]

    def score(settings: WatershedSettings) -> float:
        found = [segment(parts, classes, class_ids, settings) for parts, classes in maps]
        return MEASURES[measure](score_panoptic(true, [stacked(f) for f in found], names)) or 0.0

    settings = start or WatershedSettings()
    settings = _best([replace(settings, foreground=value) for value in FOREGROUND], score)
    return _best([replace(settings, seed=value) for value in SEED], score)


def class_stack(
    instances: NDArray[Any], cell_ids: NDArray[np.int64], class_ids: NDArray[np.int64]
) -> NDArray[np.int32]:
    """(H, W, 2) instance and class ids, as the segmentation scores read them, of a map and its table of nuclei."""
    at = nucleus_index(instances, np.asarray(cell_ids, np.int64))
    classes = np.concatenate([[0], class_ids]).astype(np.int32)
    return np.stack([at, classes[at]], axis=-1)


def stacked(segmented: Segmented) -> NDArray[np.int32]:
    """(H, W, 2) instance and class ids of what was segmented."""
    return class_stack(segmented.instances, np.arange(1, len(segmented) + 1), segmented.class_ids)


def _best(candidates: list[WatershedSettings], score: Callable[[WatershedSettings], float]) -> WatershedSettings:
    """The candidate of the highest score; of equals the one nearest the middle of the list, then the earlier."""
    middle = (len(candidates) - 1) / 2
    ranked = sorted(enumerate(candidates), key=lambda candidate: abs(candidate[0] - middle))
    return max((candidate for _, candidate in ranked), key=score)
