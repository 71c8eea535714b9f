"""What belongs together before a dataset is built: images, masks, tables, and the fields to leave out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryostat.cells.building.merging import Merge, each_its_own, read_merge
from cryostat.cells.building.phenotypes import CODEX_NAME, Phenotypes, read_phenotypes
from cryostat.cells.datasets.folders import IMAGES, LABELS, by_stem
from cryostat.cells.datasets.pathocell import patient_key
from cryostat.cells.datasets.row_table import RowTable, read_row_table
from cryostat.cells.datasets.tables import find_column, read_text_table, require_column
from cryostat.core.errors import InputError


@dataclass(frozen=True)
class Plan:
    """Everything that a build reads, listed and checked against each other; pixels are not read yet.

    Attributes:
        fovs: Fields of view to build, in order.
        images: Field of view to image.
        masks: Field of view to instance map.
        cells: Field of view to its phenotypes.
        merge: Phenotype to class.
        patients: What is known of fields or patients, or None.
        excluded: Field of view to the reason why it is left out.
        mpp: µm per pixel.
        notes: Sentences for the dataset's notes.
    """

    fovs: tuple[str, ...]
    images: Mapping[str, Path]
    masks: Mapping[str, Path]
    cells: Mapping[str, Phenotypes]
    merge: Merge
    patients: RowTable | None
    excluded: Mapping[str, str]
    mpp: float
    notes: tuple[str, ...]


def make_plan(
    images: Path,
    masks: Path,
    phenotypes: Path,
    *,
    mpp: float,
    merge: Path | None,
    patients: Path | None,
    exclude: Path | None,
) -> Plan:
    """Pair images, masks and phenotypes; arguments as of `build_dataset`.

    Raises:
        InputError: A folder or table is missing or damaged, or a field lacks its mask or phenotypes.
    """
    image_files, mask_files, tables = by_stem(images, IMAGES), by_stem(masks, LABELS), read_phenotypes(phenotypes)
    excluded = read_exclusions(exclude, image_files) if exclude else {}
    fovs = tuple(fov for fov in image_files if fov not in excluded)
    _require_masks(fovs, mask_files, masks)
    cells = {fov: _cells_of(fov, tables, phenotypes) for fov in fovs}
    merged = _merge(merge, cells, phenotypes)
    people = read_row_table(patients, patient_key if _codex(cells) else str) if patients else None
    names = [(fov, cells[fov].patient_id) for fov in fovs]
    if people:
        people.require_matches(names)
    unused = {
        phenotypes.name: sorted(set(tables) - {_key(fov, tables) for fov in image_files}),
        masks.name: sorted(set(mask_files) - set(image_files)),
    }
    notes = [f"{len(rest)} fields of {name} have no image (first: {rest[0]})." for name, rest in unused.items() if rest]
    notes += people.notes(names) if people else []
    return Plan(fovs, image_files, mask_files, cells, merged, people, excluded, mpp, tuple(notes))


def _codex(cells: Mapping[str, Phenotypes]) -> bool:
    return any(item.patient_id for item in cells.values())


def _require_masks(fovs: tuple[str, ...], masks: Mapping[str, Path], folder: Path) -> None:
    if lacking := [fov for fov in fovs if fov not in masks]:
        raise InputError(
            f"has no instance map for {len(lacking)} of {len(fovs)} images (first: {lacking[0]!r})",
            where=folder,
            remedy="Name masks as their images, or list these fields in a table for --exclude",
        )


def _key(fov: str, tables: Mapping[str, Phenotypes]) -> str:
    """Under which name the tables know a field: its own, or the short form of a CODEX name."""
    parts = CODEX_NAME.fullmatch(fov)
    return parts["fov"] if fov not in tables and parts else fov


def _cells_of(fov: str, tables: Mapping[str, Phenotypes], path: Path) -> Phenotypes:
    key = _key(fov, tables)
    if key not in tables:
        raise InputError(
            f"has no phenotypes for the image {fov!r} (its first field is {next(iter(tables))!r})",
            where=path,
            remedy="Name fields as the images, without ending, or list this one in a table for --exclude",
        )
    return tables[key]


def _merge(path: Path | None, cells: Mapping[str, Phenotypes], phenotypes: Path) -> Merge:
    found = {name for item in cells.values() for name in item.names} - {""}
    if path is None:
        return each_its_own(found, phenotypes)
    merge = read_merge(path)
    merge.require(found)
    return merge


def read_exclusions(path: Path, fovs: Mapping[str, object]) -> dict[str, str]:
    """Field of view to reason, from a table `fov_id[,reason]`; a table without rows excludes nothing.

    Raises:
        InputError: The table is unreadable, or names a field that is not there.
    """
    frame = read_text_table(path, may_be_empty=True)
    column, why = require_column(frame, ("fov_id",), path), find_column(frame, ("reason",))
    found = {row[column]: (row[why] if why else "") or "excluded by the user" for row in frame.to_dict("records")}
    if strangers := [fov for fov in found if fov not in fovs]:
        raise InputError(
            f"excludes {strangers[0]!r}, which is no image here", where=path, remedy="Name fields as the images"
        )
    return found
