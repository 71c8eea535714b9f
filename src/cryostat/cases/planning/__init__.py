"""Planning: what a study of cases costs and what stands in its way, before any work."""

from __future__ import annotations

from cryostat.cases.planning.modalities import ModalityPlan
from cryostat.cases.planning.plan import CasePlan, CaseRow, plan_cases

__all__ = ["CasePlan", "CaseRow", "ModalityPlan", "plan_cases"]
