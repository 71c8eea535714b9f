"""A dataset from instance masks and a table that says what each cell is."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cells.building.joining import Join, join
from cryostat.cells.building.plan import Plan, make_plan
from cryostat.cells.building.quality import Limits, Measures, judge, measure
from cryostat.cells.building.report import write_report
from cryostat.cells.dataset import CellDataset
from cryostat.cells.datasets.folders import read_label_map, read_pixels
from cryostat.cells.field import DatasetFacts, Field, check_image, check_labels, field_from_table
from cryostat.cells.writer import DatasetWriter
from cryostat.core.home import Home
from cryostat.core.progress import track


@dataclass(frozen=True)
class BuildReport:
    """What was built.

    Attributes:
        dataset: The dataset, in place.
        counts: Class name to number of nuclei.
        unmatched: Rows of the phenotype tables that name no nucleus in the end.
        removed: Nuclei taken out of the masks because their phenotype has no class.
        without_phenotype: Nuclei that no row names; they stay, without a class.
        qc: One row a field of view; `reason` is not empty where a field is proposed for exclusion.
        files: The quality report: qc.csv, suspects.csv, exclude.csv and contact sheets.
    """

    dataset: CellDataset
    counts: dict[str, int]
    unmatched: int
    removed: int
    without_phenotype: int
    qc: pd.DataFrame
    files: tuple[Path, ...]


def build_dataset(
    images: Path,
    masks: Path,
    phenotypes: Path,
    home: Home,
    *,
    name: str,
    mpp: float,
    merge: Path | None = None,
    patients: Path | None = None,
    exclude: Path | None = None,
    overwrite: bool = False,
    limits: Limits | None = None,
    licence: str = "not stated",
    citation: str = "not stated",
) -> BuildReport:
    """Build a dataset from images, instance masks and the phenotype of each cell, and judge the masks.

    The quality report lies in the dataset's folder under `qc/`. Its `exclude.csv` proposes fields to leave out: look at
    the contact sheets, delete the lines of fields that are fine, and hand the rest back as `exclude`.

    Args:
        images: Folder of RGB images: .png .jpg .tif .npy; the name without ending is the field of view's id.
        masks: Folder of instance maps under the same names: .png .tif .npy .mat (`inst_map`).
        phenotypes: A table `fov_id`, `phenotype` and `cell_id` or `x`, `y` (px, pixel centres at whole numbers); a
            folder of such tables named as the fields; or a folder of `*_CellTypeLabel.txt` with `*_Coordinates.txt`.
            A row by position means the nucleus under it; of several, the nearest to the nucleus' centre.
        home: Where datasets live.
        name: Name of the dataset.
        mpp: µm per pixel.
        merge: Table `phenotype,class[,class_id][,color]`; an empty class removes the nuclei. `pathocell`
            stands for the published merge to 14 classes. Without a table every phenotype is a class.
        patients: Table with a row a `fov_id` or `patient_id`; patient, site and other columns (groups) are joined.
        exclude: Table of fields to leave out: `fov_id`, and perhaps `reason`.
        overwrite: Replace a dataset of that name.
        limits: Where suspicion of the masks begins.
        licence: Licence of the data.
        citation: How to cite the data.

    Raises:
        InputError: Something is missing, damaged or contradicts another; nothing is left half-written.
        SettingError: The name is taken or not usable.
    """
    plan = make_plan(images, masks, phenotypes, mpp=mpp, merge=merge, patients=patients, exclude=exclude)
    limits = limits or Limits()
    facts = DatasetFacts(name, name, plan.merge.classes, mpp, licence, citation, notes=plan.notes)
    outcomes = []
    with DatasetWriter(home.datasets / name, facts, overwrite=overwrite) as writer:
        for fov in track(plan.fovs, f"Building {name}"):
            built, outcome = _build_field(plan, fov, limits)
            writer.add(built)
            outcomes.append(outcome)
        for fov, reason in plan.excluded.items():
            writer.exclude(fov, reason)
    dataset = CellDataset(home.datasets / name)
    verdict = judge([o.measures for o in outcomes], [o.join for o in outcomes], limits)
    return BuildReport(
        dataset,
        _counts(dataset),
        unmatched=sum(o.join.unmatched for o in outcomes),
        removed=sum(o.removed for o in outcomes),
        without_phenotype=sum(o.join.bare for o in outcomes),
        qc=verdict.fields,
        files=write_report(dataset.folder / "qc", name, verdict, limits, partial(_arrays, plan)),
    )


@dataclass(frozen=True)
class _Outcome:
    """What building one field gave besides the field."""

    measures: Measures
    join: Join
    removed: int


def _build_field(plan: Plan, fov: str, limits: Limits) -> tuple[Field, _Outcome]:
    image, instances = _arrays(plan, fov)
    source, cells = plan.images[fov].name, plan.cells[fov]
    found = join(cells, instances)
    class_of = {cell: plan.merge.class_of[phenotype] for cell, phenotype in found.phenotype_of.items()}
    removed = [cell for cell, number in class_of.items() if number is None]
    field = field_from_table(
        fov,
        image,
        np.where(np.isin(instances, removed), 0, instances) if removed else instances,
        {cell: number for cell, number in class_of.items() if number is not None},
        mpp=plan.mpp,
        source=source,
        patient_id=cells.patient_id,
        groups=cells.groups,
    )
    outcome = _Outcome(measure(fov, image, instances, plan.mpp, limits), found, len(removed))
    return plan.patients.join(field) if plan.patients else field, outcome


def _arrays(plan: Plan, fov: str) -> tuple[NDArray[Any], NDArray[Any]]:
    path = plan.images[fov]
    image, instances = read_pixels(path), read_label_map(plan.masks[fov])
    check_image(image, str(path))
    check_labels(instances, image.shape[:2], str(plan.masks[fov]), "instance map")
    return image, instances


def _counts(dataset: CellDataset) -> dict[str, int]:
    numbers = dataset.cells["class_id"].value_counts()
    return {c.name: int(numbers.get(c.id, 0)) for c in dataset.classes}
