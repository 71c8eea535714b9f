"""The predictions table: one row a nucleus. Every score, figure and comparison is computed from it alone."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd

from cryostat.core.errors import InputError
from cryostat.core.files import read_table, write_parquet
from cryostat.results.columns import Column, check_columns

GROUP = "group_"
"""Prefix of the columns that hold clinical or technical groups."""

PROBABILITY = re.compile(r"p_\d+")
"""Name of a probability column: `p_` and the class id; `p_0` is background."""

WHOLE = -1
"""Value of `tile` in rows of whole nuclei."""

KEY = ("fov_id", "tile", "cell_id")
"""What names a row; a nucleus cut by a tile border is two rows under the `paper` protocol."""

SUM_TOLERANCE = 0.01
"""How far the probabilities of a row may sum from 1; half precision needs a few thousandths."""


SCHEMA = (
    Column("run_id", "str"),
    Column("fov_id", "str"),
    Column("patient_id", "str", required=False, nullable=True),
    Column("site", "str", required=False, nullable=True),
    Column("tile", "int32"),
    Column("cell_id", "int64"),
    Column("y_true", "int16"),
    Column("y_pred", "int16"),
)
"""The fixed columns in order; groups follow `site`, probabilities stand last."""


def group_columns(columns: Iterable[str]) -> list[str]:
    """The columns that hold groups, in their order."""
    return [name for name in columns if name.startswith(GROUP)]


def probability_columns(columns: Iterable[str]) -> list[str]:
    """The probability columns, class ids ascending."""
    return sorted((name for name in columns if PROBABILITY.fullmatch(name)), key=lambda name: int(name[2:]))


def validate(
    frame: pd.DataFrame, classes: Collection[int] | None = None, *, where: str | PathLike[str] = "predictions table"
) -> None:
    """Refuse a table that contradicts the contract.

    Probability columns may be absent (a model that only names classes); a row may have none (all empty) but not some,
    apart from `p_0`, which heads without a background output leave empty.

    Args:
        frame: The table.
        classes: Class ids that the dataset names; by default those of the probability columns, if there are any.
        where: File, for messages.

    Raises:
        InputError: A column is missing or of the wrong kind, a row occurs twice, a class is unknown, or
            probabilities are none.
    """
    check_columns(frame, SCHEMA, where)
    _check_unique(frame, where)
    names = probability_columns(map(str, frame.columns))
    known = set(classes) if classes is not None else {int(name[2:]) for name in names}
    _check_classes(frame["y_pred"], known, where)
    # The published truth is a truncated mean of class ids, so it may hit an id that is no class.
    _check_classes(frame["y_true"], (), where)
    if names:
        _check_probabilities(frame[names], where)


def _check_unique(frame: pd.DataFrame, where: str | PathLike[str]) -> None:
    # Codes are many times faster to compare than text.
    keys = frame[list(KEY)].assign(fov_id=pd.factorize(frame["fov_id"])[0])
    twice = keys.duplicated()
    if twice.any():
        first = frame.loc[twice.to_numpy(), list(KEY)].iloc[0]
        raise InputError(
            f"names {int(twice.sum())} nuclei twice (first: field {first['fov_id']!r}, tile {first['tile']}, "
            f"cell {first['cell_id']})",
            where=where,
            remedy="Keep one row a nucleus and tile",
        )


def _check_classes(values: pd.Series, known: Collection[int], where: str | PathLike[str]) -> None:
    found = np.unique(values.to_numpy())
    strangers = [int(c) for c in found if c < 0 or (known and c != 0 and c not in known)]
    if strangers:
        allowed = ", ".join(map(str, sorted(known))) or "positive"
        raise InputError(
            f"has {values.name} {strangers[0]}, which is no class",
            where=where,
            remedy=f"Use the dataset's class ids ({allowed}), or 0 for background",
        )


def _check_probabilities(values: pd.DataFrame, where: str | PathLike[str]) -> None:
    p = values.to_numpy(np.float64)
    classes = p[:, 1:] if values.columns[0] == "p_0" else p
    empty, partly = np.isnan(classes).all(1), np.isnan(classes).any(1)
    if (partly & ~empty).any():
        raise InputError(
            f"has {int((partly & ~empty).sum())} rows with some probabilities missing",
            where=where,
            remedy="Give a row a probability for every class, or for none",
        )
    given = p[~empty]
    outside = ((given < 0) | (given > 1 + SUM_TOLERANCE)).any(1)
    wrong = outside | (np.abs(np.nansum(given, 1) - 1) > SUM_TOLERANCE)
    if wrong.any():
        first = ", ".join(f"{value:.3g}" for value in given[np.argmax(wrong)])
        raise InputError(
            f"has {int(wrong.sum())} rows whose probabilities are not between 0 and 1 or do not sum to 1 "
            f"(first: {first})",
            where=where,
            remedy="Store probabilities after the softmax, one column a class",
        )


def in_order(frame: pd.DataFrame) -> pd.DataFrame:
    """The table with its columns in order and of the stored types; absent optional columns are added, empty."""
    groups, probabilities = group_columns(frame.columns), probability_columns(frame.columns)
    fixed = [c.name for c in SCHEMA]
    at = fixed.index("site") + 1
    ordered = frame.reindex(columns=[*fixed[:at], *groups, *fixed[at:], *probabilities])
    types = {c.name: "object" if c.nullable else c.dtype for c in SCHEMA} | dict.fromkeys(groups, "object")
    ordered = ordered.astype(types | dict.fromkeys(probabilities, "float32"))
    nullable = [*(c.name for c in SCHEMA if c.nullable), *groups]
    ordered[nullable] = ordered[nullable].apply(_text_or_null)
    return ordered.reset_index(drop=True)


def _text_or_null(values: pd.Series) -> pd.Series:
    return values.map(str, na_action="ignore").astype(object).where(values.notna(), None)


def write_predictions(path: Path, frame: pd.DataFrame, classes: Collection[int] | None = None) -> None:
    """Check a predictions table and write it as Parquet, all or nothing.

    Args:
        path: The file.
        frame: The table; further columns are left out.
        classes: Class ids that the dataset names.

    Raises:
        InputError: As from `validate`.
    """
    validate(frame, classes, where=path)
    write_parquet(path, in_order(frame))


def read_predictions(path: Path, classes: Collection[int] | None = None) -> pd.DataFrame:
    """Read and check a predictions table.

    Raises:
        InputError: The file cannot be read, or as from `validate`.
    """
    frame = read_table(path)
    validate(frame, classes, where=path)
    return in_order(frame)
