"""Cohorts: patients, what is known of each, and what is asked; `docs/cohorts.md` describes the manifest."""

from cryostat.cases.cohort.cohort import Cohort
from cryostat.cases.cohort.loading import load_cohort
from cryostat.cases.cohort.manifest import ModalitySpec

__all__ = ["Cohort", "ModalitySpec", "load_cohort"]
