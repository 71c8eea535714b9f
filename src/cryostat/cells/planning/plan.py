"""The plan of a study: what it costs and what stands in its way, before anything is computed or written."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryostat.cells.planning.machines import Machine, Work
from cryostat.cells.planning.obstacles import tissue
from cryostat.cells.planning.rows import Planner, Row
from cryostat.cells.runs.spec import RunSpec, Study
from cryostat.core.home import Home
from cryostat.runs.obstacles import Obstacle


@dataclass(frozen=True)
class Plan:
    """What a study costs.

    Attributes:
        study: Name of the study.
        protocol: Its rules.
        rows: Its runs by dataset, encoder and mode.
        here: This machine.
        gpu: The reference GPU.
        free: Bytes free where features go.
    """

    study: str
    protocol: str
    rows: tuple[Row, ...]
    here: Machine
    gpu: Machine
    free: int

    @property
    def to_write(self) -> int:
        """Bytes that features will take."""
        return sum(row.cost.to_write for row in self.rows)

    @property
    def work(self) -> Work:
        """All work that is known."""
        return sum((row.cost.work for row in self.rows if row.cost.work), Work())

    @cached_property
    def obstacles(self) -> dict[Obstacle, int]:
        """What stands in the way, with the number of unfinished runs that each keeps from starting."""
        found: dict[Obstacle, int] = {}
        for row in self.rows:
            for obstacle in row.obstacles:
                found[obstacle] = found.get(obstacle, 0) + row.runs - row.done
        if self.to_write > self.free:
            needed, free = self.to_write / 1e9, self.free / 1e9
            full = Obstacle(
                f"the features need {needed:,.1f} GB, {free:,.1f} GB are free",
                "Choose another --home, free some (cryostat features prune), or train with fewer views, or live",
            )
            found[full] = sum(row.runs - row.done for row in self.rows if row.cost.to_write)
        return found


def plan_study(study: Study, home: Home, *, here: Machine, gpu: Machine, limit: int | None = None) -> Plan:
    """Plan a study; reads the tables of datasets, stores and runs, writes nothing.

    Args:
        study: The study.
        home: Where everything lives.
        here: This machine.
        gpu: A reference.
        limit: Only the first so many runs.

    Raises:
        SettingError: There is no such head, protocol or mode.
    """
    planner = Planner(home, here, {name: tissue(name, home) for name in study.datasets})
    groups: dict[tuple[str, str, str], list[RunSpec]] = {}
    for spec in study.specs_with(planner.expand)[:limit]:
        groups.setdefault((spec.dataset, spec.encoder, str(spec.resolved_mode())), []).append(spec)
    rows = [planner.row(specs) for specs in groups.values()]
    rules = str(study.base.get("protocol", "standard"))
    return Plan(study.name, rules, tuple(rows), here, gpu, _free(home.root))


def _free(folder: Path) -> int:
    """Bytes free where a folder is or will be."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    return shutil.disk_usage(there).free
