"""A plan as tables that people read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.table import Table

    from cryostat.cells.planning import Machine, Obstacle, Plan, Row, Work

UNKNOWN, NOTHING = "?", "–"

NARROW = 132
"""Columns of a terminal below which a plan takes two tables."""


def show_plan(plan: Plan) -> None:
    """Print a plan: its rows, what stands in the way with the remedies, and what the numbers rest on."""
    from rich.markup import escape

    from cryostat.cli.tables import wide_console

    console = wide_console()
    names, rows, store, bill = _columns(plan)
    together = [[*names, *rows, *store, *bill]]
    for columns in together if console.width >= NARROW else [[*names, *rows, *bill], [*names, *store]]:
        console.print(_table(plan, columns))
    for obstacle, number in _numbered(plan).items():
        runs = plan.obstacles[obstacle]
        console.print(f"[bold red]{number}[/] {escape(obstacle.problem)} [dim]({runs} run{'s' * (runs != 1)})[/]")
        console.print(f"  [green]→[/] {escape(obstacle.remedy)}", highlight=False)
    for line in _remarks(plan):
        console.print(f"[dim]{escape(line)}[/]", highlight=False)


def _numbered(plan: Plan) -> dict[Obstacle, int]:
    return {obstacle: number for number, obstacle in enumerate(plan.obstacles, 1)}


@dataclass(frozen=True)
class _Column:
    """A column.

    Attributes:
        name: Heading.
        cell: What a row shows.
        total: What the last line shows.
        number: Whether it holds numbers.
        words: Width to which it may be broken; 0 where it may not be.
    """

    name: str
    cell: Callable[[Row], str]
    total: str = ""
    number: bool = True
    words: int = 0


def _columns(plan: Plan) -> tuple[list[_Column], ...]:
    """The columns that name a row, and those of its runs, of tiles and store, of times and obstacles."""
    numbers, rows = _numbered(plan), plan.rows
    longest = max((len(head) for row in rows for head in row.heads), default=0)
    names = [
        _Column("dataset", lambda row: row.dataset, "total", number=False),
        _Column("encoder", _encoder, number=False, words=min(13, max((len(_encoder(row)) for row in rows), default=0))),
        _Column("mode", lambda row: row.mode, number=False),
    ]
    runs = [
        _Column("heads", lambda row: ", ".join(row.heads), number=False, words=longest + 1),
        _Column("runs", lambda row: str(row.runs), str(sum(row.runs for row in rows))),
        _Column("done", _done, str(sum(row.done for row in rows))),
    ]
    store = [
        _Column("tiles", _tiles),
        _Column("passes", _passes, count(sum(row.cost.passes or 0 for row in rows))),
        _Column("layers", _layers),
        _Column("disk", _disk),
        _Column("stored", _stored),
        _Column("new", lambda row: size(row.cost.to_write), size(plan.to_write)),
    ]
    bill = [
        _Column("time here", lambda row: duration(plan.here, row.cost.work), duration(plan.here, plan.work)),
        _Column(plan.gpu.name, lambda row: duration(plan.gpu, row.cost.work), duration(plan.gpu, plan.work)),
    ]
    if numbers:
        numbered = _Column("in the way", lambda row: " ".join(str(numbers[one]) for one in row.obstacles), number=False)
        bill.append(replace(numbered, words=6))
    return names, runs, store, bill


def _table(plan: Plan, columns: Sequence[_Column]) -> Table:
    from rich import box
    from rich.table import Table

    title = f"Plan of {plan.study} · protocol {plan.protocol}"
    table = Table(title=title, title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD)
    table.show_footer, table.padding, table.pad_edge = True, (0, 1, 0, 0), False
    for column in columns:
        justify: Literal["right", "left"] = "right" if column.number else "left"
        whole, least = not column.words, column.words or None
        table.add_column(column.name, column.total, justify=justify, no_wrap=whole, min_width=least, overflow="fold")
    for row in plan.rows:
        table.add_row(*(column.cell(row) for column in columns))
    return table


def _encoder(row: Row) -> str:
    return NOTHING if row.mode == "supervised" else row.encoder


def _done(row: Row) -> str:
    return f"[green]{row.done}[/]" if row.done else "0"


def _tiles(row: Row) -> str:
    cost = row.cost
    return UNKNOWN if cost.tiles is None else f"{'' if cost.exact else '~'}{cost.tiles:,}"


def _passes(row: Row) -> str:
    cost = row.cost
    if cost.passes is None:
        return UNKNOWN
    return f"{'' if cost.exact else '~'}{count(cost.passes)}" if cost.passes else NOTHING


def _layers(row: Row) -> str:
    layers, views = len(row.cost.layers), row.cost.views
    return f"{layers} × {views} views" if views > 1 else str(layers or NOTHING)


def _disk(row: Row) -> str:
    cost = row.cost
    return UNKNOWN if cost.layers and cost.bytes is None else size(cost.bytes or 0)


def _stored(row: Row) -> str:
    cost = row.cost
    if not cost.bytes:
        return NOTHING
    return "[green]all[/]" if cost.stored >= cost.bytes else f"{100 * cost.stored / cost.bytes:.0f} %"


def count(number: int) -> str:
    """A number, shortened where it is large."""
    return f"{number / 1e6:,.1f} M" if number >= 1e6 else f"{number / 1e3:,.0f} k" if number >= 1e5 else f"{number:,}"


def size(count: int) -> str:
    """Bytes in MB or GB; a dash for none."""
    if not count:
        return NOTHING
    if count >= 1e9:
        return f"{count / 1e9:,.1f} GB"
    return f"{count / 1e6:,.0f} MB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"


def duration(machine: Machine, work: Work | None) -> str:
    """How long some work takes a machine; a question mark where that is unknown, a dash for none."""
    if work is None:
        return UNKNOWN
    if not work.flops:
        return NOTHING
    seconds = machine.seconds(work)
    for unit, length in (("y", 365.25 * 86400), ("d", 86400.0), ("h", 3600.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else "< 1 min"


def _remarks(plan: Plan) -> list[str]:
    remarks = [
        f"Free for features: {size(plan.free)}.",
        f"{plan.here.name}: {_rates(plan.here)}, {plan.here.basis}.",
        f"{plan.gpu.name}: {_rates(plan.gpu)}, {plan.gpu.basis}.",
        "Passes and times are at most these, as if no training stopped early; reading files is left out.",
        "What is done and stored is told by settings and names: about right.",
    ]
    if any(not row.cost.exact for row in plan.rows):
        remarks.append("~ from published sizes or supposed parts: about right.")
    if any(row.cost.work is None for row in plan.rows):
        remarks.append("? cannot be known yet, and is not in the totals.")
    return remarks


def _rates(machine: Machine) -> str:
    tokens, pixels = machine.tokens / 1e12, machine.pixels / 1e12
    return f"{tokens:.3g} TFLOP/s in transformers, {pixels:.3g} in convolutions"
