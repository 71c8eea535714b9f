"""From the maps of the network to nuclei, by a watershed seeded inside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label
from skimage.segmentation import watershed

from cryostat.cells.hovernext.targets import BACKGROUND, INSIDE
from cryostat.core.errors import InputError, SettingError

TOLERANCE = 1e-3
"""By how much half precision may carry a probability beyond 0 … 1."""

EIGHT = np.ones((3, 3), bool)
PerClass = float | tuple[float, ...]
"""One number for all classes, or one for each in the order of the outputs, background left out."""


@dataclass(frozen=True)
class WatershedSettings:
    """How nuclei are cut out. Sizes are in px of the maps: the defaults suit 0.5 µm/px.

    Attributes:
        foreground: A pixel belongs to a nucleus where 1 − P(background) is above this; per class, that of the class
            most probable there.
        seed: And is a seed where P(inside) is above this; per class likewise.
        hole_px: Largest hole that is filled.
        min_px: Smallest nucleus that is kept; per class, that of the nucleus' class.
        max_px: Largest nucleus that is kept; per class likewise.
    """

    foreground: PerClass = 0.7
    seed: PerClass = 0.3
    hole_px: int = 50
    min_px: PerClass = 20
    max_px: PerClass = 5000

    def __post_init__(self) -> None:
        for name in ("foreground", "seed"):
            if not all(0 <= value <= 1 for value in _each(getattr(self, name))):
                raise SettingError(f"{name} = {getattr(self, name)}", remedy="Give probabilities from 0 to 1")
        for name in ("hole_px", "min_px", "max_px"):
            if not all(value >= 0 for value in _each(getattr(self, name))):
                raise SettingError(f"{name} = {getattr(self, name)}", remedy="Give numbers of pixels, 0 or more")


@dataclass(frozen=True, eq=False)
class Segmented:
    """The nuclei found in a field.

    Attributes:
        instances: (H, W) int32, 0 background, nuclei numbered from 1 in the order of their first pixel.
        class_ids: (n,) int64, the class of each: its greatest mean probability, background not asked.
        probabilities: (n, K) float32, mean of the class outputs over its pixels, background among them.
    """

    instances: NDArray[np.int32]
    class_ids: NDArray[np.int64]
    probabilities: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.class_ids)


def segment(
    parts: NDArray[Any], classes: NDArray[Any], class_ids: Sequence[int], settings: WatershedSettings
) -> Segmented:
    """Cut the nuclei out of a field's maps.

    A nucleus grows from a seed over the foreground by 4-neighbours; foreground without a seed is no nucleus, so one
    thinner than 3 px, which is all border, cannot be found. Nuclei that come out in several pieces are taken apart.

    Args:
        parts: (3, H, W) probabilities of background, inside and border.
        classes: (K, H, W) probabilities of the class outputs.
        class_ids: (K,) class id of each output; 0 is background, wherever it is, or nowhere.
        settings: Thresholds and sizes.

    Raises:
        InputError: The maps are not probabilities or do not fit each other.
        SettingError: A setting per class has another number of values than there are classes.
    """
    ids = np.asarray(class_ids, np.int64)
    _check_maps(parts, classes, ids)
    named = np.flatnonzero(ids > 0)
    _check_settings(settings, len(named))
    grown = _grow(parts, classes, named, settings)
    whole = _pieces(_filled(grown, settings.hole_px))
    probabilities = _mean_probabilities(whole, classes)
    winners = probabilities[:, named].argmax(1)
    areas = np.bincount(whole.ravel(), minlength=len(probabilities) + 1)[1:]
    kept = (areas >= _of(settings.min_px, winners)) & (areas <= _of(settings.max_px, winners))
    return Segmented(_renumbered(whole, kept), ids[named[winners[kept]]], probabilities[kept])


def _grow(
    parts: NDArray[Any], classes: NDArray[Any], named: NDArray[np.intp], settings: WatershedSettings
) -> NDArray[np.int32]:
    """(H, W) nuclei before any is filled, parted or dropped."""
    inside = parts[INSIDE].astype(np.float32)
    likely = classes[named].argmax(0) if _is_per_class(settings) else np.zeros(inside.shape, np.intp)
    nucleus = 1 - parts[BACKGROUND].astype(np.float32) > _of(settings.foreground, likely)
    seeds = nucleus & (inside > _of(settings.seed, likely))
    markers = ndimage.label(seeds, EIGHT)[0]
    grown: NDArray[np.int32] = watershed(1 - inside, markers, mask=nucleus).astype(np.int32)
    return grown


def _filled(instances: NDArray[np.int32], hole_px: int) -> NDArray[np.int32]:
    """Holes that one nucleus alone encloses become its own; one at the image's edge is not enclosed."""
    holes, n = ndimage.label(instances == 0)
    enclosed = np.bincount(holes.ravel(), minlength=n + 1) <= hole_px
    for edge in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        enclosed[edge] = False
    enclosed[0] = False
    lowest, highest = np.full(n + 1, np.iinfo(np.int32).max), np.zeros(n + 1, np.int64)
    for hole, owner in _adjacent(holes, instances, enclosed):
        np.minimum.at(lowest, hole, owner)
        np.maximum.at(highest, hole, owner)
    owners = np.where(enclosed & (lowest == highest), highest, 0).astype(np.int32)
    return np.where(instances == 0, owners[holes], instances)


