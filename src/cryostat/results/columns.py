"""Columns that a table of predictions must have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike

import numpy as np
import pandas as pd

from cryostat.core.errors import InputError


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        name: Its name.
        dtype: How it is stored.
        required: The table is refused without it; otherwise it is added, empty.
        nullable: Values may be missing.
    """

    name: str
    dtype: str
    required: bool = True
    nullable: bool = False


def check_columns(frame: pd.DataFrame, schema: Sequence[Column], where: str | PathLike[str]) -> None:
    """Refuse a table whose columns are not those of a schema.

    Args:
        frame: The table; columns beyond the schema are not looked at.
        schema: Its columns.
        where: File, for messages.

    Raises:
        InputError: A required column is missing, one that must be filled is not, or holds no such whole numbers.
    """
    required = [column.name for column in schema if column.required]
    if lacking := [name for name in required if name not in frame.columns]:
        raise InputError(
            f"lacks the column {', '.join(map(repr, lacking))}",
            where=where,
            remedy=f"A predictions table has the columns {', '.join(required)}",
        )
    for column in schema:
        if column.name in frame.columns:
            _check_column(frame[column.name], column, where)


def _check_column(values: pd.Series, column: Column, where: str | PathLike[str]) -> None:
    empty = values.isna() if column.dtype != "str" else values.isna() | (values.astype(str) == "")
    if not column.nullable and empty.any():
        raise InputError(f"has {int(empty.sum())} rows without {column.name}", where=where, remedy="Fill them in")
    if column.dtype.startswith("int") and len(values):
        limits = np.iinfo(column.dtype)
        if values.dtype.kind not in "iu" or values.min() < limits.min or values.max() > limits.max:
            raise InputError(
                f"has {column.name} of type {values.dtype}, which is not {column.dtype}",
                where=where,
                remedy=f"Store {column.name} as whole numbers",
            )
