"""Tasks, and what is known of each patient in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.labels.names import suggestion
from cryostat.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from cryostat.cases.labels.hierarchy import Hierarchy
    from cryostat.cases.labels.rules import Rules


@dataclass(frozen=True)
class Draft:
    """A task that needs the table: its classes are the values found, or are counted there.

    Attributes:
        hierarchy: The labels, or None when they are the values found.
        rules: How labels become classes.
    """

    hierarchy: Hierarchy | None
    rules: Rules


@dataclass(frozen=True)
class Task:
    """What is asked of each patient.

    Attributes:
        name: What it is called.
        column: Column of the cohort's table that holds the label.
        classes: Names of the C classes, in order; empty until `resolve` has seen the table.
        ordinal: The classes are ordered from low to high.
        leaves: Names of the L finest labels; the classes themselves when the task is flat.
        leaf_class: (L) index into `classes` of each leaf, −1 for those that the task drops.
        about: A sentence on it.
        values: Each value that the column may hold, folded (`names.fold`), to the leaves it may stand for.
        unknown: Values, folded, that say nothing.
        draft: What is still to be settled by the table; None when nothing is.
    """

    name: str
    column: str
    classes: tuple[str, ...]
    ordinal: bool = False
    leaves: tuple[str, ...] = ()
    leaf_class: tuple[int, ...] = ()
    about: str = ""
    values: Mapping[str, tuple[int, ...]] = field(default_factory=dict, hash=False, repr=False)
    unknown: tuple[str, ...] = ()
    draft: Draft | None = field(default=None, hash=False, repr=False)

    @property
    def flat(self) -> bool:
        """Each leaf is a class of its own."""
        return self.leaf_class == tuple(range(len(self.classes)))

    @property
    def dropped(self) -> tuple[str, ...]:
        """Leaves that are of no class of the task."""
        return tuple(leaf for leaf, number in zip(self.leaves, self.leaf_class, strict=True) if number < 0)

    def facts(self) -> dict[str, Any]:
        """All that determines the targets, ready for an identity."""
        return {
            "column": self.column,
            "classes": list(self.classes),
            "ordinal": self.ordinal,
            "leaves": list(self.leaves),
            "leaf_class": list(self.leaf_class),
            "values": {value: list(leaves) for value, leaves in self.values.items()},
            "unknown": sorted(self.unknown),
        }


@dataclass(frozen=True, eq=False)
class Targets:
    """What is known of n patients in a task.

    Attributes:
        task: The task, with its classes settled.
        possible: (n, L) bool: leaves that the patient may be; all where nothing is known.
        allowed: (n, C) bool: classes that the patient may be; all where nothing is known, none where it is certain that
            the patient is of no class of the task.
        y: (n,) int64: the class where it is certain, else −1.
        reasons: For each patient why it has no certain class; "" where it has one.
    """

    task: Task
    possible: NDArray[np.bool_]
    allowed: NDArray[np.bool_]
    y: NDArray[np.int64]
    reasons: tuple[str, ...]

    @property
    def certain(self) -> NDArray[np.bool_]:
        """(n,) bool: those with one class."""
        return self.y >= 0

    @property
    def unlabelled(self) -> NDArray[np.bool_]:
        """(n,) bool: those of whom nothing is known."""
        return np.asarray(self.possible.all(1))

    @property
    def dropped(self) -> NDArray[np.bool_]:
        """(n,) bool: those who are of no class of the task."""
        return np.asarray(~self.allowed.any(1))

    @property
    def partial(self) -> NDArray[np.bool_]:
        """(n,) bool: those with a label that leaves their class open."""
        return ~(self.certain | self.unlabelled | self.dropped)

    def counts(self) -> dict[str, int]:
        """Patients of each class, by name, those with a certain one."""
        numbers = np.bincount(self.y[self.certain], minlength=len(self.task.classes))
        return dict(zip(self.task.classes, numbers.tolist(), strict=True))


def label_column(task: Task, table: pd.DataFrame, where: str | PathLike[str]) -> list[Any]:
    """The labels of a task as they stand in the table, None where there is none.

    Raises:
        InputError: The table lacks the column.
    """
    if task.column not in table.columns:
        known = suggestion(task.column, [str(column) for column in table.columns])
        raise InputError(
            f"has no column {task.column!r}, which task {task.name!r} asks for",
            where=where,
            remedy=f"Correct column in [tasks.{task.name}]: {known}",
        )
    column = table[task.column].astype(object)
    values: list[Any] = column.where(column.notna(), None).tolist()
    return values
