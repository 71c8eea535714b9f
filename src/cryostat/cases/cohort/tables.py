"""Tables of patients as people keep them: every value as text, so that the id `007` stays what it is."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from cryostat.cases.cohort.paths import opening
from cryostat.core.errors import InputError
from cryostat.core.files import read_table, require_file

MISSING = frozenset({"", "na", "n/a", "nan", "<na>"})
"""What stands for a value that is not known, in lower case."""

ERROR_WORDS = ("#DIV/0!", "#N/A", "#NAME?", "#NULL!", "#NUM!", "#REF!", "#VALUE!")
"""What spreadsheets write where there is no value."""

_QUOTED = re.compile(r'"[^"]*"')

UTF16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True)
class TextTable:
    """A table with every value as text, stripped of surrounding blanks.

    Attributes:
        path: The file.
        columns: Names of the columns, each once.
        rows: One tuple a row, "" where a cell is empty.
        places: Where each row stands in the file, as `line 7` or `row 7`.
        notes: What was particular in reading it.
    """

    path: Path
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    places: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def column(self, name: str) -> list[str]:
        """All values of one column."""
        place = self.columns.index(name)
        return [row[place] for row in self.rows]


def known(value: str) -> str | None:
    """The value, or None where it stands for one that is not known."""
    return None if value.lower() in MISSING else value


def read_text_table(path: Path) -> TextTable:
    """Read a CSV (comma, semicolon or tab), TSV or Parquet table.

    CSV may be UTF-8, with or without a byte order mark, UTF-16, or else Windows-1252, which is noted.

    Raises:
        InputError: The file is missing, of another kind, damaged, ragged, or has no rows or two columns of one name.
    """
    with opening(path):
        require_file(path)
    kind = path.suffix.lower()
    if kind in (".csv", ".tsv"):
        table = _separated(path)
    elif kind == ".parquet":
        table = _parquet(path)
    else:
        raise InputError("is not a .csv, .tsv or .parquet table", where=path, remedy="Save the table in one of these")
    if not table.rows:
        raise InputError("has no rows below its header", where=path, remedy="Check that the table was saved whole")
    return table


def _separated(path: Path) -> TextTable:
    text, notes = decoded(path)
    lines = list(_lines(path, text))
    if not lines:
        raise InputError("has no header", where=path, remedy="Name the columns in the first line")
    (_, header), body = lines[0], lines[1:]
    names = [name.strip() for name in header]
    used = _named_columns(path, names)
    if len(used) < len(names):
        notes = (*notes, f"{path.name}: columns without a name are left out")
    rows = [(place, _cells(path, place, row, len(names))) for place, row in body if any(cell.strip() for cell in row)]
    return TextTable(
        path,
        tuple(names[i] for i in used),
        tuple(tuple(cells[i] for i in used) for _, cells in rows),
        tuple(f"line {place}" for place, _ in rows),
        notes,
    )


def decoded(path: Path) -> tuple[str, tuple[str, ...]]:
    """The text of a table and what is to be noted of its encoding.

    Raises:
        InputError: It cannot be opened, or is no text.
    """
    with opening(path):
        data = path.read_bytes()
    if data.startswith(UTF16):
        return data.decode("utf-16", errors="replace"), ()
    if b"\0" in data or data.startswith(b"PK\x03\x04"):
        raise InputError("is not a table of text", where=path, remedy="Save it as CSV from the program that made it")
    try:
        return data.decode("utf-8-sig"), ()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        note = f"{path.name} is not UTF-8 (line {line}) and was read as Windows-1252; check accents in names and labels"
        return data.decode("cp1252", errors="replace"), (note,)


def _lines(path: Path, text: str) -> Iterator[tuple[int, list[str]]]:
    """The rows of a separated text with the line on which each begins."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator(path, text), strict=True)
    begun = 1
    try:
        for row in reader:
            if row:
                yield begun, row
            begun = reader.line_num + 1
    except csv.Error as error:
        raise InputError(
            f"cannot be read from line {begun} on ({error})", where=path, remedy="Check the quotation marks there"
        ) from error


def separator(path: Path, text: str) -> str:
    """Comma or tab by the ending; a .csv may be parted by semicolons or tabs, whichever its header has most of."""
    if path.suffix.lower() == ".tsv":
        return "\t"
    header = _QUOTED.sub("", text.lstrip().partition("\n")[0])
    return max(",;\t", key=header.count)


def _named_columns(path: Path, names: Sequence[str]) -> list[int]:
    used = [i for i, name in enumerate(names) if name]
    kept = [names[i] for i in used]
    if twice := next((name for name in kept if kept.count(name) > 1), None):
        raise InputError(f"has two columns {twice!r}", where=path, remedy="Give each column its own name")
    return used


def _cells(path: Path, line: int, row: Sequence[str], width: int) -> list[str]:
    cells = [cell.strip() for cell in row]
    if len(cells) < width or any(cells[width:]):
        raise InputError(
            f"has {len(cells)} cells in line {line}, its header {width}",
            where=path,
            remedy="Quote values that hold the separator, and write every cell, empty ones too",
        )
    return cells


def _parquet(path: Path) -> TextTable:
    frame = read_table(path)
    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    names = [str(name) for name in frame.columns]
    used = _named_columns(path, names)
    columns = [[text_of(value) for value in frame.iloc[:, i].tolist()] for i in used]
    rows = tuple(zip(*columns, strict=True))
    return TextTable(path, tuple(names[i] for i in used), rows, tuple(f"row {i + 1}" for i in range(len(rows))))


def text_of(value: Any) -> str:
    """A value of a typed table as it would stand in a CSV; a list of paths is joined by semicolons."""
    if isinstance(value, list | tuple | np.ndarray):
        return ";".join(filter(None, map(text_of, value)))
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace").strip()
    if value is None or value != value or str(value) in ("<NA>", "NaT"):
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()
