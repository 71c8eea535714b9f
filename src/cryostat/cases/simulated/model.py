"""The model that patients are drawn from, and the exact posterior of each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax, logsumexp

from cryostat.cases.labels import Task, targets
from cryostat.cases.simulated.settings import Settings
from cryostat.cases.simulated.states import state_table, states
from cryostat.core.errors import SettingError

Floats = NDArray[np.float64]

AXES = 10
"""Axes of the signal: one for each of eight level-1 classes, then grade, then sub-type."""


@dataclass(frozen=True)
class Sense:
    """How one modality shows a tumour.

    Attributes:
        name: Of the modality.
        width: d, numbers in the embedding.
        shows: How far each of the eight level-1 classes lies out on its own axis, in deviations of the noise.
        grade: Step along the axis of grade for each grade.
        subtype: Step along the axis of sub-types from one to the next of the same class.
    """

    name: str
    width: int
    shows: tuple[float, ...]
    grade: float
    subtype: float


SENSES = (
    Sense("mri", 96, (1.1, 1.0, 0.8, 1.5, 1.3, 1.1, 0.9, 0.8), grade=0.35, subtype=0.2),
    Sense("wsi", 128, (1.3, 1.3, 1.6, 1.8, 1.2, 1.5, 1.2, 0.9), grade=0.45, subtype=0.25),
    Sense("report", 64, (1.8, 1.8, 1.8, 1.9, 1.8, 1.8, 1.6, 1.3), grade=0.55, subtype=0.3),
)
"""MRI tells least, the slide more, the report most, as in practice."""


@dataclass(frozen=True)
class Model:
    """The generative model of the package's docstring.

    Attributes:
        settings: What it was made with.
        senses: Its modalities.
    """

    settings: Settings = field(default_factory=Settings)
    senses: tuple[Sense, ...] = SENSES

    @property
    def modalities(self) -> tuple[str, ...]:
        """Names of the modalities, in order."""
        return tuple(sense.name for sense in self.senses)

    @property
    def subsets(self) -> tuple[tuple[str, ...], ...]:
        """Every subset of the modalities, the empty one first."""
        return tuple(s for size in range(len(self.senses) + 1) for s in combinations(self.modalities, size))

    @cached_property
    def prior(self) -> Floats:
        """(S,) share of each state among CoRe-BT's 310 patients."""
        counts = np.array([state.count for state in states()], float)
        return np.asarray(counts / counts.sum())

    @cached_property
    def means(self) -> Floats:
        """(M, S, axes) mean of the signal of each state in each modality."""
        means = np.zeros((len(self.senses), len(states()), AXES))
        for m, sense in enumerate(self.senses):
            for s, state in enumerate(states()):
                means[m, s, state.group] = sense.shows[state.group]
                means[m, s, -2] = sense.grade * (float(state.grade) - 2.5) if state.grade else 0.0
                means[m, s, -1] = sense.subtype * state.sibling
        return means

    @cached_property
    def noise(self) -> Floats:
        """(M, M) covariance of the noise of the modalities along any one axis; axes are independent."""
        rho, count = self.settings.correlation, len(self.senses)
        return np.asarray((1 - rho) * np.eye(count) + rho)

    @cached_property
    def frames(self) -> tuple[tuple[Floats, Floats, Floats], ...]:
        """For each modality its orthogonal matrix (d, d), deviations of the nuisance (d − axes), and offset (d)."""
        rng = np.random.default_rng([self.settings.seed, 1])
        return tuple(self._frame(rng, sense.width) for sense in self.senses)

    def _frame(self, rng: np.random.Generator, width: int) -> tuple[Floats, Floats, Floats]:
        turn, upper = np.linalg.qr(rng.standard_normal((width, width)))
        deviations = self.settings.nuisance * np.linspace(1.0, 0.2, width - AXES)
        return turn * np.sign(np.diag(upper)), deviations, rng.standard_normal(width)

    def index(self, subset: Sequence[str]) -> list[int]:
        """Places of some modalities, in the model's order.

        Raises:
            SettingError: There is no such modality.
        """
        for name in subset:
            if name not in self.modalities:
                raise SettingError(
                    f"there is no modality {name!r} in the simulation",
                    remedy=f"Choose among {', '.join(self.modalities)}",
                )
        return [m for m, name in enumerate(self.modalities) if name in subset]

    def signals(self, rng: np.random.Generator, state: NDArray[np.int64]) -> Floats:
        """(n, M, axes) signals drawn for patients of given states."""
        white = rng.standard_normal((len(state), len(self.senses), AXES))
        coloured = np.einsum("pm,nma->npa", np.linalg.cholesky(self.noise), white)
        return np.asarray(self.means[:, state].transpose(1, 0, 2) + coloured)

    def embed(self, rng: np.random.Generator, signals: Floats) -> dict[str, Floats]:
        """For each modality (n, d) embeddings: signal and nuisance, turned and shifted."""
        embeddings = {}
        for m, (sense, (turn, deviations, offset)) in enumerate(zip(self.senses, self.frames, strict=True)):
            nuisance = rng.standard_normal((len(signals), len(deviations))) * deviations
            embeddings[sense.name] = np.concatenate([signals[:, m], nuisance], 1) @ turn.T + offset
        return embeddings

    def recover(self, name: str, embeddings: NDArray[Any]) -> Floats:
        """(n, axes) signal in embeddings (n, d) of a modality."""
        turn, _, offset = self.frames[self.index([name])[0]]
        return np.asarray((np.asarray(embeddings, float) - offset) @ turn[:, :AXES])

    def log_states(self, signals: Floats, subset: Sequence[str]) -> Floats:
        """(n, S) log-posterior of each state from signals (n, M, axes) of a subset; those outside are not looked at."""
        chosen = self.index(subset)
        precision = np.linalg.inv(self.noise[np.ix_(chosen, chosen)])
        means = self.means[chosen]
        weighted = np.einsum("pm,msa->psa", precision, means)
        energy = np.einsum("psa,psa->s", weighted, means)
        flat = weighted.transpose(1, 0, 2).reshape(len(self.prior), -1)
        score = signals[:, chosen].reshape(len(signals), -1) @ flat.T
        return np.asarray(log_softmax(score - energy / 2 + np.log(self.prior), axis=1))

    def log_classes(self, log_states: Floats, task: Task) -> Floats:
        """(n, C) log-posterior of the classes of a task, given that the patient is of one of them."""
        of_state = self.state_classes(task)
        by_class = [logsumexp(log_states[:, of_state == c], axis=1) for c in range(len(task.classes))]
        return np.asarray(log_softmax(np.stack(by_class, 1), axis=1))

    @staticmethod
    def state_classes(task: Task) -> NDArray[np.int64]:
        """(S,) class of each state in a task on `subtype` or `who_grade`, −1 where it has none."""
        return targets(task, state_table(), "the simulated cohort").y

    def posterior(self, values: Mapping[str, NDArray[Any]], subset: Sequence[str], task: Task) -> Floats:
        """Exact probabilities of the classes of a task.

        Args:
            values: For each modality of the subset (n, d) embeddings; slides averaged.
            subset: Names of the modalities to look at; none: the prior.
            task: A task on `subtype` or `who_grade`.

        Returns:
            (n, C), given that the patient is of one of the classes.
        """
        signals = np.zeros((len(next(iter(values.values()))), len(self.senses), AXES))
        for m in self.index(subset):
            signals[:, m] = self.recover(self.modalities[m], values[self.modalities[m]])
        return np.asarray(np.exp(self.log_classes(self.log_states(signals, subset), task)))
