"""Splits as data: published ones by their ids or rules, made ones by seed."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pandas as pd

from cryostat.cells.dataset import Split

RULES: Mapping[str, Callable[[pd.DataFrame], list[Split]]] = {}
"""Format name to what makes its published and customary splits."""


def published(name: str, fovs: pd.DataFrame) -> list[Split]:
    """The published and customary splits of a format for the fields of view that were imported.

    Args:
        name: Format: lizard, pannuke, arctique, pathocell, consep, conic ...; one without customary splits gives none.
        fovs: One row a field of view, columns as in `fovs.parquet`: fov_id, patient_id, site, height, width, mpp,
            group_*.

    Returns:
        The splits that these fields allow: a published list of ids only when all its fields are there, a rule
        whenever train, valid and test all get a field.
    """
    return RULES[name](fovs) if name in RULES else []
