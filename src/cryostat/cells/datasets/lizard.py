"""Lizard: colon tissue of five public centres, six cell types, as released (png and .mat)."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.datasets.arrays import whole_numbers
from cryostat.cells.datasets.clinical import with_clinical
from cryostat.cells.datasets.folders import numeric_order
from cryostat.cells.datasets.images import read_image
from cryostat.cells.datasets.importing import FieldSource, ImportOptions, Listing
from cryostat.cells.datasets.matfiles import read_mat
from cryostat.cells.datasets.settings import read_settings
from cryostat.cells.field import CellClass, DatasetFacts, Field, field_from_table
from cryostat.cells.splits import published
from cryostat.core.errors import InputError
from cryostat.core.identity import sha256_file

CENTRES = ("consep", "crag", "dpath", "glas", "pannuke")
"""Prefixes of the image names; the sixth centre of the paper, TCGA, was not released."""

CLASSES = (
    CellClass(1, "Neutrophil", "#e6194b"),
    CellClass(2, "Epithelial", "#00a650"),
    CellClass(3, "Lymphocyte", "#0072ff"),
    CellClass(4, "Plasma", "#ffd400"),
    CellClass(5, "Eosinophil", "#ff7f0e"),
    CellClass(6, "Connective tissue", "#00c8d7"),
)

FACTS = DatasetFacts(
    name="lizard",
    title="Lizard: colonic nuclear instance segmentation and classification",
    classes=CLASSES,
    mpp=0.5,
    licence="CC BY-NC-SA 4.0",
    citation="Graham et al., Lizard: A Large-Scale Dataset for Colonic Nuclear Instance Segmentation and"
    " Classification, ICCV Workshops 2021",
    url="https://warwick.ac.uk/fac/cross_fac/tia/data/lizard",
    notes=(
        "The class of a nucleus is looked up through the label file's `id`, not by its position.",
        "A nucleus that `id` does not list has no class (class 0).",
        "The centre (`site`) is the prefix of the image's name; patients are not published.",
        "The release holds 238 images of five centres, not the 291 of six that papers quote.",
    ),
)


def listing(source: Path, options: ImportOptions) -> Listing:
    """List the images and label files below a folder, paired by name, wherever the archives were unpacked.

    Raises:
        InputError: There are no images or no label files, or two of one name.
        SettingError: An option does not concern this format.
    """
    read_settings("lizard", options, {}, uses=("clinical",))
    images, labels = _named(source, ".png"), _named(source, ".mat")
    names = sorted(set(images) | set(labels), key=numeric_order)
    sources = [FieldSource(name, partial(_load, name, images, labels, source)) for name in names]
    checksums = {str(path.relative_to(source)): sha256_file(path) for path in labels.values()}
    return with_clinical(Listing(FACTS, sources, partial(published, "lizard"), checksums), options.clinical)


def _named(source: Path, ending: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in _files(source, ending):
        if path.stem in found:
            raise InputError(
                f"{path.relative_to(source)} and {found[path.stem].relative_to(source)} have one name",
                where=source,
                remedy="Keep one copy of the release in the folder",
            )
        found[path.stem] = path
    if not found:
        raise InputError(
            f"holds no {ending} file",
            where=source,
            remedy="Unpack lizard_images1.zip, lizard_images2.zip and lizard_labels.zip into one folder",
        )
    return found


def _files(source: Path, ending: str) -> Iterator[Path]:
    """Files below a folder, without what macOS leaves in archives."""
    for path in sorted(source.rglob(f"*{ending}")):
        if not path.name.startswith(".") and "__MACOSX" not in path.parts:
            yield path


def _load(name: str, images: dict[str, Path], labels: dict[str, Path], source: Path) -> Field:
    for what, files in (("image", images), ("label file", labels)):
        if name not in files:
            raise InputError(
                f"{name!r} has no {what}", where=source, remedy="Download the archive that lacks, or pass --skip-bad"
            )
    mat = read_mat(labels[name], ["inst_map", "id", "class"])
    instances = whole_numbers(mat["inst_map"], labels[name], "instance map")
    classes = class_table(mat["id"], mat["class"], labels[name])
    return field_from_table(
        name,
        read_image(images[name]),
        instances,
        classes,
        mpp=0.5,
        source=str(labels[name].relative_to(source)),
        site=_centre(name),
    )


def _centre(name: str) -> str | None:
    prefix = name.split("_")[0].lower()
    return prefix if prefix in CENTRES else None


def class_table(ids: NDArray[Any], classes: NDArray[Any], path: Path) -> dict[int, int]:
    """Instance id to class id from the label file's two columns.

    Args:
        ids: (n, 1), (1, n) or (n,) instance ids.
        classes: As many class ids, 1 to 6.
        path: The label file, for messages.

    Raises:
        InputError: The columns differ in length, an id occurs twice or is below 1, or a class is not 1 to 6.
    """
    ids = whole_numbers(ids, path, "variable 'id'").ravel()
    classes = whole_numbers(classes, path, "variable 'class'").ravel()
    if len(ids) != len(classes):
        raise InputError(
            f"names {len(ids)} ids but {len(classes)} classes", where=path, remedy="Download the label file again"
        )
    unique, counts = np.unique(ids, return_counts=True)
    if len(unique) < len(ids):
        raise InputError(
            f"gives the id {unique[counts > 1][0]} more than one row",
            where=path,
            remedy="Keep one row a nucleus: which class is right cannot be told",
        )
    outside = (classes < 1) | (classes > len(CLASSES)) | (ids < 1)
    if outside.any():
        at = int(outside.argmax())
        raise InputError(
            f"gives nucleus {ids[at]} the class {classes[at]}; ids start at 1 and classes are 1 to {len(CLASSES)}",
            where=path,
            remedy="Check that this is a label file of Lizard",
        )
    return dict(zip(ids.tolist(), classes.tolist(), strict=True))
