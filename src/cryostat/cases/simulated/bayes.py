"""The best that any method can reach on each subset of the modalities, by Monte Carlo on the known posterior.

With p(x) the posterior of the classes and π their prior, no decision has a higher accuracy than E[max p], a higher
balanced accuracy than E[max p/π] / C, and no probabilities a lower log-loss than E[−Σ p log p]. The expectations are
over patients of the model that are of a class of the task. Draws are stratified by state and the same for all subsets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from scipy.special import entr

from cryostat.cases.labels import Task
from cryostat.cases.simulated.model import Floats, Model

Moments = dict[tuple[str, tuple[str, ...]], Floats]
"""For each task and subset (S, 2, 3): what is expected of each state's patients, and the variance of that mean."""


@dataclass(frozen=True)
class Figure:
    """An expectation and its Monte Carlo standard error."""

    value: float
    error: float


@dataclass(frozen=True)
class BayesRow:
    """The best possible on one subset.

    Attributes:
        offered: Modalities that are looked at.
        accuracy: Highest accuracy.
        balanced_accuracy: Highest balanced accuracy, reached by deciding for the largest p/π.
        log_loss: Lowest log-loss, in nats.
    """

    offered: tuple[str, ...]
    accuracy: Figure
    balanced_accuracy: Figure
    log_loss: Figure

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self) | {"offered": list(self.offered)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> BayesRow:
        """From what `to_dict` made."""
        names = ("accuracy", "balanced_accuracy", "log_loss")
        return cls(tuple(facts["offered"]), *(Figure(**facts[name]) for name in names))


def bayes_table(model: Model, task: Task, *, draws: int = 100_000) -> tuple[BayesRow, ...]:
    """The best possible in one task on every subset of the modalities: see `bayes_tables`."""
    return bayes_tables(model, {task.name: task}, draws=draws)[task.name]


def bayes_tables(model: Model, tasks: Mapping[str, Task], *, draws: int = 100_000) -> dict[str, tuple[BayesRow, ...]]:
    """The best possible in several tasks on every subset of the modalities.

    Args:
        model: The model.
        tasks: Tasks on `subtype` or `who_grade`.
        draws: Patients drawn in all, the same number of each state; errors fall with its square root.

    Returns:
        For each task a row for each of `model.subsets`.
    """
    asked = {name: _Question.of(model, task) for name, task in tasks.items()}
    moments = _moments(model, asked, max(2, draws // len(model.prior)))
    return {
        name: tuple(_row(subset, question.weight, moments[name, subset]) for subset in model.subsets)
        for name, question in asked.items()
    }


@dataclass(frozen=True, eq=False)
class _Question:
    """A task on the states: (S, C) which are of which class, (S,) weight of each, (C,) prior of the classes."""

    member: Floats
    weight: Floats
    prior: Floats

    @classmethod
    def of(cls, model: Model, task: Task) -> _Question:
        member = (model.state_classes(task)[:, None] == np.arange(len(task.classes))).astype(float)
        weight = model.prior * member.sum(1)
        weight /= weight.sum()
        return cls(member, weight, weight @ member)


def _moments(model: Model, asked: Mapping[str, _Question], each: int) -> Moments:
    rng = np.random.default_rng([model.settings.seed, 9])
    found: Moments = {(name, subset): np.zeros((len(model.prior), 2, 3)) for name in asked for subset in model.subsets}
    for state in range(len(model.prior)):
        signals = model.signals(rng, np.full(each, state))
        concerned = {name: question for name, question in asked.items() if question.weight[state] > 0}
        for subset in model.subsets if concerned else ():
            states = np.exp(model.log_states(signals, subset))
            for name, question in concerned.items():
                found[name, subset][state] = _of_state(states, question)
    return found


def _of_state(states: Floats, question: _Question) -> Floats:
    p = states @ question.member
    p /= np.maximum(p.sum(1, keepdims=True), np.finfo(float).tiny)
    balanced = (p / question.prior).max(1) / len(question.prior)
    looked_at = np.stack([p.max(1), balanced, entr(p).sum(1)], 1)
    return np.stack([looked_at.mean(0), looked_at.var(0, ddof=1) / len(p)])


def _row(subset: tuple[str, ...], weight: Floats, moments: Floats) -> BayesRow:
    means, variances = moments.transpose(1, 0, 2)
    values, errors = weight @ means, np.sqrt(weight**2 @ variances)
    return BayesRow(subset, *(Figure(float(v), float(e)) for v, e in zip(values, errors, strict=True)))
