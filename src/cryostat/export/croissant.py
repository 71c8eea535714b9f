"""Croissant 1.0 metadata of an imported dataset: JSON-LD that MLCommons' tools and dataset search engines read."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from cryostat.cells.dataset import FORMAT, CellDataset
from cryostat.core.files import atomic_write, write_json
from cryostat.core.identity import sha256_file
from cryostat.core.progress import track

CONFORMS_TO = "http://mlcommons.org/croissant/1.0"

CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "equivalentProperty": "cr:equivalentProperty",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileProperty": "cr:fileProperty",
    "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
"""The context that the specification asks for."""

PARQUET, NPY, TOML, CSV = "application/x-parquet", "application/x-npy", "application/toml", "text/csv"

ARRAYS: Mapping[str, str] = {
    "images": "Pixels of each field of view: (height, width, 3) RGB, 8 or 16 bits, one NumPy array a file.",
    "instances": "Nuclei of each field of view: (height, width) ids, 0 background, one NumPy array a file.",
    "semantic": "Classes of pixels as published, where they say more than the nuclei: (height, width) class ids.",
}
"""Folder of arrays to what they hold."""

COLUMNS: Mapping[str, str] = {
    "fov_id": "Field of view",
    "patient_id": "Patient, where known",
    "site": "Hospital, centre or cohort of origin, where known",
    "height": "Height, px",
    "width": "Width, px",
    "mpp": "µm per pixel",
    "source": "File of the release",
    "cell_id": "Nucleus, as in the instance map of its field",
    "class_id": "Class of the nucleus, 0 where the source names none",
    "area": "Area, px",
    "centroid_y": "Centroid, px from the centre of the first row",
    "centroid_x": "Centroid, px from the centre of the first column",
    "y0": "First row",
    "x0": "First column",
    "y1": "Row after the last",
    "x1": "Column after the last",
    "purity": "Share of the nucleus' pixels that carry its class",
    "part": "train, valid or test",
    "path": "File, relative to the dataset's folder",
    "sha256": "SHA-256 of its bytes",
    "bytes": "Its size",
}
"""Column to what it means."""

REFERENCES: Mapping[tuple[str, str], str] = {
    ("cells", "fov_id"): "fovs/fov_id",
    ("cells", "class_id"): "classes/id",
    ("splits", "fov_id"): "fovs/fov_id",
}
"""Kind of record set and column to the field that it points at."""

KEYS: Mapping[str, tuple[str, ...]] = {"fovs": ("fov_id",), "cells": ("fov_id", "cell_id")}
"""Record set to the columns that name a record."""


def export_croissant(dataset: CellDataset, path: Path, *, url: str | None = None) -> dict[str, Any]:
    """Write a dataset's Croissant metadata, and beside it `<stem>-files.csv` with the SHA-256 of every file.

    Args:
        dataset: An imported dataset.
        path: The JSON file; best placed in the dataset's folder, under the name `croissant.json`.
        url: Address under which the dataset's folder is, or will be, published; without it, files are named by their
            path from the JSON file.

    Returns:
        What was written.
    """
    files = file_list(dataset)
    listing = path.with_name(f"{path.stem}-files.csv")
    with atomic_write(listing) as stream:
        stream.write(files.to_csv(index=False).encode())
    base = f"{url.rstrip('/')}/" if url else _base(dataset.folder, path.parent)
    metadata = croissant(dataset, files, base=base, listing=listing)
    write_json(path, metadata)
    return metadata


def _base(folder: Path, start: Path) -> str:
    """How the dataset's folder is named as seen from the JSON file; empty where that lies in it."""
    relative = Path(os.path.relpath(folder.resolve(), start.resolve())).as_posix()
    return "" if relative == "." else f"{relative}/"


