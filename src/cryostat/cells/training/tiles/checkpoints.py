"""Where a training left off, so that a killed run goes on with the same result."""

from __future__ import annotations

import glob
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from cryostat.cells.training.tiles.learners import Learner
from cryostat.core.files import atomic_write

_DAMAGE = (
    RuntimeError,
    OSError,
    EOFError,
    LookupError,
    ValueError,
    TypeError,
    AttributeError,
    pickle.UnpicklingError,
)
"""What reading a file that is no state of a training may end in."""


@dataclass(frozen=True)
class Checkpoint:
    """The last state of one training, in one file that is replaced at each look.

    Attributes:
        path: The file; its name holds the identity of the run, so that it never serves another.
    """

    path: Path

    def keep(self, learner: Learner) -> None:
        """Write the state of a learner."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as file:
            torch.save(learner.state(), file)

    def resume(self, learner: Learner) -> bool:
        """Put a learner where it was; False when there is nothing to go on from, or it is damaged."""
        if not self.path.exists():
            return False
        try:
            state: dict[str, Any] = torch.load(self.path, map_location="cpu", weights_only=True)
            learner.restore(state)
        except _DAMAGE:
            # Nothing is lost but time: the training starts anew.
            self.path.unlink(missing_ok=True)
            return False
        return True

    def drop(self) -> None:
        """Forget the state; the run is finished."""
        self.path.unlink(missing_ok=True)
        for half_written in self.path.parent.glob(f".{glob.escape(self.path.name[:80])}*"):
            half_written.unlink(missing_ok=True)
