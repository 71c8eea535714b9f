"""Losses under shift as tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cryostat.cli.compare_tables import estimate, figures_table, label, share

if TYPE_CHECKING:
    from rich.console import Console

    from cryostat.results.pairing import ShiftedRow
    from cryostat.results.shift import Shift


def print_shifts(console: Console, rows: Sequence[ShiftedRow], per_class: bool) -> None:
    """One row an encoder and head, for each dataset; below it the classes of each where asked."""
    from rich.text import Text

    facts = [rows[0].base.facts, rows[0].shifted.facts]
    title = Text.assemble(
        (str(facts[0]["dataset"]), "bold"), f" · {facts[0]['split']} → {facts[1]['split']} · macro F1"
    )
    table = figures_table(title, ("", "base", "shifted", "change [95 %]", "same class mix [95 %]"))
    table.add_column("worst group")
    names = [label(row.base, [other.base for other in rows]) for row in rows]
    for name, row in zip(names, rows, strict=True):
        found = row.shift.macro_f1
        figures = [share(found.base), share(found.shifted), estimate(found.change), estimate(found.matched_change)]
        table.add_row(Text(name), *figures, Text(_worst(row.shift)))
    console.print(table)
    if per_class:
        for name, row in zip(names, rows, strict=True):
            _print_classes(console, name, row.shift)
    for line in _basis(rows[0].shift):
        console.print(line, style="dim", markup=False, highlight=False)


def _print_classes(console: Console, name: str, shift: Shift) -> None:
    from rich.text import Text

    table = figures_table(Text(name), ("", "base", "shifted", "change [95 %]", "same class mix [95 %]", "cells"))
    table.add_column("")
    for score in shift.classes:
        figures = [share(score.base), share(score.shifted), estimate(score.change), estimate(score.matched_change)]
        cells = f"{score.supports[0]:,} → {score.supports[1]:,}"
        mark = f"rare: {score.rare}" if score.rare else ""
        table.add_row(Text(score.name), *figures, cells, mark, style="dim" if score.rare else "")
    console.print(table)


def _worst(shift: Shift) -> str:
    return ", ".join(
        f"{group.column.removeprefix('group_')} {group.group} {share(group.macro_f1.value)}" for group in shift.worst
    )


def _basis(shift: Shift) -> list[str]:
    from cryostat.cli.interval_texts import PLURALS

    both = f", {shift.shared} of them in both" if shift.shared else ""
    lines = [
        f"{shift.clusters[0]} and {shift.clusters[1]} {PLURALS[shift.kind]}{both}. Same class mix: the shifted part's "
        "true classes weighted as in the base part, so that a change is not mere prevalence."
    ]
    if shift.left_out:
        lines.append(f"In one part alone, and left out: {', '.join(shift.left_out)}.")
    return lines
