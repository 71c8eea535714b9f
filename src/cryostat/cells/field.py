"""One annotated field of view, checked before it may enter a dataset."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError

MAX_SIDE = 65_536
"""Longest side in pixels that an image may have; more is a mislabelled array or a whole slide."""


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
    ids = np.unique(instances)
    ids = ids[ids > 0].astype(np.int64)
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
    ids, dense = np.unique(instances, return_inverse=True)
    width = int(semantic.max()) + 1
    if width > 1024:
        raise InputError(
            f"the class map holds the id {width - 1}",
            where=source,
            remedy="Check that instance and class map are not swapped",
        )
    votes = np.bincount(dense.ravel() * width + semantic.ravel().astype(np.int64), minlength=len(ids) * width)
    votes = votes.reshape(len(ids), width)[ids > 0]
    ids = ids[ids > 0].astype(np.int64)
    winners = votes.argmax(1).astype(np.int64) if len(ids) else np.zeros(0, np.int64)
    purity = (votes.max(1, initial=0) / np.maximum(votes.sum(1), 1)).astype(np.float32)
    lookup = np.zeros(int(instances.max()) + 1, semantic.dtype)
    lookup[ids] = winners
    kept = None if np.array_equal(lookup[instances], semantic) else semantic
    return Field(fov_id, image, instances, ids, winners, purity, kept, mpp, source=source, **about)


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


def cell_geometry(instances: NDArray[Any], ids: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """Area (px), centroid (px, pixel centres at integers) and half-open bounding box of each nucleus.

    Args:
        instances: (H, W) nucleus ids.
        ids: (n,) ids present in the map, ascending.

    Returns:
        Columns `area`, `centroid_y`, `centroid_x`, `y0`, `x0`, `y1`, `x1`, each (n,).
    """
    rows, columns = np.nonzero(instances)
    which = np.searchsorted(ids, instances[rows, columns])
    n = len(ids)
    area = np.bincount(which, minlength=n)
    safe = np.maximum(area, 1)
    low_y, low_x = np.full(n, instances.shape[0]), np.full(n, instances.shape[1])
    high_y, high_x = np.zeros(n, np.int64), np.zeros(n, np.int64)
    np.minimum.at(low_y, which, rows)
    np.minimum.at(low_x, which, columns)
    np.maximum.at(high_y, which, rows + 1)
    np.maximum.at(high_x, which, columns + 1)
    return {
        "area": area.astype(np.int32),
        "centroid_y": (np.bincount(which, rows, n) / safe).astype(np.float32),
        "centroid_x": (np.bincount(which, columns, n) / safe).astype(np.float32),
        "y0": low_y.astype(np.int32),
        "x0": low_x.astype(np.int32),
        "y1": high_y.astype(np.int32),
        "x1": high_x.astype(np.int32),
    }