def file_list(dataset: CellDataset) -> pd.DataFrame:
    """Every file of a dataset: path from its folder, sha256, bytes; paths in order."""
    tables = [dataset.folder / name for name in ("dataset.toml", "fovs.parquet", "cells.parquet")]
    arrays = [path for kind in ARRAYS for path in (dataset.folder / kind).glob("*.npy")]
    splits = list((dataset.folder / "splits").glob("*.parquet"))
    rows = [
        {"path": path.relative_to(dataset.folder).as_posix(), "sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in track(sorted((*tables, *arrays, *splits)), "Hashing files")
    ]
    return pd.DataFrame(rows)


def croissant(dataset: CellDataset, files: pd.DataFrame, *, base: str, listing: Path) -> dict[str, Any]:
    """The metadata as JSON-LD.

    Args:
        dataset: An imported dataset.
        files: Its files (`file_list`).
        base: What stands before their paths.
        listing: The table of files as it lies beside the metadata.
    """
    facts = dataset.facts
    return {
        "@context": dict(CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": CONFORMS_TO,
        "name": dataset.name,
        "alternateName": str(facts.get("title", dataset.name)),
        "description": _description(dataset),
        "license": str(facts.get("licence", "")),
        "citeAs": str(facts.get("citation", "")),
        "url": str(facts.get("url") or f"{base}dataset.toml"),
        "version": f"{FORMAT}.0.0+{dataset.identity}",
        "keywords": ["histopathology", "nuclei", "cell classification", "H&E"],
        "distribution": [*_distribution(dataset, files, base), _listed(listing)],
        "recordSet": [*_record_sets(dataset, files), _record_set("files", listing.name, files)],
    }


def _description(dataset: CellDataset) -> str:
    classes = ", ".join(c.name for c in dataset.classes)
    sentences = [
        f"{dataset.facts.get('title', dataset.name)}: {len(dataset.fovs):,} H&E fields of view with "
        f"{len(dataset.cells):,} nuclei of {len(dataset.classes)} classes ({classes}), as imported by Cryostat.",
        *map(str, dataset.facts.get("notes", ())),
    ]
    return " ".join(sentences)


def _distribution(dataset: CellDataset, files: pd.DataFrame, base: str) -> Iterator[dict[str, Any]]:
    for row in files[~files["path"].str.endswith(".npy")].to_dict("records"):
        format_ = TOML if row["path"].endswith(".toml") else PARQUET
        yield _file_object(row["path"], f"{base}{quote(row['path'])}", row["bytes"], row["sha256"], format_)
    for kind, about in ARRAYS.items():
        if (dataset.folder / kind).is_dir():
            yield {
                "@type": "cr:FileSet",
                "@id": kind,
                "name": kind,
                "description": about,
                "encodingFormat": NPY,
                "includes": f"{base}{kind}/*.npy",
            }


def _listed(listing: Path) -> dict[str, Any]:
    return _file_object(listing.name, quote(listing.name), listing.stat().st_size, sha256_file(listing), CSV)


def _file_object(name: str, address: str, size: int, sha256: str, format_: str) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": name,
        "name": name,
        "contentUrl": address,
        "contentSize": f"{size} B",
        "encodingFormat": format_,
        "sha256": sha256,
    }


def _record_sets(dataset: CellDataset, files: pd.DataFrame) -> Iterator[dict[str, Any]]:
    yield _classes(dataset)
    yield _record_set("fovs", "fovs.parquet", dataset.fovs)
    yield _record_set("cells", "cells.parquet", dataset.cells)
    for path in files["path"]:
        if path.startswith("splits/"):
            yield _record_set(path.removesuffix(".parquet"), path, pd.read_parquet(dataset.folder / path))


def _classes(dataset: CellDataset) -> dict[str, Any]:
    """The cell types, inline; 0 stands for nuclei to which the source gives none."""
    known = [{"id": c.id, "name": c.name, "color": c.color} for c in dataset.classes]
    rows = [{"id": 0, "name": "none", "color": ""}, *known]
    kinds = {"id": "sc:Integer", "name": "sc:Text", "color": "sc:Text"}
    return {
        "@type": "cr:RecordSet",
        "@id": "classes",
        "name": "classes",
        "description": "Cell types.",
        "key": {"@id": "classes/id"},
        "field": [
            {"@type": "cr:Field", "@id": f"classes/{name}", "name": name, "dataType": kind}
            for name, kind in kinds.items()
        ],
        "data": [{f"classes/{name}": row[name] for name in kinds} for row in rows],
    }


def _record_set(name: str, file: str, frame: pd.DataFrame) -> dict[str, Any]:
    fields = [_field(name, file, str(column), frame[column]) for column in frame.columns]
    found = {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}
    keys: Sequence[str] = KEYS.get(name, ())
    return found | ({"key": [{"@id": f"{name}/{column}"} for column in keys]} if keys else {})


def _field(name: str, file: str, column: str, values: pd.Series) -> dict[str, Any]:
    kinds = {"i": "sc:Integer", "u": "sc:Integer", "f": "sc:Float", "b": "sc:Boolean"}
    found: dict[str, Any] = {
        "@type": "cr:Field",
        "@id": f"{name}/{column}",
        "name": column,
        "description": COLUMNS.get(column, f"Group: {column.removeprefix('group_')}"),
        "dataType": kinds.get(values.dtype.kind, "sc:Text"),
        "source": {"fileObject": {"@id": file}, "extract": {"column": column}},
    }
    target = REFERENCES.get((name.partition("/")[0], column))
    return found | ({"references": {"field": {"@id": target}}} if target else {})
