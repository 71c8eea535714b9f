"""CoNSeP (png and .mat), and other folders in HoVer-Net's layout when a class table is given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.datasets.arrays import whole_numbers
from cryostat.cells.datasets.class_table import read_class_table
from cryostat.cells.datasets.clinical import with_clinical
from cryostat.cells.datasets.folders import by_stem
from cryostat.cells.datasets.images import read_image
from cryostat.cells.datasets.importing import FieldSource, ImportOptions, Listing
from cryostat.cells.datasets.matfiles import read_mat
from cryostat.cells.datasets.settings import Setting, read_settings
from cryostat.cells.field import CellClass, DatasetFacts, Field, check_labels, field_from_table, nucleus_ids
from cryostat.cells.splits import published
from cryostat.core.errors import InputError
from cryostat.core.identity import sha256_file

MERGED = MappingProxyType({1: 1, 2: 2, 3: 3, 4: 3, 5: 4, 6: 4, 7: 4})
"""The seven types of the release (other, inflammatory, healthy and malignant epithelium, fibroblast, muscle,
endothelium) to the four that its authors evaluate."""

FACTS = DatasetFacts(
    name="consep",
    title="CoNSeP: colorectal nuclear segmentation and phenotypes",
    classes=(
        CellClass(1, "Other", "#ffd400"),
        CellClass(2, "Inflammatory", "#0072ff"),
        CellClass(3, "Epithelial", "#00a650"),
        CellClass(4, "Spindle-shaped", "#00c8d7"),
    ),
    mpp=0.25,
    licence="Research use only; treat as non-commercial",
    citation="Graham et al., HoVer-Net: Simultaneous segmentation and classification of nuclei in multi-tissue"
    " histology images, Medical Image Analysis 2019",
    url="https://warwick.ac.uk/fac/cross_fac/tia/data/hovernet",
    notes=("Patients are not published: fields of one patient may lie in several parts of a split.",),
)

OTHER_FACTS = DatasetFacts(
    name="hovernet-layout",
    title="Fields in HoVer-Net's layout",
    classes=FACTS.classes,
    mpp=0.25,
    licence="Unknown; ask its publisher",
    citation="",
    notes=("Classes are those of the table given at import.",),
)
"""Of other data read with a class table of their own."""

SETTINGS = MappingProxyType(
    {
        "types": Setting(
            "auto",
            "raw: the seven types of the release, merged here; merged: four types already; auto: raw where any type"
            " above 4 occurs",
            ("auto", "raw", "merged"),
        )
    }
)

IMAGE_FOLDERS = ("images", "imgs")
LABEL_FOLDERS = ("labels", "masks")
PARTS = ("train", "test")
TOLERANCE = 0.01
"""Share of nuclei whose pixels may be of another type than the table says before the file is refused."""


@dataclass(frozen=True)
class _Pair:
    """One image, its label file, and the part of the release that they belong to."""

    name: str
    image: Path
    labels: Path
    part: str | None


def listing(source: Path, options: ImportOptions) -> Listing:
    """List `Train` and `Test`, or one folder of images and labels.

    With `options.classes` the types are those of that table, unmerged: any folder in HoVer-Net's layout (`imgs`,
    `masks`) can be read so; `options.mpp` then states its scale.

    Raises:
        InputError: There are no images and labels in that layout.
        SettingError: An option or setting does not concern this format.
    """
    types = read_settings("consep", options, SETTINGS, uses=("mpp", "classes", "clinical"))["types"]
    pairs = [pair for folder in _folders(source) for pair in _pairs(folder)]
    if options.classes is not None:
        facts, merge = replace(OTHER_FACTS, classes=read_class_table(options.classes)), None
    else:
        raw = types == "raw" or (types == "auto" and _has_raw_types(pairs))
        facts, merge = replace(FACTS, notes=(*FACTS.notes, _note(types, raw))), MERGED if raw else None
    mpp = options.mpp if options.mpp is not None else 0.25
    sources = [FieldSource(pair.name, partial(_load, pair, source, mpp, merge)) for pair in pairs]
    checksums = {str(pair.labels.relative_to(source)): sha256_file(pair.labels) for pair in pairs}
    found = Listing(replace(facts, mpp=mpp), sources, partial(published, "consep"), checksums)
    return with_clinical(found, options.clinical)


def _note(types: str, raw: bool) -> str:
    seen = "as told" if types != "auto" else "a type above 4 occurs" if raw else "no type above 4 occurs"
    if raw:
        return f"Types are the seven of the release ({seen}), merged: 3, 4 epithelial; 5, 6, 7 spindle-shaped."
    return f"Types were taken as merged already ({seen}): 1 other, 2 inflammatory, 3 epithelial, 4 spindle-shaped."


def _folders(source: Path) -> list[Path]:
    """`Train` and `Test` where they are there, else the source itself."""
    inside = sorted((path for path in source.iterdir() if path.is_dir()), key=lambda path: path.name, reverse=True)
    return [path for path in inside if path.name.lower() in PARTS] or [source]


def _pairs(folder: Path) -> Iterator[_Pair]:
    images = by_stem(_subfolder(folder, IMAGE_FOLDERS), {".png", ".tif", ".tiff"})
    labels = by_stem(_subfolder(folder, LABEL_FOLDERS), {".mat"})
    if lacking := sorted(set(images) ^ set(labels)):
        raise InputError(
            f"{lacking[0]!r} has no {'label file' if lacking[0] in images else 'image'}",
            where=folder,
            remedy="Give each image its .mat file of the same name",
        )
    for name, image in images.items():
        part = next((part for part in PARTS if folder.name.lower() == part or name.lower().startswith(part)), None)
        yield _Pair(name, image, labels[name], part)


def _subfolder(folder: Path, names: Sequence[str]) -> Path:
    found = next((path for path in sorted(folder.iterdir()) if path.is_dir() and path.name.lower() in names), None)
    if found is None:
        raise InputError(
            f"holds no folder {names[0].capitalize()}",
            where=folder,
            remedy="Name the folder that holds Train and Test, or Images and Labels",
        )
    return found


def _has_raw_types(pairs: Sequence[_Pair]) -> bool:
    return any(_highest_type(pair.labels) > 4 for pair in pairs)


def _highest_type(path: Path) -> float:
    """The highest type of a label file; 0 when it is damaged, which its import will report."""
    try:
        return float(read_mat(path, ["inst_type"])["inst_type"].max(initial=0))
    except InputError:
        return 0


def _load(pair: _Pair, source: Path, mpp: float, merge: Mapping[int, int] | None) -> Field:
    mat = read_mat(pair.labels, ["inst_map", "inst_type"], ["type_map"])
    instances = whole_numbers(mat["inst_map"], pair.labels, "variable 'inst_map'")
    check_labels(instances, instances.shape, str(pair.labels), "instance map")
    types = whole_numbers(mat["inst_type"], pair.labels, "variable 'inst_type'").ravel()
    ids = _ids(instances, types, pair.labels)
    if "type_map" in mat:
        _check_order(ids, types, instances, whole_numbers(mat["type_map"], pair.labels, "variable 'type_map'"), pair)
    classes = {int(i): merge.get(int(t), int(t)) if merge else int(t) for i, t in zip(ids, types, strict=True)}
    return field_from_table(
        pair.name,
        read_image(pair.image),
        instances,
        classes,
        mpp=mpp,
        source=str(pair.labels.relative_to(source)),
        groups={"release_part": pair.part} if pair.part else {},
    )


def _ids(instances: NDArray[np.integer], types: NDArray[np.integer], path: Path) -> NDArray[np.int64]:
    """The nuclei in ascending order of id, which is the order of `inst_type`."""
    ids = nucleus_ids(instances)
    if len(ids) != len(types):
        raise InputError(
            f"maps {len(ids)} nuclei but gives {len(types)} types", where=path, remedy="Download the label file again"
        )
    return ids


def _check_order(
    ids: NDArray[np.int64],
    types: NDArray[np.integer],
    instances: NDArray[np.integer],
    type_map: NDArray[np.integer],
    pair: _Pair,
) -> None:
    """Refuse a file whose `inst_type` is in another order than its pixels."""
    if type_map.shape != instances.shape:
        raise InputError(
            f"has a type map of shape {type_map.shape} beside an instance map of {instances.shape}",
            where=pair.labels,
            remedy="Download the label file again",
        )
    inside = instances > 0
    at = np.searchsorted(ids, instances[inside])
    agreeing = np.bincount(at, types[at] == type_map[inside], len(ids)) / np.bincount(at, minlength=len(ids))
    wrong = int((agreeing < 0.5).sum())
    if wrong > TOLERANCE * len(ids):
        raise InputError(
            f"{wrong} of {len(ids)} nuclei have another type in 'type_map' than in 'inst_type'",
            where=pair.labels,
            remedy="List the types in ascending order of nucleus id",
        )
