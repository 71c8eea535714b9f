"""Cohorts: patients, what is known of each, and what is asked; `docs/cohorts.md` describes the manifest."""

from cryostat.cases.cohort.checking import check_cohort
from cryostat.cases.cohort.cohort import Cohort
from cryostat.cases.cohort.loading import load_cohort
from cryostat.cases.cohort.manifest import ModalitySpec
from cryostat.cases.cohort.report import CohortReport

__all__ = ["Cohort", "CohortReport", "ModalitySpec", "check_cohort", "load_cohort"]
