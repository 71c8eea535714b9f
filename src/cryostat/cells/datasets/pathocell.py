"""PathoCell: 109 fields of view of colorectal cancer whose nuclei carry the cell type that CODEX found.

Released as `regNNN_{A,B}.hdf`, one HDF5 a field of view, with `img` (3, H, W) uint16, `gt_inst` and `gt_ct` (1, H, W)
(instances and one of 30 fine ids), sometimes `gt_ct_coarse`, and `ifl`, the 58-channel CODEX stack, which is never
touched here (`pathocell_markers` reads channels of it when asked). NNN is the region, A or B the tissue microarray.
Regions 1 and 2 belong to patient 1, regions 3 and 4 to patient 2, and so on.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cells.dataset import Split
from cryostat.cells.datasets.hdf5 import Hdf5File, open_hdf5
from cryostat.cells.datasets.importing import FieldSource, ImportOptions, Listing
from cryostat.cells.datasets.row_table import RowTable, read_row_table
from cryostat.cells.datasets.settings import Setting, read_settings
from cryostat.cells.field import CellClass, DatasetFacts, Field, check_labels, field_from_semantic
from cryostat.cells.splits.pathocell import infiltrate, patient, region
from cryostat.core.errors import InputError
from cryostat.core.files import require_folder

TYPES = Path(__file__).with_name("pathocell_types.csv")
"""The fine types with their ids, and the published merge to 14 classes; dirt has none. Also a merge table for
`cryostat data build`."""

FINE_IDS = 30
"""Fine ids run from 0 (background) to 29."""

ENDINGS = (".hdf", ".hdf5", ".h5")


def fine_types() -> list[dict[str, str]]:
    """Rows of `TYPES`: phenotype, class, class_id, color, fine_id, fine_color."""
    with TYPES.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _classes(labels: str) -> tuple[CellClass, ...]:
    kept = [row for row in fine_types() if row["class"]]
    if labels == "fine":
        found = {int(r["fine_id"]): CellClass(int(r["fine_id"]), r["phenotype"], r["fine_color"]) for r in kept}
    else:
        found = {int(r["class_id"]): CellClass(int(r["class_id"]), r["class"], r["color"]) for r in kept}
    return tuple(found[number] for number in sorted(found))


FACTS = DatasetFacts(
    name="pathocell",
    title="PathoCell: colorectal cancer, cell types from CODEX",
    classes=_classes("coarse"),
    mpp=0.377,
    licence="MIT (dataset card); the underlying CODEX study is public",
    citation="PathoCellBench (Kainmueller lab, 2025), from Schürch et al., Cell 182 (2020) 1341–1359",
    url="https://huggingface.co/datasets/Kainmueller-Lab/PathoCell",
    notes=(
        "Fine types are merged to 14 classes by the published table (setting labels=fine keeps them apart).",
        "Pixels labelled dirt are removed from the class map and from the instance map.",
        "A nucleus gets the commonest class of its pixels.",
        "Patient = ceil(region / 2): two regions on two arrays belong to one patient.",
        "The H&E image is raw 16-bit camera data, kept as it is.",
        "The 58-channel CODEX stack is not read.",
    ),
)

SETTINGS: Mapping[str, Setting] = {
    "labels": Setting("coarse", "14 merged classes or 28 fine types: coarse, fine", ("coarse", "fine")),
    "coarse_check": Setting(
        "on", "refuse a file whose gt_ct_coarse differs from the published merge: on, off", ("on", "off")
    ),
}

GROUPS = ("region", "tma", "infiltrate")
"""Groups that the file name gives."""


def listing(source: Path, options: ImportOptions) -> Listing:
    """List the HDF5 files of a release folder (or of `pathocell_hdf` in it).

    Raises:
        InputError: There are none, one is not named as released, or the clinical table does not fit.
        SettingError: An option that this format cannot honour.
    """
    chosen = read_settings("pathocell", options, SETTINGS, uses=("mpp", "clinical"))
    files = _files(source)
    clinical = _clinical(options.clinical, files) if options.clinical else None
    fine = chosen["labels"] == "fine"
    facts = replace(
        FACTS,
        name="pathocell-fine" if fine else FACTS.name,
        classes=_classes(chosen["labels"]),
        mpp=options.mpp or FACTS.mpp,
        notes=(*(FACTS.notes[1:] if fine else FACTS.notes), *_clinical_notes(clinical, files)),
    )
    load = partial(_load, source=source, facts=facts, lookup=_lookup(fine), clinical=clinical)
    check = chosen["coarse_check"] == "on"
    sources = [FieldSource(path.stem, partial(load, path, check=check)) for path in files]
    return Listing(facts, sources, splits=_splits)


def _splits(fovs: pd.DataFrame) -> list[Split]:
    from cryostat.cells.splits import published

    return published("pathocell", fovs)


def _files(source: Path) -> list[Path]:
    folder = source / "pathocell_hdf" if (source / "pathocell_hdf").is_dir() else source
    require_folder(folder)
    files = sorted(path for path in folder.iterdir() if path.suffix.lower() in ENDINGS)
    if not files:
        raise InputError(
            "holds no .hdf file", where=folder, remedy="Name the folder that holds reg001_A.hdf, reg001_B.hdf …"
        )
    for path in files:
        if not re.fullmatch(r"reg(?!000)\d{3}_[AB]", path.stem):
            raise InputError(
                "is not named as released, so its patient is unknown", where=path, remedy="Name it as reg001_A.hdf"
            )
    return files


def patient_name(fov_id: str) -> str:
    """Patient of a field of view: `reg003_A` belongs to `P02`."""
    return f"P{patient(fov_id):02d}"


def patient_key(text: str) -> str:
    """A patient as tables write it (`2`, `P2`, `patient 02`) in our form, `P02`."""
    number = re.fullmatch(r"\D*0*(\d+)", text)
    return f"P{int(number[1]):02d}" if number else text


def _clinical(path: Path, files: Sequence[Path]) -> RowTable:
    table = read_row_table(path, patient_key)
    table.require_matches([(f.stem, patient_name(f.stem)) for f in files])
    if clash := sorted({column for row in table.rows.values() for column in row} & set(GROUPS)):
        raise InputError(
            f"has a column {clash[0]!r}, which the file names give already", where=path, remedy="Rename the column"
        )
    return table


def _clinical_notes(clinical: RowTable | None, files: Sequence[Path]) -> list[str]:
    return clinical.notes([(f.stem, patient_name(f.stem)) for f in files]) if clinical else []


def _lookup(fine: bool) -> NDArray[np.uint16]:
    """Class id of each fine id, 0 for background and dirt."""
    lookup = np.zeros(FINE_IDS, np.uint16)
    for row in fine_types():
        lookup[int(row["fine_id"])] = int((row["fine_id"] if fine else row["class_id"]) or 0) if row["class"] else 0
    return lookup


def _load(
    path: Path, *, source: Path, facts: DatasetFacts, lookup: NDArray[np.uint16], clinical: RowTable | None, check: bool
) -> Field:
    with open_hdf5(path) as file:
        image = _image(file)
        instances, types = _labels(file, "gt_inst", image), _labels(file, "gt_ct", image)
        _check_types(types, path)
        if check and "gt_ct_coarse" in file:
            _check_merge(types, _labels(file, "gt_ct_coarse", image), path)
    fov, named = path.stem, lookup[types]
    field = field_from_semantic(
        fov,
        image,
        np.where((types > 0) & (named == 0), 0, instances),
        named,
        mpp=facts.mpp or 0.0,
        source=str(path.relative_to(source)),
        patient_id=patient_name(fov),
        groups={"region": f"{region(fov):03d}", "tma": fov[-1], "infiltrate": infiltrate(fov) or ""},
    )
    return clinical.join(field) if clinical else field


def _image(file: Hdf5File) -> NDArray[Any]:
    image = file.array("img")
    if image.ndim != 3 or image.shape[0] != 3:
        raise InputError(
            f"the key 'img' has shape {image.shape}, not (3, height, width)",
            where=file.path,
            remedy="Supply the released file",
        )
    return np.ascontiguousarray(np.moveaxis(image, 0, -1))


def _labels(file: Hdf5File, key: str, image: NDArray[Any]) -> NDArray[Any]:
    labels = file.array(key)
    labels = labels[0] if labels.ndim == 3 and labels.shape[0] == 1 else labels
    if labels.ndim != 2 or labels.dtype.kind not in "ui":
        raise InputError(
            f"the key {key!r} holds {labels.dtype} of shape {labels.shape}, not integers of (1, height, width)",
            where=file.path,
            remedy="Supply the released file",
        )
    check_labels(labels, image.shape[:2], f"{file.path}, {key}", "label map")
    return labels


def _check_types(types: NDArray[Any], path: Path) -> None:
    if types.size and (int(types.max()) >= FINE_IDS or int(types.min()) < 0):
        raise InputError(
            f"the key 'gt_ct' holds the id {int(types.max())}, beyond 0 … {FINE_IDS - 1}",
            where=path,
            remedy="Check that gt_ct and gt_inst are not swapped",
        )


def _check_merge(types: NDArray[Any], coarse: NDArray[Any], path: Path) -> None:
    """Compare the file's own coarse ids with the merge; whether dirt was zeroed there is not known, so it may be."""
    merged = _lookup(fine=False)[types]
    dirt = (types > 0) & (merged == 0)
    wrong = (merged != coarse) & ~dirt
    if wrong.any():
        y, x = np.argwhere(wrong)[0]
        raise InputError(
            f"the key 'gt_ct_coarse' differs from the published merge in {int(wrong.sum())} pixels "
            f"(first: row {y}, column {x}, fine id {types[y, x]}, coarse id {coarse[y, x]}, merge says {merged[y, x]})",
            where=path,
            remedy="Pass --set coarse_check=off to go by gt_ct and the published merge",
        )
