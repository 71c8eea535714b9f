"""What is fitted inside the fold before any method, from training rows alone: columns, components, words, attention."""

from __future__ import annotations

from cryostat.cases.evaluation.preparation.preparing import Preparation, Prepared

__all__ = ["Preparation", "Prepared"]
