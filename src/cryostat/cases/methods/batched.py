"""Small networks in batches: parameters with a leading dimension of F fits, each fit with random numbers of its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryostat.cases.methods.base import Lesson

Part = TypeVar("Part")
Result = TypeVar("Result")


class Chance:
    """Random numbers that depend on a fit's seed and on nothing else in its batch.

    Args:
        seeds: (F,) int.
    """

    def __init__(self, seeds: Tensor) -> None:
        self._distinct, self._place = torch.unique(seeds.cpu(), return_inverse=True)
        self._draws = 0

    def normal(self, *shape: int) -> Tensor:
        """(F, *shape) normal numbers."""
        return self._gathered([torch.randn(*shape, generator=generator) for generator in self._generators()])

    def uniform(self, *shape: int) -> Tensor:
        """(F, *shape) numbers from 0 to 1; the first rows of more rows are the same numbers."""
        return self._gathered([torch.rand(*shape, generator=generator) for generator in self._generators()])

    def _generators(self) -> list[torch.Generator]:
        # New ones for each draw, so that rows of filling in one draw do not shift the numbers of the next.
        self._draws += 1
        return [torch.Generator().manual_seed(int(seed) * 1_000_003 + self._draws) for seed in self._distinct]

    def _gathered(self, drawn: list[Tensor]) -> Tensor:
        # One draw a seed, so that a thousand fits of three seeds cost three draws; a single one needs no copy.
        return (
            drawn[0].expand(len(self._place), *drawn[0].shape) if len(drawn) == 1 else torch.stack(drawn)[self._place]
        )


class Linear(nn.Module):
    """F linear layers.

    Args:
        chance: Where the weights come from.
        inputs: Channels in.
        outputs: Channels out.
        zero: Start at 0 (both weight and bias).
    """

    def __init__(self, chance: Chance, inputs: int, outputs: int, *, zero: bool = False) -> None:
        super().__init__()
        weight = chance.normal(inputs, outputs) / math.sqrt(max(inputs, 1))
        self.weight = nn.Parameter(torch.zeros_like(weight) if zero else weight.clone())
        self.bias = nn.Parameter(torch.zeros(len(weight), 1, outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(F, n, inputs) to (F, n, outputs)."""
        return torch.baddbmm(self.bias, x, self.weight)


class Perceptron(nn.Module):
    """F networks of one hidden layer with GELU and dropout.

    Args:
        chance: Where weights and dropout come from.
        inputs: Channels in.
        hidden: Hidden units.
        outputs: Channels out.
        dropout: Share of hidden units dropped in training.
        zero: The last layer starts at 0, so that the network says 0 whatever it sees.
    """

    def __init__(
        self, chance: Chance, inputs: int, hidden: int, outputs: int, *, dropout: float = 0.0, zero: bool = False
    ) -> None:
        super().__init__()
        self.first, self.last = Linear(chance, inputs, hidden), Linear(chance, hidden, outputs, zero=zero)
        self._dropout, self._chance = dropout, chance

    def forward(self, x: Tensor) -> Tensor:
        """(F, n, inputs) to (F, n, outputs)."""
        hidden = functional.gelu(self.first(x))
        if self.training and self._dropout > 0:
            kept = self._chance.uniform(*hidden.shape[1:]) >= self._dropout
            hidden = hidden * kept / (1 - self._dropout)
        result: Tensor = self.last(hidden)
        return result


def partial_loss(log_probabilities: Tensor, allowed: Tensor) -> Tensor:
    """(F, n): −log of the probability that is allowed; cross-entropy where one class is, 0 where none or all are."""
    hidden = torch.where(allowed, log_probabilities, -torch.inf)
    known = allowed.any(-1) & ~allowed.all(-1)
    safe = torch.where(known[..., None], hidden, log_probabilities)
    return -torch.where(known, torch.logsumexp(safe, -1), 0.0)


def weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    """(F,): mean of (F, n) values under weights, 0 where all weigh nothing."""
    return (values * weight).sum(-1) / weight.sum(-1).clamp(min=1e-12)


def balanced_weight(lesson: Lesson) -> Tensor:
    """(F, n): the lesson's weights, scaled so that every class that occurs weighs the same and the sum stays."""
    targets = lesson.targets() * lesson.weight[..., None]
    mass = targets.sum(1)
    occurring = (mass > 0).sum(-1, keepdim=True).clamp(min=1)
    factor = torch.where(mass > 0, mass.sum(-1, keepdim=True) / (occurring * mass.clamp(min=1e-12)), 0.0)
    return (targets * factor[:, None]).sum(-1)


def train(
    module: nn.Module,
    loss: Callable[[], Tensor],
    *,
    steps: int,
    rate: float,
    decay: Tensor,
    undecayed: Sequence[str] = ("bias",),
) -> None:
    """Minimise F independent losses with Adam and decoupled weight decay, on all patients at each step.

    Args:
        module: Its parameters have F as first dimension.
        loss: (F,) losses of the moment; called once a step, in train mode.
        steps: Steps, along a cosine that ends at 0.
        rate: Learning rate at the start.
        decay: (F,) weight decay of each fit.
        undecayed: Parameters whose name ends in one of these are not decayed.
    """
    named: Mapping[str, nn.Parameter] = {n: p for n, p in module.named_parameters() if p.requires_grad}
    shrunk = [p for name, p in named.items() if not name.endswith(tuple(undecayed))]
    optimiser = torch.optim.Adam(named.values(), lr=rate, betas=(0.9, 0.99))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    module.train()
    for _ in range(steps):
        optimiser.zero_grad(set_to_none=True)
        loss().sum().backward()
        now = schedule.get_last_lr()[0]
        with torch.no_grad():
            for parameter in shrunk:
                parameter.mul_((1 - now * decay).view(-1, *[1] * (parameter.dim() - 1)))
        optimiser.step()
        schedule.step()
    module.eval()
    for parameter in module.parameters():
        parameter.requires_grad_(False)


def on_threads(function: Callable[[Part], Result], parts: Iterable[Part]) -> list[Result]:
    """Results in the order of the parts, which share torch's threads: a part a thread, none waiting for another.

    Small operations gain little from a second thread each, and lose much where the machine is busy; whole parts do
    not. What comes out does not depend on the number of threads.
    """
    threads = torch.get_num_threads()
    with ThreadPoolExecutor(threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        return list(pool.map(function, parts))
