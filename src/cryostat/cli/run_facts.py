"""What a run was, in lines that people can read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from cryostat.results.records import RunRecord

SECTIONS = ("settings", "training", "phases", "environment", "identity")
MANY = 6
"""Items above which a list of names is told by its groups."""


def facts_table(record: RunRecord) -> Table:
    """Settings, training, times, machine and identity of a run."""
    from rich.table import Table
    from rich.text import Text

    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for section in SECTIONS:
        for i, line in enumerate(_lines(getattr(record, section))):
            table.add_row(section if i == 0 else "", Text(line))
    return table


def _lines(facts: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in facts.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            yield from _lines(value, f"{name}.")
        elif isinstance(value, list | tuple) and value:
            yield from _items(name, value)
        else:
            yield f"{name}: {'none' if value is None or value in ([], ()) else value}"


def _items(name: str, values: Sequence[Any]) -> Iterator[str]:
    if all(isinstance(value, Mapping) for value in values):
        yield f"{name}:"
        yield from (f"  {_figures(value)}" for value in values)
    elif len(values) > MANY and all(isinstance(value, str) for value in values):
        yield f"{name}: {len(values)} ({_groups(values)})"
    elif all(isinstance(value, str) and " " in value for value in values):
        yield f"{name}:"
        yield from (f"  {value}" for value in values)
    else:
        yield f"{name}: {', '.join(map(str, values))}"


def _figures(facts: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key} {value:.4g}" if isinstance(value, float) else f"{key} {value}" for key, value in facts.items()
    )


def _groups(names: Sequence[str]) -> str:
    """`head.up3 24, encoder.blocks 144`: names by their first two parts."""
    counts = Counter(".".join(name.split(".")[:2]) for name in names)
    shown = [f"{group} {count}" for group, count in counts.most_common(MANY)]
    return ", ".join(shown) + (f", {len(counts) - MANY} groups more" if len(counts) > MANY else "")
