"""A method judged: all splits, seeds and settings fitted in batches, every subset of the modalities predicted."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from cryostat.cases.evaluation.lessons import Fits, Lessons, folds_of_splits
from cryostat.cases.evaluation.offers import plan_arms
from cryostat.cases.evaluation.predicting import DECISIONS, Predictions
from cryostat.cases.evaluation.preparation import Preparation
from cryostat.cases.evaluation.selection import Selection, choose, settled
from cryostat.cases.evaluation.splits import Split, remarks
from cryostat.cases.evidence import Evidence
from cryostat.cases.labels import Targets
from cryostat.cases.methods.base import Fitted, Method
from cryostat.core.errors import SettingError
from cryostat.core.progress import track

MEMORY = 2**29
"""Bytes that the fits done at once are taken to need at most."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What came of it.

    Attributes:
        frame: Predictions, the table of `results.cases.predictions` without run_id, site and groups.
        facts: `remarks` on the splits; `splits`: of each its size, how evidence was prepared, settings tried and
            selected; `fits`: of each what was learnt; `seconds` by phase. Ready for JSON.
    """

    frame: pd.DataFrame
    facts: Mapping[str, Any]


def evaluate(
    evidence: Evidence,
    targets: Targets,
    splits: Sequence[Split],
    method: Method,
    *,
    choice: Mapping[str, Any] | None = None,
    select: bool = True,
    inner: int = 3,
    seeds: Sequence[int] = (0,),
    subsets: Sequence[Sequence[str]] | None = None,
    ablations: Sequence[str] = ("full",),
    preparation: Preparation | None = None,
    decision: str = "balanced",
    memory: int = MEMORY,
) -> Evaluation:
    """Fit a method on every split and predict its test patients under every subset of the modalities.

    Everything that is fitted learns from the training patients of its split alone. A patient of whom nothing is shown
    gets the training prior.

    Args:
        evidence: Of n patients.
        targets: Their labels.
        splits: Who trains and who is tested.
        method: What is judged.
        choice: Settings of the method that differ from its defaults.
        select: Settings that have choices and are left at their default are chosen by inner folds.
        inner: Inner folds, of selection and of methods that learn from what was held out.
        seeds: Seeds; of a method without chance only the first is used.
        subsets: Names of the modalities offered, one sequence a subset; None: all subsets.
        ablations: What withholding a modality means; see `offers.ABLATIONS`.
        preparation: What is fitted to each modality inside the fold.
        decision: `balanced`: the class whose probability exceeds its frequency in training most, which serves balanced
            accuracy; `argmax`: the most probable class. Probabilities are the same under both.
        memory: Bytes that the fits done at once are taken to need at most.

    Raises:
        SettingError: A setting, subset, ablation or decision is unknown, or the method cannot tell it from another.
        InputError: The method gives something that is no probability.
    """
    if decision not in DECISIONS:
        raise SettingError(f"there is no decision {decision!r}", remedy=f"Choose one of: {', '.join(DECISIONS)}")
    settings = settled(method, choice or {})
    arms = plan_arms(tuple(evidence.modalities), method, subsets, ablations)
    seeds = tuple(dict.fromkeys(seeds)) if method.chance else tuple(seeds[:1])
    folds = folds_of_splits(splits, targets, evidence.present, inner)
    lessons = Lessons(evidence, targets, preparation or Preparation(), folds)
    clock = _Clock()
    with clock.phase("selection"):
        chosen = choose(lessons, method, settings, inner=inner, seed=seeds[0], memory=memory) if select else Selection()
    predictions = Predictions(evidence, targets, splits, arms, decision)
    learnt: list[dict[str, Any]] = []
    prepared: dict[int, Any] = {}
    for batch in track(list(lessons.batches(_fits(len(splits), seeds, chosen), memory)), f"fitting {method.name}"):
        with clock.phase("preparation"):
            lesson, shown = lessons.lesson(batch), lessons.shown(batch)
            prepared |= {int(number): lessons.prepared(int(number)).facts for number in batch.fold}
        with clock.phase("fitting"):
            fitted = method.fit(lesson, settings)
        with clock.phase("prediction"), torch.no_grad():
            predictions.add(method.name, batch, lesson, fitted, shown, lessons.asked(batch)[0])
        learnt += _learnt(batch, splits, fitted)
    facts = {
        "remarks": list(remarks(splits, targets)),
        "splits": [_of_split(split, chosen.facts(s), prepared[s]) for s, split in enumerate(splits)],
        "fits": learnt,
        "seconds": clock.seconds,
    }
    return Evaluation(predictions.frame(), facts)


def _of_split(split: Split, selected: Mapping[str, Any], prepared: Mapping[str, Any]) -> Any:
    sizes = {"name": split.name, "train": len(split.train), "test": len(split.test)}
    return _plain({**sizes, **selected, "preparation": prepared})


def _fits(splits: int, seeds: Sequence[int], chosen: Selection) -> Fits:
    """A fit for each split and seed, those of one split beside each other."""
    fold = np.repeat(np.arange(splits), len(seeds))
    settings = {name: values[fold] for name, values in chosen.settings.items()}
    return Fits(fold, np.tile(np.array(seeds, np.int64), splits), settings)


def _learnt(batch: Fits, splits: Sequence[Split], fitted: Fitted) -> list[dict[str, Any]]:
    """What each fit of a batch learnt."""
    facts = dict(fitted.facts())
    return [
        {"split": splits[number].name, "seed": int(seed), **_of_fit(facts, f, len(batch))}
        for f, (number, seed) in enumerate(zip(batch.fold, batch.seeds, strict=True))
    ]


def _of_fit(value: Any, f: int, fits: int) -> Any:
    """The part of a fact that is of one fit, where it has one entry for each."""
    if isinstance(value, Mapping):
        return {str(name): _of_fit(item, f, fits) for name, item in value.items()}
    value = _plain(value)
    a_list_of_fits = isinstance(value, list) and len(value) == fits and not isinstance(value[0], str)
    return value[f] if a_list_of_fits else value


def _plain(value: Any) -> Any:
    """Ready for JSON, which has no word for what is not finite."""
    if isinstance(value, torch.Tensor | np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class _Clock:
    """Seconds spent in each phase, added up over all times it was entered."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began
