"""Instance maps, checked and turned into instances of one class each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError

MAX_CLASS = 1023
"""Highest class id that a map may hold."""

Maps = NDArray[Any] | Sequence[NDArray[Any]]
"""Maps of a set: (N, H, W, 2), or N maps (H, W, 2) of any sizes; [instance id, class id], integers, 0 background."""


@dataclass(frozen=True, eq=False)
class Instances:
    """The n instances of an image.

    Attributes:
        index: (H, W) 0 on background, 1 to n on the instances, in the order of `ids`.
        ids: (n,) their ids in the map, ascending.
        classes: (n,) the class most of its pixels have (the lower id of two that tie), pixels of class 0
            not heard unless there is nothing else; 0 is an instance without a class.
        areas: (n,) pixels.
    """

    index: NDArray[np.int64]
    ids: NDArray[np.int64]
    classes: NDArray[np.int64]
    areas: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def semantic(self) -> NDArray[np.int64]:
        """(H, W) class of the instance at each pixel."""
        return np.concatenate([[0], self.classes])[self.index]

    @property
    def centres(self) -> NDArray[np.float64]:
        """(n, 2) mean row and column of each instance's pixels."""
        rows, columns = np.nonzero(self.index)
        at = self.index[rows, columns] - 1
        sums = [np.bincount(at, weights=axis, minlength=len(self)) for axis in (rows, columns)]
        return np.stack(sums, axis=1) / np.maximum(self.areas, 1)[:, None]


def read_instances(labels: NDArray[Any], *, margin: int = 0, where: str = "map") -> Instances:
    """Check a map and read its instances.

    An id is one instance, in one piece or several. A class on pixels without an instance is not heard.

    Args:
        labels: (H, W, 2) instance id and class id, integers, 0 background.
        margin: Pixels cut off at each border before anything is measured.
        where: What to call the map in errors.

    Raises:
        InputError: The array has another shape or type, negative ids, class ids beyond `MAX_CLASS`, or the margin
            leaves nothing of it.
    """
    labels = _checked(labels, where)
    if margin:
        labels = _cropped(labels, margin, where)
    ids, index = _compact(labels[..., 0])
    classes = _majority(index, labels[..., 1], len(ids))
    return Instances(index, ids, classes, np.bincount(index.ravel(), minlength=len(ids) + 1)[1:])


def read_pairs(
    true: Maps, pred: Maps, classes: Iterable[int], *, margin: int = 0
) -> Iterator[tuple[Instances, Instances]]:
    """The true and the predicted instances of each image of a set.

    Raises:
        InputError: A map is malformed (see `read_instances`), the two sides differ in number or sizes, or an instance
            has a class that is not among `classes`.
    """
    listed = sorted(classes)
    check_sets(true, pred)
    for i, (true_map, pred_map) in enumerate(zip(true, pred, strict=True)):
        pair = (
            read_instances(true_map, margin=margin, where=f"true map {i}"),
            read_instances(pred_map, margin=margin, where=f"pred map {i}"),
        )
        if pair[0].index.shape != pair[1].index.shape:
            shapes = " and ".join(str(np.shape(m)[:2]) for m in (true_map, pred_map))
            raise InputError(
                f"true and predicted map have shapes {shapes}",
                where=f"image {i}",
                remedy="Bring the prediction to the size of the truth",
            )
        for side, instances in zip(("true", "pred"), pair, strict=True):
            _check_classes(instances, listed, f"{side} map {i}")
        yield pair


def _check_classes(instances: Instances, classes: list[int], where: str) -> None:
    strange = np.setdiff1d(instances.classes, [0, *classes])
    if len(strange):
        raise InputError(
            f"class ids {strange.tolist()} are not among the listed {classes}",
            where=where,
            remedy="List every class, or map the ids to the listed ones",
        )


def check_sets(true: Any, pred: Any) -> None:
    """See that both sides are sets of maps, of one length.

    Raises:
        InputError: They are not.
    """
    _check_set(true, "true")
    _check_set(pred, "pred")
    if len(true) != len(pred):
        raise InputError(
            f"{len(true)} true maps, {len(pred)} predicted", remedy="Give one prediction for each image, in order"
        )


def _check_set(maps: Any, side: str) -> None:
    if isinstance(maps, np.ndarray):
        good = maps.ndim == 4
    else:
        good = isinstance(maps, Sequence) and not isinstance(maps, str | bytes)
    if not good:
        found = f"shape {maps.shape}" if isinstance(maps, np.ndarray) else f"a {type(maps).__name__}"
        raise InputError(
            f"is {found}, not maps of a set",
            where=side,
            remedy="Give an array (N, H, W, 2), or a list of arrays (H, W, 2), holding instance and class ids",
        )


def _checked(labels: Any, where: str) -> NDArray[Any]:
    if not isinstance(labels, np.ndarray) or labels.ndim != 3 or labels.shape[2] != 2 or labels.size == 0:
        found = f"shape {labels.shape}" if isinstance(labels, np.ndarray) else f"a {type(labels).__name__}"
        raise InputError(
            f"is {found}, not (H, W, 2)", where=where, remedy="Stack instance ids and class ids on the last axis"
        )
    if labels.dtype.kind not in "iu":
        raise InputError(
            f"holds {labels.dtype}, not integers", where=where, remedy="Store instance and class ids as integers"
        )
    lowest, highest = int(labels.min()), int(labels[..., 0].max())
    if lowest < 0 or highest > np.iinfo(np.int64).max:
        raise InputError(
            f"holds the id {lowest if lowest < 0 else highest}",
            where=where,
            remedy="Number instances and classes from 1, with 0 as background",
        )
    if int(labels[..., 1].max()) > MAX_CLASS:
        raise InputError(
            f"holds the class id {int(labels[..., 1].max())}, above {MAX_CLASS}",
            where=where,
            remedy="Put the instance ids first and the class ids second on the last axis",
        )
    return labels


def _cropped(labels: NDArray[Any], margin: int, where: str) -> NDArray[Any]:
    if margin < 0 or 2 * margin >= min(labels.shape[:2]):
        raise InputError(
            f"a margin of {margin} px leaves nothing of {labels.shape[0]} x {labels.shape[1]} px",
            where=where,
            remedy="Choose a margin from 0 to less than half the shorter side",
        )
    return labels[margin : labels.shape[0] - margin, margin : labels.shape[1] - margin]


def _compact(ids: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    ids = ids.astype(np.int64)
    if int(ids.max()) > 4 * ids.size:  # a table from id to index would be larger than the map
        present, inverse = np.unique(np.append(ids.ravel(), 0), return_inverse=True)
        return present[1:], inverse.ravel()[:-1].reshape(ids.shape).astype(np.int64)
    occupied = np.bincount(ids.ravel(), minlength=1) > 0
    occupied[0] = False
    return np.flatnonzero(occupied), np.cumsum(occupied)[ids] * (ids > 0)


def _majority(index: NDArray[np.int64], classes: NDArray[Any], n: int) -> NDArray[np.int64]:
    inside = (index > 0) & (classes > 0)
    width = int(classes.max()) + 1
    codes = (index[inside] - 1) * width + classes[inside].astype(np.int64)
    votes = np.bincount(codes, minlength=n * width).reshape(n, width)
    majority: NDArray[np.int64] = votes.argmax(axis=1).astype(np.int64)
    return majority
