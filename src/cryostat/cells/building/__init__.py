"""Datasets from instance masks and a table of phenotypes, as PathoCell came from CODEX, with a report on the masks."""

from __future__ import annotations

from cryostat.cells.building.build import BuildReport, build_dataset
from cryostat.cells.building.quality import Limits

__all__ = ["BuildReport", "Limits", "build_dataset"]
