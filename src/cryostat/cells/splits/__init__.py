"""Splits as data: published ones by their ids or rules, made ones by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import pandas as pd

from cryostat.cells.dataset import Split
from cryostat.cells.splits import customary, lizard, pathocell
from cryostat.cells.splits.grouping import straddling
from cryostat.cells.splits.made import (
    FRACTIONS,
    group_shift,
    holdout,
    kfold,
    leave_one_site_out,
    leave_out,
    subset,
)
from cryostat.cells.splits.table import read_split_csv

__all__ = [
    "FRACTIONS",
    "RULES",
    "group_shift",
    "holdout",
    "kfold",
    "leave_one_site_out",
    "leave_out",
    "published",
    "read_split_csv",
    "straddling",
    "subset",
]

RULES: Mapping[str, Callable[[pd.DataFrame], list[Split]]] = MappingProxyType(
    {
        "lizard": lizard.published_splits,
        "pannuke": customary.pannuke,
        "arctique": customary.arctique,
        "pathocell": pathocell.published_splits,
        "consep": customary.consep,
        "conic": customary.conic,
    }
)
"""Format name to what makes its published and customary splits."""


def published(name: str, fovs: pd.DataFrame) -> list[Split]:
    """The published and customary splits of a format for the fields of view that were imported.

    Args:
        name: Format: lizard, pannuke, arctique, pathocell, consep, conic; one without customary splits gives none.
        fovs: One row a field of view, columns as in `fovs.parquet`: fov_id, patient_id, site, height, width, mpp,
            group_*, source.

    Returns:
        The splits that these fields allow: a published list of ids only when all its fields are there, a rule
        whenever train, valid and test all get a field.
    """
    return RULES[name](fovs) if name in RULES and len(fovs) else []
