"""Which tiles each step of a training sees."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.training.recipe.sampling import WeightedSampler


@dataclass(frozen=True, eq=False)
class Stream:
    """The tiles of each step, a function of the step alone, so that a resumed training sees the same.

    Tiles are drawn a window at a time. Trainings that differ in their seed only draw the same tiles in a window and
    see them in orders of their own: they can share the encoder's work without sharing their batches.

    Attributes:
        tiles: (n,) numbers of the training tiles.
        weights: (n,) chance of each to be drawn, any scale.
        batch: Tiles a step.
        window: Steps a window.
        seed: Of the order inside the windows.
        draws: Seed of what is drawn; one for all that are to share it.
    """

    tiles: NDArray[np.int64]
    weights: NDArray[np.float64]
    batch: int
    window: int
    seed: int
    draws: int = 0

    @cached_property
    def _sampler(self) -> WeightedSampler:
        return WeightedSampler(self.weights, self.draws)

    def pool(self, window: int) -> NDArray[np.int64]:
        """(window · batch,) tiles of a window, as drawn, with repetitions."""
        drawn: NDArray[np.int64] = self.tiles[self._sampler.draw(window, self.window * self.batch)]
        return drawn

    def batch_of(self, step: int) -> NDArray[np.int64]:
        """(batch,) tiles of a step, counted from 0."""
        window, place = divmod(step, self.window)
        order = np.random.default_rng((self.seed, window)).permutation(self.window * self.batch)
        return self.pool(window)[order[place * self.batch : (place + 1) * self.batch]]

    @property
    def steps_an_epoch(self) -> int:
        """Steps that draw as many tiles as there are."""
        return -(-len(self.tiles) // self.batch)
