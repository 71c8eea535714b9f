"""What all ways of training share: outputs and classes, schedules, weights, stopping."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryostat.cells.field import CellClass

IGNORED = -100
"""Target of pixels and nuclei that no loss looks at."""


@dataclass(frozen=True)
class Outputs:
    """Which output of a head stands for which class.

    Attributes:
        ids: (K,) class id of each output; begins with 0 when there is an output for background.
    """

    ids: NDArray[np.int64]

    @classmethod
    def of(cls, classes: Sequence[CellClass], *, background: bool) -> Outputs:
        """The outputs for a dataset's classes."""
        return cls(np.array([0] * background + [c.id for c in classes], np.int64))

    def __len__(self) -> int:
        return len(self.ids)

    def targets(self, labels: NDArray[Any]) -> NDArray[np.int64]:
        """Class ids to output numbers; background and unclassified become `IGNORED`."""
        lookup = np.full(int(max(self.ids.max(), labels.max(initial=0))) + 1, IGNORED, np.int64)
        lookup[self.ids] = np.arange(len(self.ids))
        lookup[0] = IGNORED
        targets: NDArray[np.int64] = lookup[labels]
        return targets


@dataclass
class TrainingLog:
    """What happened during a fit: one entry a look at the validation part."""

    looks: list[dict[str, float]] = field(default_factory=list)
    best_score: float = -math.inf
    best_at: int = 0
    steps: int = 0
    stopped_early: bool = False
    optimised: list[str] = field(default_factory=list)

    def summary(self) -> dict[str, Any]:
        """Plain data for the run record."""
        return {
            "steps": self.steps,
            "best_valid_macro_f1": self.best_score,
            "best_at": self.best_at,
            "stopped_early": self.stopped_early,
            "optimised_parameters": self.optimised,
            "looks": self.looks,
        }


class BestKeeper:
    """Keeps the weights of the best look; the earlier of two equals.

    Args:
        model: The model whose weights are kept.
        patience: Looks without a better score before `look` says stop.
        last_of_equals: Keep the later of two equals instead.
    """

    def __init__(self, model: nn.Module, patience: int, *, last_of_equals: bool = False) -> None:
        self.model, self.patience, self.last_of_equals = model, patience, last_of_equals
        self.log = TrainingLog()
        self._best = copy.deepcopy(model.state_dict())
        self._waited = 0

    def look(self, step: int, score: float, loss: float) -> bool:
        """Note a validation score; True when training should stop."""
        self.log.looks.append({"step": step, "loss": loss, "valid_macro_f1": score})
        self.log.steps = step
        better = score > self.log.best_score
        if better or (self.last_of_equals and score == self.log.best_score):
            self.log.best_score, self.log.best_at, self._waited = score, step, 0
            self._best = copy.deepcopy(self.model.state_dict())
        else:
            self._waited += 1
        self.log.stopped_early = self._waited >= self.patience
        return self.log.stopped_early

    def restore(self) -> None:
        """Put the best weights back into the model."""
        self.model.load_state_dict(self._best)

    def state(self) -> dict[str, Any]:
        """The log and the best weights, as plain data and tensors."""
        return {"log": asdict(self.log), "best": self._best, "waited": self._waited}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state`."""
        self.log = TrainingLog(**state["log"])
        self._best, self._waited = dict(state["best"]), int(state["waited"])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's generators seeded inside, and as before outside."""
    # Named, so that a run on the CPU wakes no GPU, and several GPUs are no reason for a warning.
    gpus = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    with torch.random.fork_rng(devices=list(gpus)):
        torch.manual_seed(seed)
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """Torch on one CPU thread inside: steps this small wait longer for a second thread than it saves them."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def learning_rate(step: int, steps: int, warmup: int) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine down to 1 %."""
    if step < warmup:
        return (step + 1) / warmup
    done = (step - warmup) / max(1, steps - warmup)
    return 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def class_weights(counts: NDArray[Any], balance: float) -> Tensor:
    """(K,) loss weights: frequency to the power of −balance, mean 1 over classes that occur, 0 for the others."""
    seen = counts > 0
    weights = np.zeros(len(counts), np.float64)
    weights[seen] = counts[seen].astype(np.float64) ** -balance
    return torch.tensor(weights * seen.sum() / max(weights.sum(), 1e-300), dtype=torch.float32)


def adamw(model: nn.Module, lr: float, weight_decay: float, steps: int) -> tuple[torch.optim.Optimizer, Any]:
    """AdamW and its per-step schedule; warm-up takes 5 % of the steps. Biases are not decayed."""
    groups = [
        {"params": [p for p in model.parameters() if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in model.parameters() if p.ndim <= 1], "weight_decay": 0.0},
    ]
    optimiser = torch.optim.AdamW(groups, lr=lr)
    warmup = max(1, steps // 20)
    return optimiser, torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: learning_rate(step, steps, warmup))


@dataclass(frozen=True)
class Standardiser:
    """Centres and scales features; constant features become 0.

    Attributes:
        mean: (C,) float32.
        scale: (C,) float32, one over the standard deviation (0 for constants).
    """

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]

    @classmethod
    def fit(cls, rows: Iterable[NDArray[Any]]) -> Standardiser:
        """Mean and deviation over the rows of several (n, C) blocks, in double precision."""
        count, total, squares = 0, 0.0, 0.0
        for block in rows:
            wide = block.astype(np.float64)
            count, total, squares = count + len(wide), total + wide.sum(0), squares + np.square(wide).sum(0)
        mean = np.asarray(total / max(count, 1))
        spread = np.sqrt(np.maximum(np.asarray(squares) / max(count, 1) - mean**2, 0))
        usable = spread > 1e-6 * np.maximum(np.abs(mean), 1e-6)
        scale = np.where(usable, 1 / np.where(usable, spread, 1), 0)
        return cls(mean.astype(np.float32), scale.astype(np.float32))

    @classmethod
    def none(cls, width: int) -> Standardiser:
        """Leaves features as they are."""
        return cls(np.zeros(width, np.float32), np.ones(width, np.float32))

    def __call__(self, features: NDArray[Any]) -> NDArray[np.float32]:
        """Standardise (…, C)."""
        scaled: NDArray[np.float32] = (features.astype(np.float32) - self.mean) * self.scale
        return scaled
