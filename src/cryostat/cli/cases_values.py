"""How clinical columns were read, as a table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from cryostat.cases.cohort.report import ValueCounts

MOST_LEVELS = 12


def values_table(columns: Sequence[ValueCounts]) -> Table:
    """A row a column: of how many it is known, how its cells were read, and its numbers or words."""
    table = Table(
        title=Text("Columns of values"), title_justify="left", title_style="bold", header_style="dim", box=None
    )
    table.add_column("column", no_wrap=True)
    table.add_column("patients", justify="right", no_wrap=True)
    table.add_column("as", no_wrap=True)
    table.add_column("values", overflow="fold")
    table.add_column("read", overflow="fold")
    for column in columns:
        name = Text.assemble((column.modality, "cyan"), f" {column.column}")
        table.add_row(name, f"{column.patients:,}", _kind(column), Text(_values(column)), Text(_read(column.read)))
    return table


def _kind(column: ValueCounts) -> str:
    return f"{column.kind} ({column.unit})" if column.unit else column.kind


def _values(column: ValueCounts) -> str:
    if column.levels:
        shown = [f"{level} {count:,}" for level, count in list(column.levels.items())[:MOST_LEVELS]]
        more = len(column.levels) - MOST_LEVELS
        return " · ".join(shown) + (f" · and {more} more" if more > 0 else "")
    if not column.quartiles:
        return "–"
    least, low, median, high, most = (f"{number:.4g}" for number in column.quartiles)
    return f"median {median}, half within {low} to {high}, all within {least} to {most}"


def _read(read: Mapping[str, int]) -> str:
    return ", ".join(f"{way} {count:,}" for way, count in read.items())
