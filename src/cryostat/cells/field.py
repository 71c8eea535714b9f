"""One annotated field of view, checked before it may enter a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cryostat.core.errors import InputError

MAX_SIDE = 65_536
"""Longest side in pixels that an image may have; more is a mislabelled array or a whole slide."""

MAX_CLASS = 1023
"""Highest class id that a dataset may have."""


@dataclass(frozen=True)
class CellClass:
    """A cell type: its id (1 or more; 0 is background), name, and colour for pictures."""

    id: int
    name: str
    color: str = ""


@dataclass(frozen=True)
class DatasetFacts:
    """What is known of a dataset before a file of it is read.

    Attributes:
        name: Short name, also the folder: lower case, digits, hyphens.
        title: Name in full.
        classes: Cell types, ids ascending, without background.
        mpp: µm per pixel of the fields; None when each field states its own.
        licence: Licence of the data, in the words of its publisher.
        citation: How to cite the data.
        url: Where it is published.
        importer: Version of the reading rules; raise it when the same files read differently.
        notes: Rules of reading that a user should know, one sentence each.
    """

    name: str
    title: str
    classes: tuple[CellClass, ...]
    mpp: float | None
    licence: str
    citation: str
    url: str = ""
    importer: str = "1"
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Field:
    """A field of view with its nuclei.

    Attributes:
        fov_id: Unique in the dataset.
        image: (H, W, 3) uint8 or uint16, RGB.
        instances: (H, W) integers, 0 background, any positive id a nucleus.
        cell_ids: (n,) ids that occur in `instances`, ascending.
        class_ids: (n,) class of each nucleus; 0 where the source names none.
        purity: (n,) share of a nucleus' pixels that carry its class; 1 unless the source labels pixels.
        semantic: (H, W) class of each pixel as published, or None when it follows from the nuclei.
        mpp: µm per pixel.
        patient_id: Patient, or None when unknown.
        site: Hospital, centre or cohort of origin, or None.
        groups: Further groups (tumour stage, tissue ...), name to value.
        source: The file it came from, relative to the source folder.
    """

    fov_id: str
    image: NDArray[Any]
    instances: NDArray[Any]
    cell_ids: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    purity: NDArray[np.float32]
    semantic: NDArray[Any] | None
    mpp: float
    patient_id: str | None = None
    site: str | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    source: str = ""


def field_from_table(
    fov_id: str,
    image: NDArray[Any],
    instances: NDArray[Any],
    classes: Mapping[int, int],
    *,
    mpp: float,
    source: str,
    **about: Any,
) -> Field:
    """A field whose source lists a class for each nucleus.

    Args:
        fov_id: Name of the field.
        image: (H, W, 3) uint8 or uint16.
        instances: (H, W) nucleus ids.
        classes: Nucleus id to class id. Ids that are not in the map are refused; nuclei that are not in
            the table get class 0.
        mpp: µm per pixel.
        source: File, for messages.
        **about: `patient_id`, `site`, `groups` of the Field.

    Raises:
        InputError: Shapes, types or ids do not fit.
    """
    check_image(image, source)
    check_labels(instances, image.shape[:2], source, "instance map")
    ids = nucleus_ids(instances)
    _check_table_in_map(ids, classes, source)
    class_ids = np.array([classes.get(int(i), 0) for i in ids], np.int64)
    return Field(
        fov_id,
        image,
        instances,
        ids,
        class_ids,
        np.ones(len(ids), np.float32),
        None,
        mpp,
        source=source,
        **about,
    )


def field_from_semantic(
    fov_id: str,
    image: NDArray[Any],
    instances: NDArray[Any],
    semantic: NDArray[Any],
    *,
    mpp: float,
    source: str,
    **about: Any,
) -> Field:
    """A field whose source labels pixels: each nucleus gets the commonest class of its pixels (ties: the lower id).

    The pixel map is kept when it says more than the nuclei do.

    Args:
        fov_id: Name of the field.
        image: (H, W, 3) uint8 or uint16.
        instances: (H, W) nucleus ids.
        semantic: (H, W) class ids, 0 background.
        mpp: µm per pixel.
        source: File, for messages.
        **about: `patient_id`, `site`, `groups` of the Field.

    Raises:
        InputError: Shapes, types or ids do not fit.
    """
    check_image(image, source)
    check_labels(instances, image.shape[:2], source, "instance map")
    check_labels(semantic, image.shape[:2], source, "class map")
    width = int(semantic.max()) + 1
    if width > MAX_CLASS + 1:
        raise InputError(
            f"the class map holds the id {width - 1}",
            where=source,
            remedy="Check that instance and class map are not swapped",
        )
    ids = nucleus_ids(instances)
    at = nucleus_index(instances, ids)
    votes = np.bincount(
        (at.astype(np.int64) * width + semantic.astype(np.int64)).ravel(), minlength=(len(ids) + 1) * width
    )
    votes = votes.reshape(len(ids) + 1, width)[1:]
    winners = votes.argmax(1).astype(np.int64)
    purity = (votes.max(1) / votes.sum(1)).astype(np.float32)
    implied = np.concatenate([np.zeros(1, np.int64), winners])[at]
    kept = None if np.array_equal(implied, semantic) else semantic
    return Field(fov_id, image, instances, ids, winners, purity, kept, mpp, source=source, **about)


def nucleus_ids(instances: NDArray[Any]) -> NDArray[np.int64]:
    """The ids that occur in a checked (H, W) instance map, ascending, without background."""
    if int(instances.max(initial=0)) <= 4 * instances.size:
        found = np.flatnonzero(np.bincount(instances.ravel().astype(np.intp, copy=False)))
    else:
        found = np.unique(instances)
    return found[found > 0].astype(np.int64)


def nucleus_index(instances: NDArray[Any], ids: NDArray[np.int64]) -> NDArray[np.int32]:
    """Position in `ids` plus 1 of the nucleus that each pixel belongs to, 0 outside nuclei.

    Args:
        instances: (H, W) nucleus ids, 0 or of `ids`.
        ids: (n,) ids, ascending; those that occur in the map and perhaps others.

    Returns:
        (H, W) positions from 1 to n.
    """
    known = np.concatenate([np.zeros(1, np.int64), ids])
    if known[-1] > 4 * instances.size:
        return np.searchsorted(known, instances).astype(np.int32)
    lookup = np.zeros(int(known[-1]) + 1, np.int32)
    lookup[known] = np.arange(len(known))
    positions: NDArray[np.int32] = lookup[instances]
    return positions


def check_image(image: NDArray[Any], source: str) -> None:
    """Refuse what is not an (H, W, 3) image of 8 or 16 bits."""
    if image.ndim != 3 or image.shape[2] != 3:
        raise InputError(
            f"the image has shape {image.shape}, not (height, width, 3)",
            where=source,
            remedy="Supply an RGB image",
        )
    if image.dtype not in (np.uint8, np.uint16):
        raise InputError(
            f"the image is {image.dtype}, not uint8 or uint16",
            where=source,
            remedy="Save it with 8 or 16 bits a channel",
        )
    if min(image.shape[:2]) < 1 or max(image.shape[:2]) > MAX_SIDE:
        raise InputError(
            f"the image measures {image.shape[0]}×{image.shape[1]} px",
            where=source,
            remedy="Supply fields of view, not whole slides",
        )


def check_labels(labels: NDArray[Any], shape: Sequence[int], source: str, what: str) -> None:
    """Refuse a label map that is not of integers, is negative, or does not fit its image."""
    if labels.ndim != 2:
        raise InputError(
            f"the {what} has shape {labels.shape}, not (height, width)",
            where=source,
            remedy="Supply one label a pixel",
        )
    if labels.dtype.kind not in "ui":
        raise InputError(
            f"the {what} is {labels.dtype}, not integers",
            where=source,
            remedy="Save labels as integers; probabilities or normalised masks are not labels",
        )
    if tuple(labels.shape) != tuple(shape):
        raise InputError(
            f"the {what} is {labels.shape[0]}×{labels.shape[1]} but the image is {shape[0]}×{shape[1]}",
            where=source,
            remedy="Pair each image with its own mask at the same resolution",
        )
    if labels.size and (int(labels.min()) < 0 or int(labels.max()) > np.iinfo(np.int32).max):
        raise InputError(f"the {what} holds ids outside 0 … 2³¹−1", where=source, remedy="Number the labels from 1")


def _check_table_in_map(ids: NDArray[np.int64], classes: Mapping[int, int], source: str) -> None:
    strangers = sorted(set(classes) - set(ids.tolist()))
    if strangers:
        raise InputError(
            f"the class table names {len(strangers)} nuclei that are not in the instance map (first: {strangers[0]})",
            where=source,
            remedy="Check that table and map belong to the same image",
        )


def check_classes(field: Field, classes: Sequence[CellClass]) -> None:
    """Refuse class ids that the dataset does not name."""
    known = {0, *(c.id for c in classes)}
    found = set(field.class_ids.tolist())
    if field.semantic is not None:
        found |= set(np.unique(field.semantic).tolist())
    unknown = sorted(found - known)
    if unknown:
        raise InputError(
            f"class id {unknown[0]} is not one of {sorted(known - {0})}",
            where=field.source or field.fov_id,
            remedy="Check that the labels belong to this dataset, or give the class a name",
        )


def check_cells(field: Field) -> None:
    """Refuse a field whose list of nuclei is not that of its instance map, or whose columns differ in length."""
    ids = nucleus_ids(field.instances)
    if not np.array_equal(field.cell_ids, ids):
        raise InputError(
            f"lists {len(field.cell_ids)} nuclei that are not, ascending, the {len(ids)} of the instance map",
            where=field.source or field.fov_id,
            remedy="Make the field with field_from_table or field_from_semantic",
        )
    if not len(field.class_ids) == len(field.purity) == len(ids):
        raise InputError(
            f"has {len(ids)} nuclei, {len(field.class_ids)} classes and {len(field.purity)} purities",
            where=field.source or field.fov_id,
            remedy="Give each nucleus one class and one purity",
        )


def cell_geometry(instances: NDArray[Any], ids: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Area (px), centroid (px, pixel centres at integers) and half-open bounding box of each nucleus.

    Args:
        instances: (H, W) nucleus ids.
        ids: (n,) exactly the ids present in the map, ascending.

    Returns:
        Columns `area`, `centroid_y`, `centroid_x`, `y0`, `x0`, `y1`, `x1`, each (n,).
    """
    at, n = nucleus_index(instances, ids), len(ids)
    pixels = np.flatnonzero(at)
    which = at.ravel()[pixels] - 1
    rows, columns = np.divmod(pixels, instances.shape[1])
    area = np.bincount(which, minlength=n)
    boxes = [(y.start, x.start, y.stop, x.stop) for y, x in ndimage.find_objects(at, max_label=n)]
    y0, x0, y1, x1 = np.array(boxes, np.int32).reshape(n, 4).T
    return {
        "area": area.astype(np.int32),
        "centroid_y": (np.bincount(which, rows, n) / area).astype(np.float32),
        "centroid_x": (np.bincount(which, columns, n) / area).astype(np.float32),
        "y0": y0,
        "x0": x0,
        "y1": y1,
        "x1": x1,
    }
