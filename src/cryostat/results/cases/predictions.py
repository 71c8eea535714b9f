"""The predictions table of cases: one row a patient, repeat, seed, ablation and subset of modalities offered."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from cryostat.core.errors import InputError
from cryostat.core.files import read_table, write_parquet
from cryostat.results.cases.subsets import subset_bits, subset_members
from cryostat.results.columns import Column, check_columns
from cryostat.results.predictions import SUM_TOLERANCE, group_columns

PROBABILITY = "p_"
"""Prefix of the probability columns; the class name follows."""

KEY = ("repeat", "seed", "patient_id", "ablation", "offered")
"""What names a row: in one repeat a patient is tested once, in whatever fold."""

SCHEMA = (
    Column("run_id", "str"),
    Column("repeat", "int32"),
    Column("fold", "int32"),
    Column("seed", "int64"),
    Column("patient_id", "str"),
    Column("site", "str", required=False, nullable=True),
    Column("ablation", "str"),
    Column("offered", "str"),
    Column("seen", "str"),
    Column("y_true", "str", nullable=True),
    Column("y_pred", "str"),
)
"""The fixed columns in order; groups follow `site`, probabilities stand last."""


def class_columns(columns: Iterable[str]) -> list[str]:
    """The probability columns, in their order."""
    return [name for name in columns if name.startswith(PROBABILITY)]


def classes_of(frame: pd.DataFrame) -> tuple[str, ...]:
    """Names of the classes that have a probability column, in their order."""
    return tuple(name.removeprefix(PROBABILITY) for name in class_columns(frame.columns))


def validate(
    frame: pd.DataFrame,
    classes: Sequence[str] | None = None,
    modalities: Sequence[str] | None = None,
    *,
    where: str | PathLike[str] = "predictions table",
) -> None:
    """Refuse a table that contradicts the contract.

    Args:
        frame: The table. Probability columns may be absent (a method that only names classes); a row may have no
            probabilities, but not some.
        classes: Class names of the task; by default those of the probability columns, if there are any.
        modalities: Names of the cohort's modalities in order; without them, their order is not checked.
        where: File, for messages.

    Raises:
        InputError: A column is missing or of the wrong kind, a row occurs twice, a class or modality is unknown, a
            patient has two true classes, sees what was not offered, or probabilities are none.
    """
    check_columns(frame, SCHEMA, where)
    _check_unique(frame, where)
    _check_truth(frame, where)
    _check_subsets(frame, modalities, where)
    known = tuple(classes) if classes is not None else classes_of(frame)
    if known:
        _check_classes(frame, known, where)
    _check_probabilities(frame, known, where)


def _check_unique(frame: pd.DataFrame, where: str | PathLike[str]) -> None:
    # Codes are many times faster to compare than text.
    keys = pd.DataFrame({name: pd.factorize(frame[name])[0] for name in KEY})
    twice = keys.duplicated().to_numpy()
    if twice.any():
        first = frame.loc[twice, list(KEY)].iloc[0]
        raise InputError(
            f"has {int(twice.sum())} rows twice (first: patient {first['patient_id']!r}, repeat {first['repeat']}, "
            f"seed {first['seed']}, ablation {first['ablation']!r}, offered {first['offered']!r})",
            where=where,
            remedy="Test a patient once in each repeat; score runs apart",
        )


def _check_truth(frame: pd.DataFrame, where: str | PathLike[str]) -> None:
    truths = frame[["patient_id", "y_true"]].drop_duplicates()
    twice = truths["patient_id"].duplicated()
    if twice.any():
        patient = truths.loc[twice, "patient_id"].iloc[0]
        found = ", ".join(map(repr, truths.loc[truths["patient_id"] == patient, "y_true"]))
        raise InputError(
            f"gives patient {patient!r} several true classes ({found})",
            where=where,
            remedy="Give a patient the same true class in all rows, or none in all",
        )


def _check_subsets(frame: pd.DataFrame, modalities: Sequence[str] | None, where: str | PathLike[str]) -> None:
    for row in frame[["offered", "seen"]].drop_duplicates().itertuples(index=False):
        if unoffered := [name for name in subset_members(row.seen) if name not in subset_members(row.offered)]:
            raise InputError(
                f"has a patient who sees {unoffered[0]!r} where only {row.offered!r} is offered",
                where=where,
                remedy="Let `seen` be what is both offered and there",
            )
        if modalities is not None:
            subset_bits(row.offered, modalities, str(where))
            subset_bits(row.seen, modalities, str(where))


def _check_classes(frame: pd.DataFrame, known: Sequence[str], where: str | PathLike[str]) -> None:
    for name in ("y_true", "y_pred"):
        strangers = [str(c) for c in frame[name].dropna().unique() if str(c) not in known]
        if strangers:
            raise InputError(
                f"has {name} {strangers[0]!r}, which is no class of the task",
                where=where,
                remedy=f"Use the task's classes: {', '.join(known)}",
            )


def _check_probabilities(frame: pd.DataFrame, known: Sequence[str], where: str | PathLike[str]) -> None:
    names = class_columns(frame.columns)
    if not names:
        return
    if sorted(names) != sorted(PROBABILITY + name for name in known):
        raise InputError(
            f"has probabilities of {', '.join(classes_of(frame))}, not of {', '.join(known)}",
            where=where,
            remedy="Give one probability column for each class of the task",
        )
    if kinds := [name for name in names if frame[name].dtype.kind != "f"]:
        raise InputError(f"has {kinds[0]!r} that is no number", where=where, remedy="Store probabilities as floats")
    p = frame[names].to_numpy(np.float64)
    empty, partly = np.isnan(p).all(1), np.isnan(p).any(1)
    wrong = (partly & ~empty) | ((p < 0) | (p > 1 + SUM_TOLERANCE)).any(1) | (np.abs(p.sum(1) - 1) > SUM_TOLERANCE)
    if wrong.any():
        first = ", ".join(f"{value:.3g}" for value in p[np.argmax(wrong)])
        raise InputError(
            f"has {int(wrong.sum())} rows whose probabilities are incomplete, not between 0 and 1, or do not sum to 1 "
            f"(first: {first})",
            where=where,
            remedy="Store probabilities after the softmax, one column a class",
        )


def in_order(frame: pd.DataFrame, classes: Sequence[str] | None = None) -> pd.DataFrame:
    """The table with its columns in order and of the stored types; absent optional columns are added, empty."""
    groups, found = group_columns(frame.columns), class_columns(frame.columns)
    named = [PROBABILITY + name for name in classes] if classes is not None and found else found
    fixed = [c.name for c in SCHEMA]
    at = fixed.index("site") + 1
    ordered = frame.reindex(columns=[*fixed[:at], *groups, *fixed[at:], *named])
    whole = {c.name: c.dtype for c in SCHEMA if c.dtype != "str"}
    ordered = ordered.astype(whole | dict.fromkeys(named, "float32"))
    for name in (*groups, *(c.name for c in SCHEMA if c.dtype == "str")):
        ordered[name] = _text_or_null(ordered[name])
    return ordered.reset_index(drop=True)


def _text_or_null(values: pd.Series) -> pd.Series:
    """Text as plain objects, nulls as None; the few distinct values are converted once each."""
    codes, distinct = pd.factorize(values)
    texts = np.array([*map(str, distinct), None], object)
    return pd.Series(texts[codes], index=values.index, dtype=object)


def write_case_predictions(
    path: Path, frame: pd.DataFrame, classes: Sequence[str] | None = None, modalities: Sequence[str] | None = None
) -> None:
    """Check a predictions table and write it as Parquet, all or nothing; further columns are left out.

    Raises:
        InputError: As from `validate`.
    """
    validate(frame, classes, modalities, where=path)
    write_parquet(path, in_order(frame, classes))


def read_case_predictions(
    path: Path, classes: Sequence[str] | None = None, modalities: Sequence[str] | None = None
) -> pd.DataFrame:
    """Read and check a predictions table of cases.

    Raises:
        InputError: The file cannot be read, or as from `validate`.
    """
    frame = read_table(path, text=[c.name for c in SCHEMA if c.dtype == "str"])
    validate(frame, classes, modalities, where=path)
    return in_order(frame, classes)
