"""Quality of instance masks, field by field: nuclei that are several, nuclei that are missing, masks that lie beside.

Nothing here decides: fields over a limit are proposed for exclusion, to be confirmed by eye.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from cryostat.cells.building.joining import Join
from cryostat.cells.datasets.stain import contrast, haematoxylin
from cryostat.cells.field import nucleus_ids, nucleus_index


@dataclass(frozen=True)
class Limits:
    """Where suspicion begins.

    Tried on the 27 training images of CoNSeP. As they are, 6 are proposed: 1 for merged nuclei, 5 for stain that is
    ink, burnt tissue, red cells or fat. After a tenth and a fifth of the nuclei were joined to their neighbours 22 and
    26 are, after 30 and 50 % were erased 23 and 27, after the masks were shifted by 25 px all 27.

    Attributes:
        spread: Robust standard deviations (of log area, over the dataset) above the median at which a nucleus is too
            large to be one.
        twice: Least multiple of the median area at which that holds; nuclei of nearly one size have no spread.
        large: Multiple of the median area from which a nucleus may be several if it is also indented.
        solidity: Share of its convex hull that such a nucleus must fill.
        margin: px around masks in which haematoxylin still counts as theirs.
        brush: px of the square that must fit into uncovered haematoxylin; finer structures are not nuclei.
        blob: Share of the field's median nuclear area that uncovered haematoxylin must have to be a missed nucleus.
        step: Least difference of nuclei and background in optical density for which missed nuclei can be told.
        merged_share: Share of suspected merges among the nuclei at which a field is proposed.
        missed_share: Share of missed among all nuclei at which a field is proposed.
        darker_share: Share of nuclei darker than their surroundings below which masks seem to lie beside the nuclei.
        unmatched_share: Share of phenotype rows without a nucleus at which a field is proposed.
    """

    spread: float = 3.5
    twice: float = 2.5
    large: float = 1.25
    solidity: float = 0.85
    margin: int = 3
    brush: int = 5
    blob: float = 0.5
    step: float = 0.05
    merged_share: float = 0.05
    missed_share: float = 0.20
    darker_share: float = 0.60
    unmatched_share: float = 0.20


@dataclass(frozen=True)
class Measures:
    """What was measured on one field of view.

    Attributes:
        fov_id: The field.
        cell_ids: (n,) nucleus ids, ascending.
        areas: (n,) px.
        solidity: (n,) share of the convex hull that a nucleus fills; NaN where it is too small to matter.
        mpp: µm per pixel.
        missed: Uncovered blobs of haematoxylin, or None when stain and masks do not allow to tell.
        darker: Share of nuclei darker than their surroundings, or None when there are none to compare.
    """

    fov_id: str
    cell_ids: NDArray[np.int64]
    areas: NDArray[np.int64]
    solidity: NDArray[np.float64]
    mpp: float
    missed: int | None
    darker: float | None


def measure(fov_id: str, image: NDArray[Any], instances: NDArray[Any], mpp: float, limits: Limits) -> Measures:
    """Measure one field of view.

    Args:
        fov_id: The field.
        image: (H, W, 3) uint8 or uint16.
        instances: (H, W) nucleus ids.
        mpp: µm per pixel.
        limits: Where suspicion begins.
    """
    ids = nucleus_ids(instances)
    labels = nucleus_index(instances, ids)
    areas = np.bincount(labels.ravel(), minlength=len(ids) + 1)[1:]
    stain = haematoxylin(image)
    differences = contrast(stain, instances)
    missed = missed_nuclei(stain, instances, limits)
    return Measures(
        fov_id,
        ids,
        areas,
        _solidities(labels, areas, limits),
        mpp,
        None if missed is None else int(missed.max(initial=0)),
        float((differences > 0).mean()) if len(differences) else None,
    )


def _solidities(labels: NDArray[np.int32], areas: NDArray[np.int64], limits: Limits) -> NDArray[np.float64]:
    solidity = np.full(len(areas), np.nan)
    if not len(areas):
        return solidity
    boxes = ndimage.find_objects(labels)
    for index in np.flatnonzero(areas > limits.large * np.median(areas)):
        solidity[index] = hull_share(labels[boxes[index]] == index + 1)
    return solidity


def hull_share(mask: NDArray[np.bool_]) -> float:
    """Area of a mask over that of the convex hull of its pixels' centres, half a pixel added all round.

    A single pixel, or pixels in one line, fill their hull.
    """
    rows = np.flatnonzero(mask.any(1))
    first, last = mask[rows].argmax(1), mask.shape[1] - 1 - mask[rows, ::-1].argmax(1)
    points = np.concatenate([np.stack([rows, first], 1), np.stack([rows, last], 1)])
    try:
        hull = ConvexHull(points)
    except QhullError:
        return 1.0
    # Pick's theorem: a lattice polygon of area A with B points on its boundary covers A + B/2 + 1 lattice points.
    corners = points[hull.vertices]
    boundary = np.gcd(*np.abs(corners - np.roll(corners, 1, axis=0)).T).sum()
    return min(1.0, float(mask.sum() / (hull.volume + boundary / 2 + 1)))  # the hull's area is a rounded sum


def missed_nuclei(stain: NDArray[np.float32], instances: NDArray[Any], limits: Limits) -> NDArray[np.int32] | None:
    """Blobs of haematoxylin that no mask covers, numbered; None when nuclei and background hardly differ.

    The threshold lies halfway between the medians of the stain inside and outside the masks.

    Args:
        stain: (H, W) haematoxylin.
        instances: (H, W) nucleus ids.
        limits: Where suspicion begins.
    """
    covered = instances > 0
    if not covered.any() or covered.all():
        return None
    inside, outside = (float(np.median(stain[mask])) for mask in (covered, ~covered))
    if inside - outside < limits.step:
        return None
    bare = ndimage.gaussian_filter(stain, 1.0) > (inside + outside) / 2
    bare &= ~ndimage.maximum_filter(covered, 2 * limits.margin + 1)
    open_stain = ndimage.maximum_filter(ndimage.minimum_filter(bare, limits.brush), limits.brush)
    blobs, count = ndimage.label(open_stain)
    median_area = float(np.median(np.bincount(nucleus_index(instances, nucleus_ids(instances)).ravel())[1:]))
    sizes = np.bincount(blobs.ravel(), minlength=count + 1)
    kept = np.flatnonzero(sizes[1:] >= limits.blob * median_area) + 1
    number = np.zeros(count + 1, np.int32)
    number[kept] = np.arange(1, len(kept) + 1)
    numbered: NDArray[np.int32] = number[blobs]
    return numbered


@dataclass(frozen=True)
class Verdict:
    """The quality of all fields.

    Attributes:
        fields: One row a field: fov_id, nuclei, median_um2, merged, merged_share, missed, missed_share, darker_share,
            rows, unmatched, unmatched_share, contested, without_phenotype, reason ("" when nothing is proposed).
        suspects: One row a nucleus that may be several: fov_id, cell_id, area_um2, solidity, why (large or indented).
    """

    fields: pd.DataFrame
    suspects: pd.DataFrame

    @property
    def proposed(self) -> pd.DataFrame:
        """fov_id and reason of the fields proposed for exclusion."""
        return self.fields.loc[self.fields["reason"] != "", ["fov_id", "reason"]].reset_index(drop=True)


def judge(measures: Sequence[Measures], joins: Sequence[Join], limits: Limits) -> Verdict:
    """Judge the fields of one dataset against each other and the limits.

    Args:
        measures: One a field.
        joins: One a field, in the same order.
        limits: Where suspicion begins.
    """
    sizes = np.concatenate([item.areas * item.mpp**2 for item in measures])
    middle, largest = size_limits(sizes, limits)
    suspects = pd.concat([_suspects(item, middle, largest, limits) for item in measures], ignore_index=True)
    merged = suspects["fov_id"].value_counts()
    rows = [
        _row(item, found, int(merged.get(item.fov_id, 0)), limits) for item, found in zip(measures, joins, strict=True)
    ]
    return Verdict(pd.DataFrame(rows), suspects)


def size_limits(sizes: NDArray[np.float64], limits: Limits) -> tuple[float, float]:
    """Median area of all nuclei, and the area beyond which one is too large to be single."""
    if not len(sizes):
        return np.inf, np.inf
    logs = np.log(sizes)
    middle = float(np.median(logs))
    spread = 1.4826 * float(np.median(np.abs(logs - middle)))
    return float(np.exp(middle)), float(np.exp(middle + max(limits.spread * spread, np.log(limits.twice))))


def _suspects(item: Measures, middle: float, largest: float, limits: Limits) -> pd.DataFrame:
    sizes = item.areas * item.mpp**2
    large = sizes > largest
    indented = (sizes > limits.large * middle) & (item.solidity < limits.solidity)
    found = large | indented
    return pd.DataFrame(
        {
            "fov_id": pd.Series([item.fov_id] * int(found.sum()), dtype=object),
            "cell_id": item.cell_ids[found],
            "area_um2": sizes[found].round(2),
            "solidity": item.solidity[found].round(3),
            "why": np.where(large[found], "large", "indented"),
        }
    )


def _row(item: Measures, found: Join, merged: int, limits: Limits) -> dict[str, Any]:
    nuclei = len(item.cell_ids)
    missed_share = np.nan if item.missed is None else item.missed / max(nuclei + item.missed, 1)
    row: dict[str, Any] = {
        "fov_id": item.fov_id,
        "nuclei": nuclei,
        "median_um2": round(float(np.median(item.areas)) * item.mpp**2, 2) if nuclei else np.nan,
        "merged": merged,
        "merged_share": round(merged / max(nuclei, 1), 4),
        "missed": np.nan if item.missed is None else item.missed,
        "missed_share": round(missed_share, 4),
        "darker_share": np.nan if item.darker is None else round(item.darker, 4),
        "rows": found.rows,
        "unmatched": found.unmatched,
        "unmatched_share": round(found.unmatched / max(found.rows, 1), 4),
        "contested": found.contested,
        "without_phenotype": found.bare,
    }
    return row | {"reason": "; ".join(_reasons(row, limits))}


def _reasons(row: dict[str, Any], limits: Limits) -> list[str]:
    tests = (
        (row["merged_share"] >= limits.merged_share, "{merged} of {nuclei} nuclei may be several (size, solidity)"),
        (
            row["missed_share"] >= limits.missed_share,
            "{missed:.0f} blobs of haematoxylin are not covered by {nuclei} nuclei",
        ),
        (
            row["darker_share"] < limits.darker_share,
            "only {darker_share:.0%} of nuclei are darker than their surroundings",
        ),
        (row["unmatched_share"] >= limits.unmatched_share, "{unmatched} of {rows} phenotype rows have no nucleus"),
        (row["nuclei"] == 0, "no nuclei"),
    )
    return [text.format(**row) for holds, text in tests if holds]
