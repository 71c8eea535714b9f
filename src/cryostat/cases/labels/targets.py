"""What the labels of a table allow for each patient."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.labels.names import fold, suggestion
from cryostat.cases.labels.reading import resolve
from cryostat.cases.labels.task import Targets, Task, label_column
from cryostat.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 5
"""Unknown values that a message lists."""


def targets(task: Task, table: pd.DataFrame, where: str | PathLike[str]) -> Targets:
    """What is known of each patient of a table.

    A patient without a label may be of any class; one whose label is of no class of the task is of none; a label that
    leaves several classes open allows each of them. `Targets.reasons` says so for each patient without a certain class.

    Args:
        task: The task.
        table: A row a patient.
        where: The table, for messages.

    Raises:
        InputError: The column is missing, or holds a value that is no label; the message has the nearest labels.
    """
    task = resolve(task, table, where)
    labels = label_column(task, table, where)
    _check_values(task, labels, where)
    possible = _possible(task, labels)
    of_class = np.array(task.leaf_class)[:, None] == np.arange(len(task.classes))
    allowed = (possible[:, :, None] & of_class).any(1)
    kept = ~(possible & ~of_class.any(1)).any(1)
    y = np.where(kept & (allowed.sum(1) == 1), allowed.argmax(1), -1).astype(np.int64)
    reasons = tuple(_reason(task, label, *row) for label, *row in zip(labels, y, allowed, kept, strict=True))
    silent = possible.all(1)
    allowed[silent] = True
    return Targets(task, possible, allowed, y, reasons)


def _check_values(task: Task, labels: Sequence[Any], where: str | PathLike[str]) -> None:
    rows: dict[str, list[int]] = {}
    for row, label in enumerate(labels):
        if fold(label) and fold(label) not in task.values and fold(label) not in task.unknown:
            rows.setdefault(str(label), []).append(row)
    if not rows:
        return
    known = (*task.leaves, *(value for value in task.values if value not in map(fold, task.leaves)))
    listed = [f"{label!r} ({len(at)}×, first in row {at[0] + 1})" for label, at in list(rows.items())[:SHOWN]]
    more = f" and {len(rows) - SHOWN} more" if len(rows) > SHOWN else ""
    first = next(iter(rows))
    raise InputError(
        f"column {task.column!r} holds what is no label of task {task.name!r}: {', '.join(listed)}{more}",
        where=where,
        remedy=f"Correct the table, or list the value under synonyms, partial, unknown or drop; for {first!r} "
        f"{suggestion(first, known)}",
    )


def _possible(task: Task, labels: Sequence[Any]) -> NDArray[np.bool_]:
    """(n, L) bool."""
    possible = np.zeros((len(labels), len(task.leaves)), bool)
    for row, label in enumerate(labels):
        text = fold(label)
        possible[row, list(task.values[text]) if text in task.values else slice(None)] = True
    return possible


def _reason(task: Task, label: Any, y: int, allowed: NDArray[np.bool_], kept: bool) -> str:
    """Why a patient has no certain class; "" where there is one."""
    if y >= 0:
        return ""
    if fold(label) not in task.values:
        return f"{label!r} says nothing" if fold(label) else "no label"
    if not allowed.any():
        return f"{label!r} is of no class of the task"
    open_classes = [name for name, may in zip(task.classes, allowed, strict=True) if may]
    return f"{label!r} may be {' or '.join(open_classes)}{'' if kept else ', or of no class of the task'}"
