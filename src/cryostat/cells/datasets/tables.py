"""Tables from users: every value as text, so that ids and codes stay what they are."""

from __future__ import annotations

import datetime
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

import pandas as pd

from cryostat.core.errors import InputError, MissingExtraError
from cryostat.core.files import read_table, require_file

SEPARATORS: Mapping[str, str] = {".csv": ",", ".tsv": "\t"}


def read_text_table(path: Path, *, may_be_empty: bool = False) -> pd.DataFrame:
    """A CSV, TSV, Parquet or Excel (first sheet) table with every value as text; an empty cell is "".

    Args:
        path: The file.
        may_be_empty: Accept a header without rows.

    Raises:
        InputError: The file is missing, of another kind, cannot be parsed, has ragged rows or columns of one name.
        MissingExtraError: An Excel table, and openpyxl is not installed.
    """
    require_file(path)
    kind = path.suffix.lower()
    if kind in SEPARATORS:
        return _from_rows(path, _separated_rows(path, SEPARATORS[kind]), may_be_empty)
    if kind == ".xlsx":
        return _from_rows(path, _excel_rows(path), may_be_empty)
    if kind != ".parquet":
        raise InputError(
            "is not a .csv, .tsv, .parquet or .xlsx table", where=path, remedy="Save the table in one of these forms"
        )
    frame: pd.DataFrame = read_table(path)
    if frame.empty and not may_be_empty:
        raise _no_rows(path)
    return frame.rename(columns=str).map(_text).astype(object)


def _separated_rows(path: Path, separator: str) -> list[list[str]]:
    try:
        table = pd.read_csv(path, sep=separator, dtype=str, header=None, keep_default_na=False, encoding="utf-8-sig")
    except (ValueError, OSError) as error:
        raise InputError(f"cannot be read as a table ({error})", where=path, remedy="Open and save it again") from error
    rows: list[list[str]] = table.fillna("").to_numpy().tolist()
    return rows


def _excel_rows(path: Path) -> list[list[str]]:
    try:
        import openpyxl
    except ImportError as error:
        raise MissingExtraError("openpyxl", extra="formats", purpose=f"Reading the Excel table {path.name}") from error
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        rows = [[_text(value) for value in row] for row in book.worksheets[0].iter_rows(values_only=True)]
        book.close()
    except (zipfile.BadZipFile, ParseError, KeyError, ValueError, TypeError, IndexError, OSError) as error:
        raise InputError(f"is not a readable Excel table ({error})", where=path, remedy="Save it as .csv") from error
    filled = [sum(value != "" for value in row) for row in rows]
    # Titles and remarks above the header fill fewer cells than it does.
    first = next((i for i, n in enumerate(filled) if 2 * n > max(filled)), 0)
    return [row for row, n in zip(rows[first:], filled[first:], strict=True) if n]


def _no_rows(path: Path) -> InputError:
    return InputError("has no rows below its header", where=path, remedy="Check that the table was saved whole")


def _from_rows(path: Path, rows: Sequence[Sequence[str]], may_be_empty: bool) -> pd.DataFrame:
    if len(rows) < (1 if may_be_empty else 2):
        raise _no_rows(path)
    names = [name.strip() for name in rows[0]]
    used, unnamed = [i for i, name in enumerate(names) if name], [i for i, name in enumerate(names) if not name]
    if stray := next((row for row in rows[1:] if any(row[i] for i in unnamed)), None):
        raise InputError(
            f"has a value under a column without a name, in the row that begins {list(stray[:4])}",
            where=path,
            remedy="Name every column, and quote values that hold the separator",
        )
    kept = [names[i] for i in used]
    if twice := next((name for name in kept if kept.count(name) > 1), None):
        raise InputError(f"has two columns {twice!r}", where=path, remedy="Give each column its own name")
    return pd.DataFrame([[row[i].strip() for i in used] for row in rows[1:]], columns=kept, dtype=object)


def _text(value: Any) -> str:
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and value != value):
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    return str(value).strip()


def find_column(columns: Iterable[str], names: Iterable[str]) -> str | None:
    """The first of the columns that has one of the names, case, spaces and punctuation aside."""
    plain = {_plain(column): column for column in reversed([str(column) for column in columns])}
    return next((plain[name] for name in map(_plain, names) if name in plain), None)


def require_column(frame: pd.DataFrame, names: Sequence[str], path: Path) -> str:
    """As `find_column`, but an InputError when there is none."""
    column = find_column(frame, names)
    if column is None:
        raise InputError(
            f"has no column {names[0]!r} (it has: {', '.join(map(str, frame.columns))})",
            where=path,
            remedy=f"Name the column {names[0]!r}",
        )
    return column


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def whole_number(text: str, what: str, path: Path) -> int:
    """A non-negative integer from a cell, `12` or `12.0`; an InputError when it is something else."""
    if not re.fullmatch(r"[0-9]{1,9}(\.0*)?", text.strip()):
        raise InputError(
            f"has the {what} {text!r}, which is not a whole number", where=path, remedy="Write ids as 1, 2, 3 …"
        )
    return int(text.split(".")[0])


def positive_number(text: str, what: str, path: Path) -> float:
    """A positive finite number from a cell; an InputError when it is something else."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 < number < float("inf"):
        raise InputError(f"has the {what} {text!r}", where=path, remedy="Write a positive number, as 0.5")
    return number
