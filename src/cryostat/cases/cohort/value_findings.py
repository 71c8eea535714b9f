"""What about clinical columns may mislead: labels under another name, and words that nobody else has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.cohort.cells import BOUND
from cryostat.cases.cohort.cohort import Cohort
from cryostat.cases.cohort.report import Finding
from cryostat.cases.cohort.values import ValueColumn, any_known
from cryostat.cases.evaluation.splits import TRAINING
from cryostat.cases.labels import Targets
from cryostat.cases.labels.names import fold

TELLS = 0.99
"""Share of the patients whose class a column may tell by itself before it is taken for the label."""
FEWEST = 10
"""Patients below which nothing is said of what tells what."""
SHOWN = 6
HALF = 0.5
"""Share of the patients of a modality in which a column must be known, as the preparation of a fold has it."""
MOST_VALUES = 32
"""Different numbers up to which each is taken for a word."""

Named = Sequence[tuple[str, ValueColumn]]


def value_findings(cohort: Cohort, columns: Named, asked: Sequence[Targets]) -> Iterator[Finding]:
    """What clinical columns show.

    Args:
        cohort: Whose.
        columns: Modality and column.
        asked: The labels of each task.
    """
    for modality, column in columns:
        yield from _leaks(column, modality, asked)
        yield from _rare(cohort, column, modality)
        yield from _written(column, modality)
    yield from _seldom(columns)


def _leaks(column: ValueColumn, modality: str, asked: Sequence[Targets]) -> Iterator[Finding]:
    remedy = "Take it out of values for this task, unless it is known before the class is"
    for found in asked:
        rows = np.flatnonzero(found.certain & column.known)
        of = f"of {len(rows)} patients in {found.task.name}"
        if (told := told_by(column, found.y, rows)) is not None and told >= TELLS * len(rows):
            yield Finding("warning", f"{modality} {column.name} alone tells the class of {told} {of}", "", remedy)
            continue
        for number, name in enumerate(found.task.classes):
            told = told_by(column, (found.y == number).astype(np.int64), rows)
            if told is not None and told >= TELLS * len(rows):
                what = f"{modality} {column.name} alone tells of {told} {of} whether they are {name!r}"
                yield Finding("warning", what, "", remedy)


def told_by(column: ValueColumn, y: NDArray[np.int64], rows: NDArray[np.intp]) -> int | None:
    """Of how many patients the class can be told by the others with the same word, or the nearest number.

    Args:
        column: Of n patients.
        y: (n,) classes.
        rows: Patients of whom both are known.

    Returns:
        How many, or None where nothing can be said: there are too few, or nearly all are of one class anyway.
    """
    classes = y[rows]
    if len(rows) < FEWEST or np.bincount(classes).max() >= TELLS * len(rows):
        return None
    if column.codes is not None:
        return _by_others(column.codes[rows], classes)
    numbers = column.matrix()[rows, 0]
    different, place = np.unique(numbers, return_inverse=True)
    return _by_others(place, classes) if len(different) <= MOST_VALUES else _by_neighbours(numbers, classes)


def _by_others(codes: NDArray[np.intp], classes: NDArray[np.int64]) -> int:
    """Patients whose class is that of most others with the same word."""
    table = np.zeros((codes.max() + 1, classes.max() + 1), int)
    np.add.at(table, (codes, classes), 1)
    others = table[:, :, None] - np.eye(table.shape[1], dtype=int)
    own = np.diagonal(others, axis1=1, axis2=2)
    # Of two classes alike none is told.
    rivals = np.where(np.eye(table.shape[1], dtype=bool), -1, others).max(1, initial=0)
    return int(table[own > rivals].sum())


def _by_neighbours(numbers: NDArray[np.float32], classes: NDArray[np.int64]) -> int:
    """Patients whose class is that of the one with the nearest number; of two as near, both."""
    order = np.argsort(numbers, kind="stable")
    gap, same = np.diff(numbers[order]), np.diff(classes[order]) == 0
    before, after = np.r_[np.inf, gap], np.r_[gap, np.inf]
    with_before, with_after = np.r_[False, same], np.r_[same, False]
    return int((np.where(before <= after, with_before, True) & np.where(after <= before, with_after, True)).sum())


def _rare(cohort: Cohort, column: ValueColumn, modality: str) -> Iterator[Finding]:
    """Words that are unknown wherever their patients are tested."""
    if column.codes is None:
        return
    counts = np.bincount(column.codes[column.codes >= 0], minlength=len(column.levels))
    single = [level for level, count in zip(column.levels, counts, strict=True) if count == 1]
    if single:
        what = f"{modality} {column.name}: words of one patient alone, who is tested as one of no word"
        yield Finding("note", what, _some(single), "Write them as a word that others have, where they mean the same")
    if cohort.split:
        train = np.array([fold(value) in TRAINING for value in cohort.table[cohort.split]])
        seen = set(column.codes[train].tolist())
        unseen = [level for code, level in enumerate(column.levels) if code not in seen]
        if train.any() and unseen:
            what = f"{modality} {column.name}: words that nobody in training has, which say nothing in the test"
            yield Finding("note", what, _some(unseen))


def _written(column: ValueColumn, modality: str) -> Iterator[Finding]:
    for level, forms in column.spellings.items():
        yield Finding("note", f"{modality} {column.name}: {level!r} is written in {len(forms)} ways", _some(forms))
    if bounds := column.read.get(BOUND, 0):
        what = f"{modality} {column.name}: bounds, as >89, are taken as the number itself in {bounds} cells"
        yield Finding("note", what)


def _seldom(columns: Named) -> Iterator[Finding]:
    """Columns that are known too seldom to be used by default."""
    for modality in dict.fromkeys(name for name, _ in columns):
        mine = [column for name, column in columns if name == modality]
        have = int(any_known(mine).sum())
        seldom = [f"{column.name} ({column.known.sum()})" for column in mine if column.known.sum() < HALF * have]
        if seldom:
            what = f"{modality}: known of less than half of the {have} patients who have any of it, and so left out"
            yield Finding("warning", what, _some(seldom), "Make it a modality of its own, which may be missing")


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
