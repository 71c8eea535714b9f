"""Anybody's dataset: a folder of images with instance maps and the class of each nucleus.

The source folder holds

    images/     one RGB image a field of view: .png .jpg .tif, or .npy (H, W, 3) uint8 or uint16
    instances/  the map of nuclei of each image, under the same name: .png .tif .npy, or .mat with `inst_map`;
                integers, 0 background, any positive id a nucleus
    cells.csv   fov_id, cell_id, class: one row a nucleus; the class by name or id, empty or 0 where it is not known
      or
    classes/    the class of each pixel, under the same name: .png .tif .npy, or .mat with `type_map`; a nucleus gets
                the commonest class of its pixels
    fovs.csv    optional: fov_id, and any of patient_id, site, mpp; every other column becomes a group

`fov_id` is the image's name without its ending. Tables may be .csv, .tsv, .parquet or .xlsx. Classes come from
`--classes` (`id,name[,color]`); without it, names in cells.csv are numbered in alphabetical order. µm per pixel come
from `fovs.csv`, or from `--mpp` for fields that state none. Other names of folders and tables are settings, as in
`--set instances=masks`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from cryostat.cells.datasets.about import About, read_about
from cryostat.cells.datasets.class_table import class_lookup, numbered, read_class_table
from cryostat.cells.datasets.folders import IMAGES, LABELS, by_stem, partner, read_label_map, read_pixels, table_in
from cryostat.cells.datasets.importing import FieldSource, ImportOptions, Listing
from cryostat.cells.datasets.settings import Setting, read_settings
from cryostat.cells.datasets.tables import read_text_table, require_column, whole_number
from cryostat.cells.field import CellClass, DatasetFacts, Field, field_from_semantic, field_from_table
from cryostat.core.errors import InputError

FACTS = DatasetFacts(
    name="generic",
    title="A folder of images with instance maps and a class table",
    classes=(),
    mpp=None,
    licence="not stated",
    citation="not stated",
)

ABOUT_SETTINGS: Mapping[str, Setting] = {
    "fovs": Setting("fovs.csv", "table of fields: fov_id, patient_id, site, mpp, groups"),
    "title": Setting("", "name of the dataset in full"),
    "licence": Setting("not stated", "licence of the data"),
    "citation": Setting("not stated", "how to cite the data"),
}
"""Settings of every importer of users' own data."""

SETTINGS: Mapping[str, Setting] = {
    "images": Setting("images", "folder of images"),
    "instances": Setting("instances", "folder of instance maps"),
    "classes": Setting("classes", "folder of class maps"),
    "cells": Setting("cells.csv", "table of nuclei: fov_id, cell_id, class"),
    "labels": Setting("auto", "where classes come from: auto, cells, classes", ("auto", "cells", "classes")),
    "mat_key": Setting("inst_map", "variable of .mat instance maps"),
    "class_key": Setting("type_map", "variable of .mat class maps"),
    **ABOUT_SETTINGS,
}

COLUMNS: Mapping[str, tuple[str, ...]] = {
    "fov_id": ("fov_id", "fov", "field", "image", "sample_name"),
    "cell_id": ("cell_id", "cell", "instance_id", "nucleus_id", "label"),
    "class": ("class", "class_id", "class_name", "cell_type", "phenotype"),
}
"""What the columns of the table of nuclei may be called, whatever their case and punctuation."""

CellNames = Mapping[str, Mapping[int, str]]
"""Field of view to nucleus id to its class as the table writes it."""


@dataclass(frozen=True)
class _Source:
    """The files of a source folder; `cells` is None where pixels carry the classes."""

    folder: Path
    images: Mapping[str, Path]
    instances: Mapping[str, Path]
    semantic: Mapping[str, Path]
    cells: CellNames | None
    table: Path


def listing(source: Path, options: ImportOptions) -> Listing:
    """List a user's folder.

    Raises:
        InputError: A folder or table is missing, contradicts another, or the scale or classes are not known.
        SettingError: A setting that does not exist.
    """
    chosen = read_settings("generic", options, SETTINGS, uses=("mpp", "clinical", "classes"))
    files = _files(source, chosen)
    fovs = list(dict.fromkeys([*files.images, *files.instances]))
    classes = _classes(files, options.classes)
    lookup = _lookup(files, classes)
    about = read_about(source, chosen["fovs"], options, fovs)
    load = partial(_load, files=files, lookup=lookup, about=about, chosen=chosen)
    sources = [FieldSource(fov, partial(load, fov)) for fov in fovs]
    return Listing(own_facts(FACTS, source, classes, about, chosen), sources)


