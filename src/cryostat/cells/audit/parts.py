"""Whether the parts of each split are what they should be: whole, known, and of different patients."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cryostat.cells.audit.report import Finding, places
from cryostat.cells.dataset import PARTS, CellDataset, Split
from cryostat.cells.splits.grouping import straddling, together, values
from cryostat.cells.splits.pathocell import PUBLISHED_RULE


def part_findings(dataset: CellDataset, splits: Iterable[Split]) -> Iterator[Finding]:
    """Unknown fields, empty parts and straddling patients of each split; unknown patients of the dataset."""
    known = set(dataset.fovs.index)
    for split in splits:
        yield from _wholeness(split, known)
        yield from _straddling(split, dataset)
    unknown = [fov for fov, patient in values(dataset.fovs, "patient").items() if patient is None]
    if unknown:
        yield Finding(
            "note",
            "patient unknown",
            f"fields of unknown patient: {len(unknown)} of {len(known)}; whether parts share them cannot be checked",
            places(unknown) if len(unknown) < len(known) else "",
            "Import with a --clinical table that names patients, if there is one",
        )


def _wholeness(split: Split, known: set[str]) -> Iterator[Finding]:
    strangers = sorted(set(split.parts) - known)
    if strangers:
        yield Finding(
            "error",
            "split names unknown fields",
            f"fields of split {split.name!r} that the dataset does not have: {len(strangers)}",
            places(strangers),
            "Make or import the split again",
        )
    lacking = [part for part in PARTS if part not in split.parts.values()]
    if lacking:
        yield Finding(
            "error",
            "empty part",
            f"split {split.name!r} has no field of view in {' and '.join(lacking)}",
            f"split {split.name}",
            "Make or import the split again",
        )


def _straddling(split: Split, dataset: CellDataset) -> Iterator[Finding]:
    found = straddling(split, dataset.fovs)
    if not found:
        return
    published = split.name == PUBLISHED_RULE
    unit = together(dataset.fovs).replace("_", " ")
    rule = ", as the published rule has it" if published else ""
    yield Finding(
        "warning" if published else "error",
        "patient straddles parts",
        f"{unit}s in more than one part of split {split.name!r}{rule}: {len(found)}",
        places([f"{patient} ({', '.join(parts)})" for patient, parts in found.items()]),
        "Use a patient-disjoint split: cryostat data split NAME --holdout 70/15/15",
    )
