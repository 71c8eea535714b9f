"""CoNIC: Lizard cut into patches of 256 px, as released for the challenge (npy)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cells.dataset import GROUP, Split
from cryostat.cells.datasets import lizard
from cryostat.cells.datasets.clinical import with_clinical
from cryostat.cells.datasets.importing import FieldSource, ImportOptions, Listing
from cryostat.cells.datasets.settings import read_settings
from cryostat.cells.field import DatasetFacts, Field, field_from_semantic
from cryostat.cells.splits import published
from cryostat.core.errors import InputError
from cryostat.core.files import read_npy, read_table

FACTS = DatasetFacts(
    name="conic",
    title="CoNIC 2022: colon nuclei identification and counting",
    classes=lizard.CLASSES,
    mpp=0.5,
    licence="CC BY-NC-SA 4.0",
    citation="Graham et al., CoNIC Challenge: Pushing the frontiers of nuclear detection, segmentation, classification"
    " and counting, Medical Image Analysis 2024",
    url="https://conic-challenge.grand-challenge.org",
    notes=(
        "Patches are cut from Lizard's images; nuclei at a border are cut with them.",
        "With patch_info.csv, a patch's Lizard image is the group source_image and its centre the site; splits keep"
        " an image's patches together. Patients are not published.",
        "counts.csv counts the central 224 px of a patch, so it is only an upper check: no class may be counted oftener"
        " there than in the patch.",
    ),
)

SIZE = 256
COUNT_COLUMNS = ("neutrophil", "epithelial", "lymphocyte", "plasma", "eosinophil", "connective")
"""Columns of counts.csv in the order of the class ids."""


def listing(source: Path, options: ImportOptions) -> Listing:
    """List the patches of `images.npy`, without reading pixels.

    Raises:
        InputError: An array is missing, damaged, or of another shape or type than released; a table does not fit.
        SettingError: An option does not concern this format.
    """
    read_settings("conic", options, {}, uses=("clinical",))
    images_path = _find(source, "images.npy")
    labels_path = images_path.with_name("labels.npy")
    if not labels_path.exists():
        raise InputError(
            "has no labels.npy beside its images: without masks there are no nuclei to classify",
            where=images_path.parent,
            remedy="Download the training release, which has labels.npy",
        )
    images, labels = _arrays(images_path, labels_path)
    origins, counts = _origins(images_path.parent, len(images)), _counts(images_path.parent, len(images))
    where = str(labels_path.relative_to(source))
    sources = [
        FieldSource(_name(i), partial(_load, i, images, labels, origins, counts, where)) for i in range(len(images))
    ]
    return with_clinical(Listing(FACTS, sources, splits=_splits), options.clinical)


def _find(source: Path, name: str) -> Path:
    found = sorted(source.rglob(name))
    if len(found) != 1:
        raise InputError(
            f"holds {len(found)} files called {name}",
            where=source,
            remedy="Name the folder that holds images.npy and labels.npy",
        )
    return found[0]


def _arrays(images_path: Path, labels_path: Path) -> tuple[NDArray[Any], NDArray[Any]]:
    images, labels = read_npy(images_path), read_npy(labels_path)
    if images.ndim != 4 or images.shape[1:] != (SIZE, SIZE, 3) or images.dtype != np.uint8:
        raise InputError(
            f"holds {images.dtype} of shape {images.shape}, not uint8 of (n, {SIZE}, {SIZE}, 3)",
            where=images_path,
            remedy="Supply the file as released",
        )
    if labels.shape != (len(images), SIZE, SIZE, 2) or labels.dtype.kind not in "ui":
        raise InputError(
            f"holds {labels.dtype} of shape {labels.shape}, not integers of ({len(images)}, {SIZE}, {SIZE}, 2)",
            where=labels_path,
            remedy="Supply the file as released: instance ids, then class ids, for each image",
        )
    return images, labels


def _origins(folder: Path, n: int) -> list[str] | None:
    """Each patch's Lizard image, from `patch_info.csv` with names as `glas_1-0003`."""
    path = folder / "patch_info.csv"
    if not path.exists():
        return None
    table = read_table(path)
    names = table.iloc[:, -1].astype(str).tolist() if table.shape[1] else []
    if len(names) != n:
        raise InputError(
            f"names {len(names)} patches for {n} images", where=path, remedy="Use the table of this release"
        )
    return [name.rsplit("-", 1)[0] for name in names]


def _counts(folder: Path, n: int) -> NDArray[np.int64] | None:
    """(n, 6) published counts, or None when there are none for these patches."""
    path = folder / "counts.csv"
    if not path.exists():
        return None
    table = read_table(path)
    if len(table) != n or not set(COUNT_COLUMNS) <= set(table.columns):
        return None
    counts = table[list(COUNT_COLUMNS)].apply(pd.to_numeric, errors="coerce").fillna(0)
    return np.asarray(counts.to_numpy(), np.int64)


def _name(index: int) -> str:
    return f"patch_{index:04d}"


def _load(
    index: int,
    images: NDArray[Any],
    labels: NDArray[Any],
    origins: list[str] | None,
    counts: NDArray[np.int64] | None,
    where: str,
) -> Field:
    origin = origins[index] if origins else None
    field = field_from_semantic(
        _name(index),
        np.array(images[index]),
        np.array(labels[index, ..., 0]),
        np.array(labels[index, ..., 1]),
        mpp=0.5,
        source=f"{where}[{index}]",
        site=origin.split("_")[0] if origin else None,
        groups={"source_image": origin} if origin else {},
    )
    if counts is not None:
        _check_counts(field, counts[index])
    return field


def _check_counts(field: Field, published_counts: NDArray[np.int64]) -> None:
    found = np.bincount(field.class_ids, minlength=len(COUNT_COLUMNS) + 1)[1 : len(COUNT_COLUMNS) + 1]
    short = np.flatnonzero(found < published_counts)
    if len(short):
        raise InputError(
            f"has {found[short[0]]} {COUNT_COLUMNS[short[0]]} nuclei where counts.csv counts"
            f" {published_counts[short[0]]} in its centre alone",
            where=field.source,
            remedy="Check that images.npy, labels.npy and counts.csv are of one release and in one order",
        )


def _splits(fovs: pd.DataFrame) -> list[Split]:
    """The customary splits, an image's patches together as if it were the patient."""
    column = f"{GROUP}source_image"
    return published("conic", fovs.assign(patient_id=fovs[column]) if column in fovs else fovs)
