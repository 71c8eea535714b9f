"""What a reader must know before believing a number of a predictions table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from cryostat.results.cases.panel import ArmKey, Panel

FEW_PATIENTS = 5
"""A class with fewer patients makes every macro mean a matter of luck."""


@dataclass(frozen=True)
class Flag:
    """A warning.

    Attributes:
        kind: `identical-arms`, `few-patients` or `uneven-replicates`.
        about: What was found, in a sentence.
    """

    kind: str
    about: str


def find_flags(panel: Panel) -> tuple[Flag, ...]:
    """All warnings of a predictions table."""
    return (*_identical_arms(panel), *_few_patients(panel), *_uneven(panel))


def _identical_arms(panel: Panel) -> Iterator[Flag]:
    """Arms that differ in one thing, and name the same classes for all patients: that thing had no effect."""
    for one, two in combinations(panel.arms, 2):
        if not _comparable(one, two, panel.everything):
            continue
        first, second = panel.arms[one], panel.arms[two]
        if not np.array_equal(first.predicted, second.predicted):
            continue
        same_p = first.p is not None and second.p is not None and np.array_equal(first.p, second.p, equal_nan=True)
        depth = "the same probabilities" if same_p else "the same classes"
        yield Flag("identical-arms", f"{_shown(one)} and {_shown(two)} give every patient {depth}: degenerate ablation")


def _comparable(one: ArmKey, two: ArmKey, everything: str) -> bool:
    """Whether exactly one thing differs; with everything offered no ablation takes anything away."""
    if one[1] == two[1]:
        return one[1] != everything
    return one[0] == two[0]


def _shown(key: ArmKey) -> str:
    return f"{key[1]} ({key[0]})"


def _few_patients(panel: Panel) -> Iterator[Flag]:
    for c, name in enumerate(panel.classes):
        counts = {
            population: int((panel.true[places] == c).sum())
            for population, places in panel.populations().items()
            if len(places)
        }
        few = [f"{population} ({count})" for population, count in counts.items() if count < FEW_PATIENTS]
        if few:
            yield Flag("few-patients", f"{name} has fewer than {FEW_PATIENTS} patients in: {', '.join(few)}")


def _uneven(panel: Panel) -> Iterator[Flag]:
    tested = panel.tested
    if not tested.all():
        counts = tested.sum(1)
        yield Flag(
            "uneven-replicates",
            f"each repeat and seed tests {counts.min()} to {counts.max()} of {tested.shape[1]} patients, not all",
        )
