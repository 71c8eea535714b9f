"""A small cohort of two modalities, and small methods to judge on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

from cryostat.cases.evidence import Evidence, Vectors
from cryostat.cases.labels import Targets, Task
from cryostat.cases.methods.base import Fitted, Lesson, Method, Offer, Setting, number


class _Means(Fitted):
    def __init__(self, lesson: Lesson, sharpness: Tensor) -> None:
        share = lesson.targets() * lesson.weight[..., None]
        self.prior, self.sharpness = lesson.prior().log(), sharpness
        self.means = []
        for m, block in enumerate(lesson.offer.blocks):
            weight = share * lesson.offer.present[..., m, None]
            self.means.append(weight.mT @ block / weight.sum(1)[..., None].clamp(min=1e-9))

    def log_probabilities(self, offer: Offer) -> Tensor:
        score = self.prior[:, None].expand(*offer.present.shape[:2], -1)
        for m, (block, mean) in enumerate(zip(offer.blocks, self.means, strict=True)):
            distance = torch.cdist(block, mean) ** 2 / block.shape[-1]
            score = score - self.sharpness[:, None, None] * distance * offer.present[..., m, None]
        return score.log_softmax(-1)

    def facts(self) -> Mapping[str, Any]:
        return {"sharpness": self.sharpness}


class Means(Method):
    """Nearest class mean, each modality on its own."""

    name, about = "means", "For tests."
    settings: ClassVar = {"sharpness": Setting(1.0, "How sure it is.", choices=(0.01, 1.0, 100.0))}

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        return _Means(lesson, number(lesson, choice, "sharpness"))


class _Branches(Fitted):
    def log_probabilities(self, offer: Offer) -> Tensor:
        residual = offer.present if offer.residual_present is None else offer.residual_present
        expert = (torch.cat(offer.blocks, -1)[..., [0, 2]] * offer.present).sum(-1)
        other = (torch.cat(offer.blocks, -1)[..., [1, 3]] * residual).sum(-1)
        return torch.stack([expert, other], -1).log_softmax(-1)


class Branches(Method):
    """The first class by what experts see (column 0 of each modality), the second by what the residual sees."""

    name, about, has_residual = "branches", "For tests.", True

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        return _Branches()


class _Drawn(Fitted):
    def __init__(self, seeds: Tensor) -> None:
        self.seeds = seeds

    def log_probabilities(self, offer: Offer) -> Tensor:
        score = torch.stack([self.seeds.float(), torch.zeros(len(self.seeds))], -1)
        return score[:, None].expand(*offer.present.shape[:2], -1).log_softmax(-1)


class Drawn(Method):
    """Its answer is its seed."""

    name, about, chance = "drawn", "For tests.", True

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        return _Drawn(lesson.seeds)


class Broken(Method):
    """Gives no probabilities."""

    name, about = "broken", "For tests."

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        fitted = _Drawn(lesson.seeds)
        fitted.seeds = lesson.seeds * torch.nan
        return fitted


def flat_targets(y: Sequence[int], classes: int, allowed: Mapping[int, Sequence[int]] | None = None) -> Targets:
    """Targets of a flat task; −1 is an unlabelled patient, `allowed` gives the classes of others without one class."""
    y = np.asarray(y, np.int64)
    known = np.where(y[:, None] < 0, True, y[:, None] == np.arange(classes))
    for row, some in (allowed or {}).items():
        known[row], y[row] = np.isin(np.arange(classes), some), -1
    names = tuple("abcdefgh"[:classes])
    task = Task("typing", "type", names, leaves=names, leaf_class=tuple(range(classes)))
    return Targets(task, known, known.copy(), y, tuple("" if c >= 0 else "unknown" for c in y))


def two_modalities(
    y: Sequence[int], *, width: int = 4, apart: float = 2.0, missing: float = 0.3, seed: int = 0
) -> Evidence:
    """Vectors whose first column tells class 1 from the others, each missing in a share of the patients."""
    random = np.random.default_rng(seed)
    modalities = {}
    for name in ("mri", "wsi"):
        values = random.normal(size=(len(y), width)).astype(np.float32)
        values[:, 0] += apart * (np.asarray(y) == 1)
        present = random.random(len(y)) >= missing
        modalities[name] = Vectors(np.where(present[:, None], values, np.nan).astype(np.float32), present)
    return Evidence(tuple(f"p{i:03d}" for i in range(len(y))), modalities)


@pytest.fixture(scope="session")
def small() -> SimpleNamespace:
    """Small methods, targets and evidence."""
    makers: dict[str, Callable[..., Any]] = {"targets": flat_targets, "evidence": two_modalities}
    return SimpleNamespace(Means=Means, Branches=Branches, Drawn=Drawn, Broken=Broken, **makers)
