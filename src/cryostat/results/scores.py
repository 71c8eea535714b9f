"""Scores of a predictions table: per class, macro, micro, under a stated rule for which classes count."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from os import PathLike
from typing import Any, Protocol

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cryostat.core.errors import InputError, SettingError

FORMAT = 1
"""Version of `scores.json`."""


class Named(Protocol):
    """A cell type."""

    @property
    def id(self) -> int:
        """1 or more; 0 is background."""
        ...

    @property
    def name(self) -> str:
        """What it is called."""
        ...


Classes = Mapping[int, str] | Iterable[Named] | Iterable[int]
"""The cell types of a dataset: id to name, objects with `id` and `name`, or bare ids; without background."""


@dataclass(frozen=True)
class ClassSet:
    """A rule for which classes the macro means are taken over.

    Attributes:
        name: Name of the rule.
        predicted_count: A class without a true cell counts when it was predicted.
        undefined: Value of a precision or recall whose denominator is 0.
        unlabelled: Rows without a true class (`y_true` 0) are scored too.
        about: The rule in a sentence.
    """

    name: str
    predicted_count: bool
    undefined: float | None
    unlabelled: bool
    about: str


CLASS_SETS = {
    rule.name: rule
    for rule in (
        ClassSet(
            "fixed",
            predicted_count=False,
            undefined=None,
            unlabelled=False,
            about="all classes with a true cell in the scored part, whatever the model predicts",
        ),
        ClassSet(
            "floating",
            predicted_count=True,
            undefined=0.0,
            unlabelled=True,
            about="as published: all classes that are true or predicted somewhere; what is undefined counts as 0",
        ),
    )
}
"""The rules by name."""


@dataclass(frozen=True)
class ClassScore:
    """One class against the rest.

    Attributes:
        id: Class id.
        name: Class name.
        support: True cells.
        predicted: Cells predicted to be of the class.
        precision: Share of the predicted that are true; None when undefined or the class does not count.
        recall: Share of the true that are found; None when undefined or the class does not count.
        f1: Harmonic mean of the two; None when undefined or the class does not count.
        left_out: Why the class does not count; empty when it does.
    """

    id: int
    name: str
    support: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None
    left_out: str = ""


@dataclass(frozen=True)
class Scores:
    """Scores of one table. What is undefined is None, and so is a mean over anything undefined.

    Attributes:
        class_set: Name of the rule.
        cells: Rows scored.
        unlabelled: Rows not scored because their true class is unknown.
        accuracy: Share of the rows that are right, which is micro precision, recall and F1; None without rows.
        macro_f1: Mean F1 of the classes that count.
        macro_precision: Mean precision of the classes that count.
        macro_recall: Mean recall of the classes that count, also called balanced accuracy.
        classes: All classes, ids ascending, those that do not count with the reason.
        confusion_ids: Class ids along both sides of `confusion`, 0 first.
        confusion: Cells by true class (rows) and predicted class (columns).
    """

    class_set: str
    cells: int
    unlabelled: int
    accuracy: float | None
    macro_f1: float | None
    macro_precision: float | None
    macro_recall: float | None
    classes: tuple[ClassScore, ...]
    confusion_ids: tuple[int, ...]
    confusion: tuple[tuple[int, ...], ...]

    @property
    def counted(self) -> tuple[ClassScore, ...]:
        """The classes that the macro means are taken over."""
        return tuple(c for c in self.classes if not c.left_out)

    @property
    def left_out(self) -> dict[str, str]:
        """Name of each class that does not count, to the reason."""
        return {c.name: c.left_out for c in self.classes if c.left_out}

    def of(self, class_id: int) -> ClassScore:
        """The scores of one class."""
        return next(c for c in self.classes if c.id == class_id)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; what is undefined is None."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any], where: str | PathLike[str] = "scores") -> Scores:
        """The inverse of `to_dict`.

        Raises:
            InputError: The data are not scores, or of another version.
        """
        if not isinstance(facts, Mapping) or facts.get("format") != FORMAT:
            raise InputError(f"does not hold scores of version {FORMAT}", where=where, remedy="Score the run again")
        try:
            plain = {name: facts[name] for name in cls.__dataclass_fields__}
            plain["classes"] = tuple(ClassScore(**c) for c in facts["classes"])
            plain["confusion_ids"] = tuple(facts["confusion_ids"])
            plain["confusion"] = tuple(map(tuple, facts["confusion"]))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"holds incomplete scores ({error!r})", where=where, remedy="Score the run again"
            ) from error
        return cls(**plain)


def class_names(classes: Classes) -> dict[int, str]:
    """Id to name of the cell types, ids ascending; bare ids are named `class 1` and so on."""
    if isinstance(classes, Mapping):
        named = {int(key): str(name) for key, name in classes.items()}
    else:
        named = dict((int(c), f"class {c}") if isinstance(c, int | np.integer) else (c.id, c.name) for c in classes)
    return {key: named[key] for key in sorted(named) if key != 0}


def confusion(frame: pd.DataFrame, classes: Sequence[int]) -> NDArray[np.int64]:
    """Count true against predicted classes.

    Args:
        frame: Table with `y_true` and `y_pred`.
        classes: The k class ids to count, ascending, 0 among them if it occurs.

    Returns:
        (k, k) cells, rows by true class, columns by predicted class, in the order of `classes`.

    Raises:
        InputError: The table holds a class that is not listed.
    """
    return _confusion(frame["y_true"].to_numpy(), frame["y_pred"].to_numpy(), np.asarray(classes))


def _confusion(
    true: NDArray[Any], predicted: NDArray[Any], ids: NDArray[Any], count: NDArray[np.int64] | None = None
) -> NDArray[np.int64]:
    k = len(ids)
    at = []
    for values in (true, predicted):
        index = np.searchsorted(ids, values)
        stray = values[(index == k) | (ids[np.minimum(index, k - 1)] != values)] if k else values
        if len(stray):
            raise InputError(
                f"holds the class id {stray[0]}, which is none of {ids.tolist()}",
                where="predictions table",
                remedy="Name every class of the dataset",
            )
        at.append(index)
    return np.bincount(at[0] * k + at[1], count, minlength=k * k).astype(np.int64).reshape(k, k)


def score(
    frame: pd.DataFrame,
    classes: Classes,
    *,
    class_set: str = "fixed",
    counted: Iterable[int] | None = None,
) -> Scores:
    """Score a predictions table.

    Args:
        frame: Table with `y_true` and `y_pred`.
        classes: The dataset's cell types; the order does not matter.
        class_set: Name of the rule, of `CLASS_SETS`.
        counted: Take the macro means over exactly these class ids, in place of what the rule finds. One without true
            cells makes the means that need its recall undefined.

    Returns:
        The scores; all means None where there is nothing to score.

    Raises:
        InputError: The table holds a class that the dataset does not (`floating` counts it all the same).
        SettingError: There is no such rule, or `counted` names an unknown class.
    """
    true, predicted = frame["y_true"].to_numpy(), frame["y_pred"].to_numpy()
    return score_counts(true, predicted, np.ones(len(true), np.int64), classes, class_set=class_set, counted=counted)


def score_counts(
    true: NDArray[Any],
    predicted: NDArray[Any],
    count: NDArray[np.int64],
    classes: Classes,
    *,
    class_set: str = "fixed",
    counted: Iterable[int] | None = None,
) -> Scores:
    """As `score`, of cells counted before: (n,) true classes, predicted classes, and how many cells have both."""
    rule, names = _rule(class_set), class_names(classes)
    scored = np.ones(len(true), bool) if rule.unlabelled else true != 0
    if rule.predicted_count:
        names = class_names({c: f"class {c}" for c in np.union1d(true, predicted).tolist()} | names)
    ids = np.array([0, *names])
    matrix = _confusion(true[scored], predicted[scored], ids, count[scored])
    chosen = None if counted is None else set(counted)
    if chosen is not None and (strangers := chosen - set(names)):
        raise SettingError(f"there is no class {min(strangers)}", remedy=f"Choose of {list(names)}")
    return _from_confusion(matrix, names, rule, chosen, int(count[~scored].sum()))


def _rule(name: str) -> ClassSet:
    if name not in CLASS_SETS:
        raise SettingError(f"there is no class set {name!r}", remedy=f"Choose one of: {', '.join(CLASS_SETS)}")
    return CLASS_SETS[name]


def _from_confusion(
    matrix: NDArray[np.int64], names: Mapping[int, str], rule: ClassSet, chosen: set[int] | None, unlabelled: int
) -> Scores:
    hits, support, predicted = np.diag(matrix), matrix.sum(1), matrix.sum(0)
    rows = [
        _class_score(key, name, int(hits[i]), int(support[i]), int(predicted[i]), rule, chosen)
        for i, (key, name) in enumerate(names.items(), start=1)
    ]
    counted = [row for row in rows if not row.left_out]
    cells = int(matrix.sum())
    return Scores(
        class_set=rule.name,
        cells=cells,
        unlabelled=unlabelled,
        accuracy=_ratio(int(hits.sum()), cells, None),
        macro_f1=_mean([row.f1 for row in counted]),
        macro_precision=_mean([row.precision for row in counted]),
        macro_recall=_mean([row.recall for row in counted]),
        classes=tuple(rows),
        confusion_ids=(0, *names),
        confusion=tuple(map(tuple, matrix.tolist())),
    )


def _class_score(
    key: int, name: str, hits: int, support: int, predicted: int, rule: ClassSet, chosen: set[int] | None
) -> ClassScore:
    if reason := _left_out(key, support, predicted, rule, chosen):
        return ClassScore(key, name, support, predicted, None, None, None, reason)
    precision, recall = _ratio(hits, predicted, rule.undefined), _ratio(hits, support, rule.undefined)
    return ClassScore(
        key, name, support, predicted, precision, recall, _ratio(2 * hits, support + predicted, rule.undefined)
    )


def _left_out(key: int, support: int, predicted: int, rule: ClassSet, chosen: set[int] | None) -> str:
    if chosen is not None:
        return "" if key in chosen else "not asked for"
    if support or (rule.predicted_count and predicted):
        return ""
    return "no true cell, never predicted" if rule.predicted_count else "no true cell"


def _ratio(part: int, whole: int, undefined: float | None) -> float | None:
    return part / whole if whole else undefined


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known and len(known) == len(values) else None


def macro_f1(y_true: ArrayLike, y_pred: ArrayLike, class_set: str = "fixed") -> float:
    """Macro F1 of two lists of class ids, for choosing between models; 0 where nothing can be scored."""
    true, predicted = np.asarray(y_true), np.asarray(y_pred)
    classes = np.union1d(true, predicted).tolist()
    scores = score(pd.DataFrame({"y_true": true, "y_pred": predicted}), classes, class_set=class_set)
    return scores.macro_f1 or 0.0


def grouped(
    frame: pd.DataFrame,
    by: str,
    classes: Classes,
    *,
    class_set: str = "fixed",
    counted: Iterable[int] | None = None,
) -> dict[str, Scores]:
    """Scores of each site, patient, field or group.

    Args:
        frame: Predictions table.
        by: A column: `site`, `patient_id`, `fov_id`, or a group with or without its prefix `group_`.
        classes: As for `score`.
        class_set: As for `score`; by default each group's classes are those that are true in it.
        counted: As for `score`.

    Returns:
        Value of the column to scores, values ascending; rows without a value under `unknown`.

    Raises:
        SettingError: The table has no such column.
    """
    column = next((name for name in (by, f"group_{by}", f"{by}_id") if name in frame.columns), None)
    if column is None:
        raise SettingError(f"the predictions have no column {by!r}", remedy=f"Choose of {', '.join(frame.columns)}")
    names = class_names(classes)
    values = frame[column].astype(object).where(frame[column].notna(), "unknown").astype(str)
    return {
        str(value): score(rows, names, class_set=class_set, counted=counted)
        for value, rows in frame.groupby(values, sort=True)
    }
