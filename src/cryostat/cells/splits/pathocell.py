"""PathoCell: a patient-disjoint base split, the published rule, and the clinical shifts."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from cryostat.cells.dataset import GROUP, Split
from cryostat.cells.splits.grouping import in_table_order, units, values, whole
from cryostat.cells.splits.made import group_shift, holdout

CLR_PATIENTS = frozenset({1, 6, 10, 11, 12, 13, 17, 19, 20, 21, 24, 28, 29, 32, 33, 34, 35})
"""Patients with a Crohn's-like reaction; the other 18 have a diffuse inflammatory infiltrate (DII)."""


@dataclass(frozen=True)
class ClinicalShift:
    """Train on one value of a clinical group, test on another.

    Attributes:
        name: Name of the split.
        column: Pattern that the group's name matches.
        train: Pattern of the values that train and validate.
        test: Pattern of the values that test; asked first, as "mucinous adenocarcinoma" matches both.
    """

    name: str
    column: str
    train: str
    test: str


PUBLISHED_RULE = "published-rule"
"""Name of the split that follows the published rule, patient leakage included."""

SHIFTS = (
    ClinicalShift("tumour-type", r"hist|type|diagnos", r"adeno", r"mucin"),
    ClinicalShift("tumour-stage", r"stage", r"^\D*(3|iii)[abc]?$", r"^\D*(4|iv)[abc]?$"),
    ClinicalShift("dii-to-clr", r"group|immune|clr|dii|infiltrat", r"^dii|diffuse", r"^clr|crohn"),
    ClinicalShift("mss-to-msi", r"ms[is]|mmr|microsat", r"mss|stable|pmmr|proficient", r"msi|unstab|instab|dmmr|defic"),
)
"""The shifts of the paper and its repository. Which patient has which value is not public with the code, so the values
come from the clinical table given at import; only DII and CLR are known by patient number."""


def published_splits(fovs: pd.DataFrame) -> list[Split]:
    """`base` (ours, patient-disjoint), `published-rule`, and the clinical shifts that the groups allow."""
    regions = {str(fov): region(str(fov)) for fov in fovs["fov_id"]}
    fovs = fovs[[regions[str(fov)] is not None for fov in fovs["fov_id"]]]
    if fovs.empty:
        return []
    fovs = fovs.assign(patient_id=_patients(fovs), group_infiltrate=[infiltrate(str(fov)) for fov in fovs["fov_id"]])
    return whole([*_base(fovs), published_rule(fovs), *_shifts(fovs)])


def region(fov_id: str) -> int | None:
    """The region number in a name as `reg002_A`."""
    found = re.match(r"reg0*(\d+)(_[AB])?\b", fov_id)
    return int(found[1]) if found else None


def patient(fov_id: str) -> int | None:
    """The patient of a field: regions 1 and 2 are of patient 1, regions 3 and 4 of patient 2 ..."""
    number = region(fov_id)
    return None if number is None else (number + 1) // 2


def infiltrate(fov_id: str) -> str | None:
    """The patient's pattern of immune infiltrate, `CLR` or `DII`."""
    number = patient(fov_id)
    return None if number is None else "CLR" if number in CLR_PATIENTS else "DII"


def _patients(fovs: pd.DataFrame) -> list[str]:
    known = values(fovs, "patient") if "patient_id" in fovs else {}
    return [known.get(str(fov)) or str(patient(str(fov))) for fov in fovs["fov_id"]]


def _base(fovs: pd.DataFrame) -> list[Split]:
    return [holdout(fovs, by="patient", name="base")] if len(units(fovs, "patient")) >= 3 else []


def published_rule(fovs: pd.DataFrame) -> Split:
    """The published rule: regions, not patients, dealt 70 / 15 / 15 by `np.random.seed(42)`.

    Two regions belong to one patient, so patients straddle the parts. The authors permuted the regions in the order in
    which their disk listed the files; that order is not published. This takes them sorted and does not reproduce the
    published ids: import the published table with `cryostat data split NAME --csv FILE` for those.
    """
    regions = sorted({str(region(str(fov))).zfill(3) for fov in fovs["fov_id"]})
    order = [regions[i] for i in np.random.RandomState(42).permutation(len(regions))]
    n_train, n_valid = int(0.7 * len(order)), int(0.15 * len(order))
    part_of = dict.fromkeys(order, "test")
    part_of |= dict.fromkeys(order[:n_train], "train") | dict.fromkeys(order[n_train : n_train + n_valid], "valid")
    parts = {str(fov): part_of[str(region(str(fov))).zfill(3)] for fov in fovs["fov_id"]}
    return in_table_order(PUBLISHED_RULE, parts, fovs)


def _shifts(fovs: pd.DataFrame) -> list[Split]:
    found = []
    for shift in SHIFTS:
        split = next(filter(None, (_shift(fovs, shift, column) for column in _columns(fovs, shift))), None)
        if split is not None:
            found.append(split)
    return found


def _columns(fovs: pd.DataFrame, shift: ClinicalShift) -> list[str]:
    groups = [name.removeprefix(GROUP) for name in fovs.columns if name.startswith(GROUP)]
    return [name for name in groups if re.search(shift.column, name, re.IGNORECASE)]


def _shift(fovs: pd.DataFrame, shift: ClinicalShift, column: str) -> Split | None:
    known = {value for value in values(fovs, column).values() if value is not None}
    test = {value for value in known if re.search(shift.test, value, re.IGNORECASE)}
    train = {value for value in known - test if re.search(shift.train, value, re.IGNORECASE)}
    training = fovs[[value in train for value in values(fovs, column).values()]]
    if not test or not train or len(units(training)) < 2:
        return None
    return group_shift(fovs, column, sorted(train), sorted(test), name=shift.name)