def own_facts(
    facts: DatasetFacts, source: Path, classes: Sequence[CellClass], about: About, chosen: Mapping[str, str]
) -> DatasetFacts:
    """The facts of a user's own dataset, named after its folder unless the user says otherwise."""
    name = re.sub(r"[^a-z0-9._-]+", "-", source.resolve().name.lower()).strip("-._") or facts.name
    return replace(
        facts,
        name=name,
        title=chosen["title"] or source.resolve().name,
        classes=tuple(classes),
        mpp=about.uniform,
        licence=chosen["licence"],
        citation=chosen["citation"],
        notes=(*facts.notes, *about.notes),
    )


def _files(source: Path, chosen: Mapping[str, str]) -> _Source:
    table, folder = table_in(source, chosen["cells"]), source / chosen["classes"]
    where = chosen["labels"]
    if where == "auto":
        where = _only("cells" if table else "", "classes" if folder.is_dir() else "", source, chosen)
    images = by_stem(source / chosen["images"], IMAGES)
    cells = read_cell_names(table or source / chosen["cells"], images) if where == "cells" else None
    return _Source(
        source,
        images,
        by_stem(source / chosen["instances"], LABELS),
        by_stem(folder, LABELS) if where == "classes" else {},
        cells,
        table or source / chosen["cells"],
    )


def _only(cells: str, classes: str, source: Path, chosen: Mapping[str, str]) -> str:
    if cells and classes:
        raise InputError(
            f"holds both {chosen['cells']} and {chosen['classes']}/",
            where=source,
            remedy="Say which one to go by: --set labels=cells or --set labels=classes",
        )
    if not cells and not classes:
        raise InputError(
            f"holds neither {chosen['cells']} nor {chosen['classes']}/, so nuclei have no class",
            where=source,
            remedy="Add one of them, or name it with --set cells=… or --set classes=…",
        )
    return cells or classes


def read_cell_names(path: Path, fovs: Mapping[str, object]) -> dict[str, dict[int, str]]:
    """The class of each nucleus as a table writes it.

    Raises:
        InputError: A column is missing, an id is no whole number, a nucleus has two rows, or a field has no image.
    """
    frame = read_text_table(path)
    columns = [frame[require_column(frame, names, path)] for names in COLUMNS.values()]
    found: dict[str, dict[int, str]] = {}
    for fov, cell, name in zip(*columns, strict=True):
        if fov not in fovs:
            raise InputError(
                f"names the field of view {fov!r}, which has no image",
                where=path,
                remedy="Name fields as the images, without ending, and check that all images are there",
            )
        nuclei = found.setdefault(fov, {})
        number = whole_number(cell, "cell id", path)
        if number in nuclei:
            raise InputError(f"has two rows for nucleus {number} of {fov!r}", where=path, remedy="Keep one row each")
        nuclei[number] = name
    return found


def _classes(files: _Source, table: Path | None) -> tuple[CellClass, ...]:
    if table:
        return read_class_table(table)
    names = {name for nuclei in (files.cells or {}).values() for name in nuclei.values()} - {"", "0"}
    if files.cells is None or not names or all(name.isdecimal() for name in names):
        raise InputError(
            "the classes have ids but no names", where=files.folder, remedy="Give a table id,name with --classes"
        )
    return numbered(sorted(names), files.table)


def _lookup(files: _Source, classes: Sequence[CellClass]) -> dict[str, int]:
    lookup = class_lookup(classes)
    for fov, nuclei in (files.cells or {}).items():
        for cell, name in nuclei.items():
            if name not in lookup:
                raise InputError(
                    f"gives nucleus {cell} of {fov!r} the class {name!r}, which the class table does not have",
                    where=files.table,
                    remedy=f"Use one of: {', '.join(c.name for c in classes)}, or add it to --classes",
                )
    return lookup


def _load(fov: str, *, files: _Source, lookup: Mapping[str, int], about: About, chosen: Mapping[str, str]) -> Field:
    path = partner(files.images, fov, "image", files.folder / chosen["images"])
    mask = partner(files.instances, fov, "instance map", files.folder / chosen["instances"])
    image, instances = read_pixels(path), read_label_map(mask, chosen["mat_key"])
    scale, source = about.mpp[fov], str(path.relative_to(files.folder))
    if files.cells is None:
        class_map = partner(files.semantic, fov, "class map", files.folder / chosen["classes"])
        semantic = read_label_map(class_map, chosen["class_key"])
        return about.join(field_from_semantic(fov, image, instances, semantic, mpp=scale, source=source))
    if fov not in files.cells and np.any(instances):
        raise InputError(f"has no row for the field of view {fov!r}", where=files.table, remedy="List its nuclei")
    classes = {cell: lookup[name] for cell, name in files.cells.get(fov, {}).items()}
    return about.join(field_from_table(fov, image, instances, classes, mpp=scale, source=source))
