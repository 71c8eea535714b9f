"""Learning rates of the recipe: a linear warm-up, then a cosine."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from cryostat.core.errors import SettingError


@dataclass(frozen=True)
class WarmupCosine:
    """Learning rate by step.

    Attributes:
        peak: Learning rate at the end of the warm-up.
        warmup: Steps of the linear rise; 0 for none.
        period: Steps from the peak down to `lowest` (T_max of a cosine).
        lowest: Learning rate at the bottom (eta_min).
        start: Share of the peak at step 0.
        rises_again: The published quirk: training longer than warm-up and period climbs the cosine's other side.
            Without it the rate stays at `lowest`.
    """

    peak: float = 3e-5
    warmup: int = 1000
    period: int = 10_000
    lowest: float = 1e-7
    start: float = 0.1
    rises_again: bool = False

    def __post_init__(self) -> None:
        if self.warmup < 0 or self.period < 1 or not 0 <= self.lowest <= self.peak or self.peak <= 0:
            raise SettingError(
                f"no schedule has warm-up {self.warmup}, period {self.period}, peak {self.peak}, lowest {self.lowest}",
                remedy="Give warm-up ≥ 0, period ≥ 1 and 0 ≤ lowest ≤ peak",
            )

    def __call__(self, step: int) -> float:
        """Learning rate used by a step, counted from 0."""
        if step < self.warmup:
            return self.peak * (self.start + (1 - self.start) * step / self.warmup)
        since = step - self.warmup
        done = since / self.period if self.rises_again else min(1.0, since / self.period)
        return self.lowest + (self.peak - self.lowest) * (1 + math.cos(math.pi * done)) / 2

    def attach(self, optimiser: Optimizer) -> LambdaLR:
        """A scheduler, stepped once a training step, for an optimiser whose learning rate is `peak`."""
        return LambdaLR(optimiser, lambda step: self(step) / self.peak)
