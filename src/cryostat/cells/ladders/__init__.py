"""Perturbation ladders: what a fitted head still says of its test part when the pixels get worse, step by step."""

from __future__ import annotations

from cryostat.cells.ladders.climb import Climbed, climb
from cryostat.cells.ladders.perturbations import PERTURBATIONS, Perturbation, find_perturbation
from cryostat.cells.ladders.tiles import PerturbedTiles

__all__ = ["PERTURBATIONS", "Climbed", "Perturbation", "PerturbedTiles", "climb", "find_perturbation"]