def _adjacent(
    holes: NDArray[np.int32], instances: NDArray[np.int32], enclosed: NDArray[np.bool_]
) -> list[tuple[NDArray[np.int32], NDArray[np.int32]]]:
    """Number of the hole and of the nucleus, for all 4-neighbours of which one is in a hole and one in a nucleus."""
    rows, columns = np.nonzero(enclosed[holes])
    pairs = []
    for dy, dx in ((-1, 0), (1, 0), (0, -1), (0, 1)):
        owner = instances[rows + dy, columns + dx]
        pairs.append((holes[rows, columns][owner > 0], owner[owner > 0]))
    return pairs


def _pieces(instances: NDArray[np.int32]) -> NDArray[np.int32]:
    """Each 4-connected piece a nucleus of its own, as outlines of a single ring need them."""
    pieces: NDArray[np.int32] = label(instances, background=0, connectivity=1).astype(np.int32)
    return pieces


def _mean_probabilities(instances: NDArray[np.int32], classes: NDArray[Any]) -> NDArray[np.float32]:
    pixels = np.flatnonzero(instances)
    owner = instances.ravel()[pixels] - 1
    areas = np.bincount(owner)
    sums = [np.bincount(owner, output.ravel()[pixels]) for output in classes]
    means: NDArray[np.float32] = (np.stack(sums, 1) / areas[:, None]).astype(np.float32)
    return means


def _renumbered(instances: NDArray[np.int32], kept: NDArray[np.bool_]) -> NDArray[np.int32]:
    numbers = np.concatenate([np.zeros(1, np.int32), np.where(kept, np.cumsum(kept), 0).astype(np.int32)])
    renumbered: NDArray[np.int32] = numbers[instances]
    return renumbered


def _each(value: PerClass) -> tuple[float, ...]:
    return value if isinstance(value, tuple) else (value,)


def _of(value: PerClass, at: NDArray[np.intp]) -> Any:
    """The setting where classes are `at`: a number when it is one for all."""
    return np.asarray(value, np.float32)[at] if isinstance(value, tuple) else value


def _is_per_class(settings: WatershedSettings) -> bool:
    return isinstance(settings.foreground, tuple) or isinstance(settings.seed, tuple)


def _check_settings(settings: WatershedSettings, classes: int) -> None:
    for name in ("foreground", "seed", "min_px", "max_px"):
        value = getattr(settings, name)
        if isinstance(value, tuple) and len(value) != classes:
            raise SettingError(
                f"{name} has {len(value)} values for {classes} classes",
                remedy="Give one number, or one for each class without background",
            )


def _check_maps(parts: NDArray[Any], classes: NDArray[Any], ids: NDArray[np.int64]) -> None:
    if parts.ndim != 3 or len(parts) != 3 or classes.shape != (len(ids), *parts.shape[1:]) or not parts.size:
        raise InputError(
            f"parts {parts.shape} and classes {classes.shape} for {len(ids)} outputs",
            remedy="Give (3, H, W) parts, (K, H, W) classes and K class ids of one field",
        )
    if not (ids > 0).any():
        raise InputError(f"class ids {ids.tolist()} name no class", remedy="Give the class id of each output")
    for name, maps in (("parts", parts), ("classes", classes)):
        if not (maps.min() >= -TOLERANCE and maps.max() <= 1 + TOLERANCE):  # not-a-number fails this too
            raise InputError(f"the {name} are not probabilities", remedy="Give the softmax of the network's logits")
