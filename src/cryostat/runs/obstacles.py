"""What stands in the way of runs, found before they start."""

from __future__ import annotations

from dataclasses import dataclass

from cryostat.core.errors import CryostatError


@dataclass(frozen=True)
class Obstacle:
    """What must be done before runs can start.

    Attributes:
        problem: What is wrong, as a clause.
        remedy: What to do, as an imperative sentence without a full stop.
    """

    problem: str
    remedy: str

    @classmethod
    def of(cls, error: CryostatError) -> Obstacle:
        """The error that the run would end with."""
        place = f"{error.where}: " if error.where else ""
        return cls(f"{place}{error.problem}", error.remedy)
