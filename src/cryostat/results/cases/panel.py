"""A predictions table as arrays: patients by replicates, for each ablation and subset offered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.core.errors import InputError, SettingError
from cryostat.results.cases.predictions import PROBABILITY, class_columns, validate
from cryostat.results.cases.sample import Sample
from cryostat.results.cases.subsets import ALL_PATIENTS, all_subsets, subset_bits, subset_members, subset_name

ArmKey = tuple[str, str]
"""Ablation and subset offered."""

FULL = "full"
"""The ablation that takes a modality away wholly."""


@dataclass(frozen=True, eq=False)
class Arm:
    """What was predicted under one ablation and offer.

    Attributes:
        predicted: (R, n) index of the predicted class, −1 where a replicate does not test the patient.
        p: (R, n, C) float32 probabilities; None where the method gives none.
    """

    predicted: NDArray[np.int16]
    p: NDArray[np.float32] | None


@dataclass(frozen=True, eq=False)
class Panel:
    """The labelled patients of a predictions table.

    Attributes:
        patients: Their n ids, ascending.
        classes: The C class names of the task.
        modalities: Names in the order of the cohort.
        replicates: (repeat, seed) of each of R replicates, ascending.
        true: (n,) index of the true class.
        have: (n,) which modalities a patient has, as bits: what it ever saw.
        arms: What was predicted, by ablation and subset offered.
        unlabelled: How many patients were passed over because their class is unknown.
    """

    patients: tuple[str, ...]
    classes: tuple[str, ...]
    modalities: tuple[str, ...]
    replicates: tuple[tuple[int, int], ...]
    true: NDArray[np.int64]
    have: NDArray[np.int64]
    arms: Mapping[ArmKey, Arm]
    unlabelled: int = 0

    @property
    def everything(self) -> str:
        """The subset of all modalities."""
        return subset_name(self.modalities)

    @cached_property
    def tested(self) -> NDArray[np.bool_]:
        """(R, n) whom each replicate tests: the same in all arms."""
        tested: NDArray[np.bool_] = next(iter(self.arms.values())).predicted >= 0
        return tested

    def populations(self) -> dict[str, NDArray[np.int64]]:
        """Everybody, and for each subset of modalities the places of the patients who have at least that."""
        found = {ALL_PATIENTS: np.arange(len(self.patients))}
        return found | {name: self.population(name) for name in all_subsets(self.modalities)[1:]}

    def population(self, name: str) -> NDArray[np.int64]:
        """Places of the patients who have at least the named modalities; `all` is everybody."""
        bits = 0 if name == ALL_PATIENTS else subset_bits(name, self.modalities, "population")
        return np.flatnonzero((self.have & bits) == bits)

    def arm(self, key: ArmKey) -> Arm:
        """An arm by ablation and offer.

        Raises:
            SettingError: The table does not have it.
        """
        if key not in self.arms:
            there = ", ".join(f"{ablation} {offered}" for ablation, offered in self.arms)
            raise SettingError(
                f"the predictions have no arm with ablation {key[0]!r} and {key[1]!r} offered",
                remedy=f"Evaluate it, or choose of: {there}",
            )
        return self.arms[key]

    def samples(self, key: ArmKey, places: NDArray[np.int64]) -> tuple[tuple[Sample, NDArray[np.int64]], ...]:
        """An arm on some patients, replicates of the same tested patients together.

        Returns:
            Samples, each with the positions of its patients in `places`; their replicates stand in the panel's order.
        """
        arm, tested = self.arm(key), self.tested[:, places]
        found = []
        for start, stop in runs_of_equal(tested):
            inside = np.flatnonzero(tested[start])
            chosen = places[inside]
            p = None if arm.p is None else arm.p[start:stop][:, chosen]
            known = p is None or not np.isnan(p).any()
            sample = Sample(
                self.true[chosen], arm.predicted[start:stop][:, chosen], p if known else None, len(self.classes)
            )
            found.append((sample, inside))
        return tuple(found)


def runs_of_equal(rows: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Start and stop of each run of equal rows."""
    start = 0
    for _, group in groupby(row.tobytes() for row in rows):
        stop = start + len(list(group))
        yield start, stop
        start = stop


def read_panel(
    frame: pd.DataFrame, classes: Sequence[str], modalities: Sequence[str], *, where: str = "predictions table"
) -> Panel:
    """Check a predictions table and lay it out.

    Args:
        frame: Predictions of one run.
        classes: The task's class names, in order.
        modalities: The cohort's modalities, in order.
        where: File, for messages.

    Raises:
        InputError: The table contradicts the contract, holds no labelled patient, or its arms test different patients.
    """
    validate(frame, classes, modalities, where=where)
    labelled = frame[frame["y_true"].notna()]
    if labelled.empty:
        raise InputError("holds no patient with a true class", where=where, remedy="Score patients that have a label")
    patient, patients = pd.factorize(labelled["patient_id"].astype(str), sort=True)
    moments = pd.MultiIndex.from_frame(labelled[["repeat", "seed"]])
    replicate, replicates = pd.factorize(moments, sort=True)
    index = pd.Index(map(str, classes))
    true, have = np.zeros(len(patients), np.int64), np.zeros(len(patients), np.int64)
    true[patient] = index.get_indexer(labelled["y_true"].astype(str))
    seen, subsets = pd.factorize(labelled["seen"])
    np.bitwise_or.at(have, patient, np.array([subset_bits(name, modalities) for name in subsets])[seen])
    panel = Panel(
        tuple(patients),
        tuple(index),
        tuple(modalities),
        tuple((int(repeat), int(seed)) for repeat, seed in replicates),
        true,
        have,
        _arms(labelled, index, patient, replicate, (len(replicates), len(patients))),
        unlabelled=frame["patient_id"].nunique() - len(patients),
    )
    _check_same_patients(panel, where)
    return panel


def _arms(
    frame: pd.DataFrame,
    classes: pd.Index,
    patient: NDArray[np.intp],
    replicate: NDArray[np.intp],
    shape: tuple[int, int],
) -> dict[ArmKey, Arm]:
    called = classes.get_indexer(frame["y_pred"].astype(str))
    has_p = bool(class_columns(frame.columns))
    p = frame[[PROBABILITY + name for name in classes]].to_numpy(np.float32) if has_p else None
    code, keys = pd.factorize(pd.MultiIndex.from_frame(frame[["ablation", "offered"]]))
    arms = {}
    for number, key in enumerate(keys):
        rows = code == number
        at = replicate[rows], patient[rows]
        predicted = np.full(shape, -1, np.int16)
        predicted[at] = called[rows]
        chances = None
        if p is not None:
            chances = np.full((*shape, len(classes)), np.nan, np.float32)
            chances[at] = p[rows]
        arms[key] = Arm(predicted, chances)
    return dict(sorted(arms.items(), key=lambda item: (item[0][0] != FULL, item[0][0], _order(item[0][1]))))


def _order(offered: str) -> tuple[int, str]:
    return len(subset_members(offered)), offered


def _check_same_patients(panel: Panel, where: str) -> None:
    first = next(iter(panel.arms))
    for key, arm in panel.arms.items():
        differ = (arm.predicted >= 0) != panel.tested
        if differ.any():
            r, i = np.argwhere(differ)[0]
            raise InputError(
                f"tests {int(differ.sum())} patients not in all arms (first: {panel.patients[i]!r} in repeat "
                f"{panel.replicates[r][0]}, seed {panel.replicates[r][1]}, with {' '.join(key)} or {' '.join(first)} "
                "missing)",
                where=where,
                remedy="Predict the same patients under every ablation and subset of modalities",
            )
