"""QuPath: nuclei outlined by polygons, exported as GeoJSON.

The source folder holds

    images/       one RGB image a field of view: .png .jpg .tif or .npy
    annotations/  the GeoJSON of each image, named as it is, with or without its ending: `a.geojson`, `a.png.geojson`
    fovs.csv      optional: fov_id, and any of patient_id, site, mpp; every other column becomes a group

Each object is a nucleus: a FeatureCollection or a bare list of features with `properties.classification`. Where a file
holds detections or cells, its annotations are taken for regions and left out; `--set objects=` names the kinds to read.
Cells count by their `nucleusGeometry` where they have one (`--set outline=cell` takes the cell's outline). Objects
without a classification get class 0. Coordinates are px of the image. Where nuclei overlap the smaller lies on top.

Polygons that cannot be drawn (degenerate, without numbers, outside the image, wholly under others) are refused with
their count, or left out with `--set faulty=skip` and then counted in the dataset's notes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from cryostat.cells.datasets.about import About, read_about
from cryostat.cells.datasets.class_table import numbered, read_class_table
from cryostat.cells.datasets.folders import IMAGES, by_stem, partner, read_pixels
from cryostat.cells.datasets.generic import ABOUT_SETTINGS, own_facts
from cryostat.cells.datasets.geojson import Outline, read_outlines
from cryostat.cells.datasets.importing import FieldSource, ImportOptions, Listing
from cryostat.cells.datasets.rasterising import Raster, describe, rasterise
from cryostat.cells.datasets.settings import Setting, read_settings
from cryostat.cells.field import CellClass, DatasetFacts, Field, field_from_table
from cryostat.core.errors import InputError

FACTS = DatasetFacts(
    name="qupath",
    title="Images with nuclei outlined in QuPath",
    classes=(),
    mpp=None,
    licence="not stated",
    citation="not stated",
    notes=("Where nuclei overlap, the smaller lies on top.",),
)

SETTINGS: Mapping[str, Setting] = {
    "images": Setting("images", "folder of images"),
    "annotations": Setting("annotations", "folder of GeoJSON files"),
    "objects": Setting("auto", "object types to read, as cell,detection,annotation; auto: cells and detections if any"),
    "outline": Setting("nucleus", "outline of cell objects: nucleus, cell", ("nucleus", "cell")),
    "faulty": Setting("refuse", "polygons that cannot be drawn: refuse, skip", ("refuse", "skip")),
    **ABOUT_SETTINGS,
}

NUCLEI = frozenset({"cell", "detection"})
"""Object types that are nuclei wherever they occur."""


def listing(source: Path, options: ImportOptions) -> Listing:
    """List images and their GeoJSON; the files are read once here for the names of the classes.

    Raises:
        InputError: A folder or file is missing or damaged, or the scale is not known.
        SettingError: A setting that does not exist.
    """
    chosen = read_settings("qupath", options, SETTINGS, uses=("mpp", "clinical", "classes"))
    images = by_stem(source / chosen["images"], IMAGES)
    files = _annotations(source / chosen["annotations"], images)
    about = read_about(source, chosen["fovs"], options, list(images))
    load = partial(_load, source=source, images=images, files=files, about=about, chosen=chosen)
    classes, notes = _survey(images, files, options.classes, chosen)
    ids = {c.name: c.id for c in classes}
    facts = own_facts(FACTS, source, classes, about, chosen)
    sources = [FieldSource(fov, partial(load, fov, ids=ids)) for fov in images]
    return Listing(replace(facts, notes=(*facts.notes, *notes)), sources)


def _annotations(folder: Path, images: Mapping[str, Path]) -> dict[str, Path]:
    by_name = {path.name: stem for stem, path in images.items()} | {stem: stem for stem in images}
    found: dict[str, Path] = {}
    for name, path in by_stem(folder, {".geojson", ".json"}).items():
        if name not in by_name:
            raise InputError("belongs to no image", where=path, remedy="Name it as its image, or remove it")
        if by_name[name] in found:
            raise InputError(
                f"{found[by_name[name]].name} and {path.name} belong to one image", where=folder, remedy="Keep one"
            )
        found[by_name[name]] = path
    return found


def _survey(
    images: Mapping[str, Path], files: Mapping[str, Path], table: Path | None, chosen: Mapping[str, str]
) -> tuple[tuple[CellClass, ...], list[str]]:
    """The classes, and a sentence on each file whose faulty polygons are left out."""
    skip = chosen["faulty"] == "skip"
    if table and not skip:
        return read_class_table(table), []
    names: set[str] = set()
    notes = []
    for fov, path in files.items():
        outlines = _outlines(path, chosen)
        names |= {outline.class_name for outline in outlines}
        if skip and (faults := _draw(outlines, images[fov]).faults):
            notes.append(f"Left out of {fov}: {describe(faults)}.")
    if table:
        return read_class_table(table), notes
    if not names - {""}:
        where = next(iter(files.values())).parent
        raise InputError("holds no object with a classification", where=where, remedy="Classify the nuclei in QuPath")
    return numbered(sorted(names - {""}), next(iter(files.values()))), notes


def _draw(outlines: Sequence[Outline], image: Path) -> Raster:
    height, width = read_pixels(image).shape[:2]
    return rasterise(outlines, height, width)


def _outlines(path: Path, chosen: Mapping[str, str]) -> list[Outline]:
    """The objects of a file that are nuclei."""
    outlines = read_outlines(path, prefer="nucleusGeometry" if chosen["outline"] == "nucleus" else "geometry")
    kinds: Collection[str] = {kind.strip().lower() for kind in chosen["objects"].split(",")}
    if kinds == {"auto"}:
        kinds = NUCLEI if any(outline.kind in NUCLEI for outline in outlines) else {"annotation", ""}
    return [outline for outline in outlines if outline.kind in kinds]


def _load(
    fov: str,
    *,
    source: Path,
    images: Mapping[str, Path],
    files: Mapping[str, Path],
    about: About,
    chosen: Mapping[str, str],
    ids: Mapping[str, int],
) -> Field:
    path = partner(files, fov, "GeoJSON file", source / chosen["annotations"])
    image = read_pixels(images[fov])
    raster = rasterise(_outlines(path, chosen), *image.shape[:2])
    if raster.faults and chosen["faulty"] == "refuse":
        raise InputError(
            f"has polygons that cannot be drawn: {describe(raster.faults)}",
            where=path,
            remedy="Mend or delete them in QuPath, or pass --set faulty=skip to leave them out",
        )
    return about.join(
        field_from_table(
            fov,
            image,
            raster.instances,
            {number: _class_id(name, ids, path) for number, name in raster.class_names.items()},
            mpp=about.mpp[fov],
            source=str(images[fov].relative_to(source)),
        )
    )


def _class_id(name: str, ids: Mapping[str, int], path: Path) -> int:
    if name and name not in ids:
        raise InputError(
            f"has objects of class {name!r}, which the class table does not have",
            where=path,
            remedy=f"Use one of: {', '.join(ids)}, or add it to --classes",
        )
    return ids.get(name, 0)
