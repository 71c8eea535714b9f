"""Tables of features with the dirt of the real world: infinities, empty cells, text, dates."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pandas.api import types

from cryostat.cases.cohort.tables import ERROR_WORDS, decoded, separator, text_of
from cryostat.cases.embeddings.formats import Format
from cryostat.core.errors import InputError
from cryostat.core.files import read_table

NO_FEATURE = re.compile(
    r"(x|y|coords?_[xy]|tile|tile_id|patch|patch_id|index|unnamed: \d+|id|\w*_id|date|\w+_date)", re.IGNORECASE
)
"""Names of columns that are numbers and yet no features: places, indices, identifiers, dates."""


@dataclass(frozen=True, eq=False)
class FeatureTable:
    """The numbers of a table.

    Attributes:
        values: (rows, d) float32, NaN where a cell is empty or infinite.
        columns: (d,) their names.
        left_out: Name of a column that is not used to the reason.
        keys: Of each row, if a key column was asked for.
        infinite: Cells that were infinite.
    """

    values: NDArray[np.float32]
    columns: tuple[str, ...]
    left_out: Mapping[str, str]
    keys: tuple[str, ...] = ()
    infinite: int = 0


def read_features(path: Path, found: Format | None = None, *, key: str | None = None) -> FeatureTable:
    """Read the columns of numbers of a table; every other is left out and told.

    Args:
        path: CSV, TSV or Parquet.
        found: Its format by content; None: by its ending.
        key: Column that names the rows.

    Raises:
        InputError: It cannot be read, lacks the key column or names of columns, or holds no numbers.
    """
    frame = _frame(path, found, key)
    keys = _keys(frame, key, path) if key is not None else ()
    blocks: list[NDArray[Any]] = []
    columns: list[str] = []
    left_out: dict[str, str] = {}
    for place, name in enumerate(map(str, frame.columns)):
        if name == key:
            continue
        column = _without_error_words(frame.iloc[:, place])
        block = _listed(column)
        if block is not None:
            blocks.append(block)
            columns += [f"{name}[{i}]" for i in range(block.shape[1])]
        elif reason := _reason(name, column):
            left_out[name] = reason
        else:
            blocks.append(column.to_numpy(np.float64, na_value=np.nan)[:, None])
            columns.append(name)
    if not blocks or not len(frame):
        raise InputError(
            "holds no column of numbers", where=path, remedy="Supply one row a vector, one column a number"
        )
    return _table(np.concatenate(blocks, 1), columns, left_out, keys)


def _table(values: NDArray[Any], columns: list[str], left_out: dict[str, str], keys: tuple[str, ...]) -> FeatureTable:
    with np.errstate(over="ignore"):
        numbers = values.astype(np.float32)
    infinite = np.isinf(numbers)
    numbers[infinite] = np.nan
    return FeatureTable(numbers, tuple(columns), left_out, keys, int(infinite.sum()))


def _frame(path: Path, found: Format | None, key: str | None) -> Any:
    named_wrong = found is Format.PARQUET and path.suffix.lower() != ".parquet"
    if named_wrong:
        raise InputError("is a parquet table by another name", where=path, remedy="Rename it to .parquet")
    frame = read_table(path) if path.suffix.lower() == ".parquet" else _separated(path, key)
    names = [str(name) for name in frame.columns]
    if found is Format.TEXT_TABLE and all(map(_is_number, names)) and names != [str(i) for i in range(len(names))]:
        raise InputError(
            "begins with numbers, not with names of columns", where=path, remedy="Put names into its first row"
        )
    return frame


def _separated(path: Path, key: str | None) -> Any:
    """A CSV or TSV with whatever signs it is written in; with semicolons, decimals may have a comma."""
    text, _ = decoded(path)
    sign = separator(path, text)
    _require_whole(path, text, sign)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", pd.errors.ParserWarning)  # of cells that it would leave out
            frame = pd.read_csv(
                io.StringIO(text), sep=sign, dtype={key: str} if key else None, index_col=False, low_memory=False
            )
    except (ValueError, TypeError, LookupError, pd.errors.ParserWarning) as error:
        raise InputError(f"cannot be read as a table ({error})", where=path, remedy="Open and save it again") from error
    if sign == ",":
        return frame
    return frame.apply(lambda column: column if column.name == key else _with_commas(column))


def _require_whole(path: Path, text: str, sign: str) -> None:
    """Raise an InputError where the last row is shorter than the first: what is cut off would pass for not known."""
    lines = text.strip("\r\n").splitlines()
    if lines and '"' not in lines[0] + lines[-1] and lines[-1].count(sign) < lines[0].count(sign):
        raise InputError(
            "ends in the middle of a row", where=path, remedy="Copy it again, or write every cell, empty ones too"
        )


def _with_commas(column: Any) -> Any:
    """A column of text that is numbers with decimal commas as numbers; any other as it is."""
    if types.is_numeric_dtype(column) or types.is_bool_dtype(column):
        return column
    points = column.astype("string").str.replace(",", ".", regex=False).mask(column.isin(ERROR_WORDS))
    numbers = pd.to_numeric(points, errors="coerce").astype(np.float64)
    return numbers if (numbers.isna() == points.isna()).all() else column


def _is_number(name: str) -> bool:
    try:
        float(name)
    except ValueError:
        return False
    return True


def _keys(frame: Any, key: str, path: Path) -> tuple[str, ...]:
    if key not in frame.columns:
        some = ", ".join(map(str, frame.columns[:6]))
        raise InputError(
            f"has no column {key!r} (it has {some} …)", where=path, remedy="Name the column of its keys with key = "
        )
    return tuple(map(text_of, frame[key].tolist()))


def _reason(name: str, column: Any) -> str:
    """Why a column holds no features; empty when it does."""
    if types.is_bool_dtype(column):
        return "holds true and false, not numbers"
    if types.is_datetime64_any_dtype(column) or types.is_timedelta64_dtype(column):
        return "holds dates"
    if not types.is_numeric_dtype(column) or types.is_complex_dtype(column):
        return "holds dates or other text"
    return "is a place, an index, an identifier or a date by its name" if NO_FEATURE.fullmatch(name) else ""


def _without_error_words(column: Any) -> Any:
    """A column of text that is numbers but for the error words of spreadsheets as numbers; any other as it is."""
    if types.is_numeric_dtype(column):
        return column
    wrong = column.isin(ERROR_WORDS)
    if not wrong.any():
        return column
    numbers = pd.to_numeric(column.mask(wrong), errors="coerce")
    return numbers if (numbers.isna() == (wrong | column.isna())).all() else column


def _listed(column: Any) -> NDArray[Any] | None:
    """(rows, d) of a column whose cells are lists of d numbers, as Parquet may hold them."""
    if not len(column) or not all(isinstance(cell, np.ndarray) for cell in column):
        return None
    if len({cell.shape for cell in column}) != 1 or any(cell.dtype.kind not in "fiu" for cell in column):
        return None
    found = np.stack(list(column)).astype(np.float64)
    return found if found.ndim == 2 else None
