"""Planning: what a study costs and what stands in its way, before any work."""

from __future__ import annotations

from cryostat.cells.planning.machines import Machine, Work, reference_gpu, this_machine
from cryostat.cells.planning.plan import Plan, plan_study
from cryostat.cells.planning.rows import Cost, Row
from cryostat.runs.obstacles import Obstacle

__all__ = ["Cost", "Machine", "Obstacle", "Plan", "Row", "Work", "plan_study", "reference_gpu", "this_machine"]
