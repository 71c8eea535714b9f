"""Papers beside our runs, as tables that people read."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from cryostat.cases.replication import Figure, ReplicatedCase, ReplicatedTask
    from cryostat.cells.planning import Obstacle
    from cryostat.cells.replication import ReplicatedRow, ReplicatedTable
    from cryostat.core.home import Home
    from cryostat.results.published import Contradiction, PublishedTable

NOTHING = "–"

VERDICTS = {True: "[green]yes[/]", False: "[yellow]no[/]", None: ""}
"""Whether the published figure lies in our interval."""


def show_cells(tables: Sequence[ReplicatedTable], home: Home) -> None:
    """Print each table of PathoCellBench beside our runs, then reasons, marks, quirks and contradictions."""
    from cryostat.cells.protocols import load_protocol
    from cryostat.cells.replication import BENCHMARK, PROTOCOL
    from cryostat.cli.tables import wide_console
    from cryostat.results.published import published_benchmark

    console, benchmark = wide_console(), published_benchmark(BENCHMARK)
    numbers = _numbered(tables)
    shown = [table for table in tables if table.rows]
    for table in shown:
        _head(console, table.published, _about(table))
        console.print(_cells_table(table, numbers, () if console.width >= ROOMY else ("accuracy",)))
        _show_below(console, table)
    _show_obstacles(console, shown, numbers)
    marks = {mark for table in shown for row in table.rows for mark in row.published.marks}
    for mark in sorted(marks):
        console.print(f"[bold]{mark}[/]  {benchmark.marks[mark]}", highlight=False)
    _show_quirks(console, load_protocol(PROTOCOL).quirks())
    _show_contradictions(console, benchmark.contradictions)
    _show_sum(console, shown, home)


def _about(table: ReplicatedTable) -> list[str]:
    """The size of the published test part, our split, and how much of the dataset is here."""
    published, cells = table.published, sum(table.published.supports.values())
    about = [f"test part of {cells:,} nuclei"] if cells else []
    about.append(f"ours: {published.dataset}, split {published.split}")
    if table.fields and table.fields[0] < table.fields[1]:
        about.append("{:,} of {:,} fields imported".format(*table.fields))
    return about


def _numbered(tables: Sequence[ReplicatedTable]) -> dict[Obstacle, int]:
    found = (obstacle for table in tables for row in table.rows if not row.ours for obstacle in row.obstacles)
    return {obstacle: number for number, obstacle in enumerate(dict.fromkeys(found), 1)}


def _cells_table(table: ReplicatedTable, numbers: Mapping[Obstacle, int], without: Sequence[str]) -> Table:
    """A row a published row; columns of our figures only where there are any."""
    rows, drawn = table.rows, _table()
    digits = 3 if all(round(f1, 3) == f1 for row in rows if (f1 := row.published.metrics.get("macro_f1"))) else 4
    cells = [_cells_of(table, row, numbers, digits) for row in rows]
    shown = [name for name in cells[0] if name not in without and any(row[name] for row in cells)]
    for name in shown:
        drawn.add_column(
            "" if name == "marks" else name, justify="right" if name in FIGURES else "left", no_wrap=name in FIGURES
        )
    for row in cells:
        drawn.add_row(*(row[name] for name in shown))
    return drawn


ROOMY = 120
"""Columns of a terminal below which accuracy is left out."""

FIGURES = ("fields", "paper", "ours", "95 %", "accuracy")
"""Columns of numbers, which are never broken."""


def _cells_of(
    table: ReplicatedTable, row: ReplicatedRow, numbers: Mapping[Obstacle, int], digits: int
) -> dict[str, str]:
    """Heading to what a row shows under it; the paper's figure has as many digits as are printed."""
    shares = any(other.published.fraction < 1 for other in table.rows)
    ours = _ours_of(table, row)
    return {
        "model": row.published.model,
        "head": row.published.head,
        "fields": f"{row.published.fraction:.0%}" if shares else "",
        "paper": _text(row.published.metrics.get("macro_f1"), digits),
        "marks": "".join(row.published.marks),
        **{name: ours.get(name, "") for name in ("ours", "95 %", "accuracy", "within", "test part")},
        "state": "" if ours else _state(row, numbers),
    }


def _ours_of(table: ReplicatedTable, row: ReplicatedRow) -> dict[str, str]:
    if row.ours is None:
        return {}
    ours = row.ours
    spread = "" if math.isnan(ours.macro_f1_sd) else f" ± {ours.macro_f1_sd:.3f}"
    return {
        "ours": f"{_text(ours.macro_f1, 4)}{spread}",
        "95 %": _interval(ours.low, ours.high),
        "accuracy": _text(ours.accuracy, 4),
        "within": (VERDICTS[row.within] or NOTHING) + (" *" if ours.departures else ""),
        "test part": {True: "same counts", False: f"{ours.cells:,} nuclei", None: ""}[table.same_test(row)],
    }


def _state(row: ReplicatedRow, numbers: Mapping[Obstacle, int]) -> str:
    """Of a row that has not run."""
    what = ", ".join(str(numbers[obstacle]) for obstacle in row.obstacles)
    return f"[dim]waits:[/] [red]{what}[/]" if what else "[cyan]can run[/]"


def _show_below(console: Console, table: ReplicatedTable) -> None:
    """In what our runs of a table depart from the published settings, and the commands of rows that can run."""
    from rich.markup import escape

    from cryostat.cells.replication import command_of

    found = [row for row in table.rows if row.ours and row.ours.departures]
    for row in found:
        departures = "; ".join(row.ours.departures) if row.ours else ""
        console.print(f"* {row.published.model} {row.published.head}, ours / published: {escape(departures)}")
    ready = [row for row in table.rows if not row.obstacles and (not row.ours or row.ours.departures)]
    for command in dict.fromkeys(command_of(table.published, row.published) for row in ready):
        console.print(f"[cyan]{command}[/]", highlight=False, soft_wrap=True)


def _show_obstacles(console: Console, tables: Sequence[ReplicatedTable], numbers: Mapping[Obstacle, int]) -> None:
    from rich.markup import escape

    if numbers:
        console.print("[bold]What rows wait for[/]")
    waiting = [row for table in tables for row in table.rows if not row.ours]
    for obstacle, number in numbers.items():
        rows = sum(obstacle in row.obstacles for row in waiting)
        console.print(f"[red]{number:>3}[/]  {escape(obstacle.problem)} [dim]({rows} row{'s' * (rows != 1)})[/]")
        console.print(f"     [green]→[/] {escape(obstacle.remedy)}", highlight=False)
    if numbers:
        console.print("     then: [cyan]cryostat replicate pathocellbench --table TABLE --run[/]", highlight=False)


def _show_sum(console: Console, tables: Sequence[ReplicatedTable], home: Home) -> None:
    rows = [row for table in tables for row in table.rows]
    compared = [row for row in rows if row.ours]
    verdicts = [row.within for row in compared]
    console.print(
        f"{len(rows)} published rows: {len(compared)} compared with runs in [cyan]{home.runs}[/] "
        f"({verdicts.count(True)} within, {verdicts.count(False)} not), "
        f"{sum(not row.ours and not row.obstacles for row in rows)} can run, "
        f"{sum(not row.ours and bool(row.obstacles) for row in rows)} wait"
    )


def show_cases(tasks: Sequence[ReplicatedTask], home: Home) -> None:
    """Print each table of CoRe-BT beside what came of it on a cohort, then quirks and what to bear in mind."""
    from rich.markup import escape

    from cryostat.cli.tables import wide_console

    console = wide_console()
    for task in tasks:
        _head(console, task.published, _test_parts(task))
        for metrics in [[*NAMES]] if console.width >= WIDE else [[name] for name in NAMES]:
            console.print(_cases_table(task, metrics))
        if task.reason:
            console.print(f"[red]not run[/] {escape(task.reason)}\n  [green]→[/] {escape(task.remedy)}")
    _show_quirks(console, next((task.quirks for task in tasks if task.quirks), ()))
    for line in REMARKS:
        console.print(f"[dim]{line}[/]", highlight=False)
    runs = sum(len(task.runs) for task in tasks)
    console.print(f"{runs} runs are in [cyan]{home.runs}[/]")


REMARKS = (
    "Under the name of a metric stands the paper's figure; within: it lies in the 95 % interval of ours.",
    "Published and own figures are of different patients: a figure that is not within may be the cohort's doing.",
    "gone: balanced accuracy where an ablated modality is withheld from the experts too (ablation full), not from the "
    "residual alone as published.",
    "Each task draws its test patients for itself; the paper says that its tasks share theirs.",
    "What the paper calls accuracy and recall is balanced accuracy: the two are equal in all its rows.",
)
"""What the reader of the tables should bear in mind."""


NAMES = {"balanced_accuracy": "bal. acc.", "macro_precision": "precision", "macro_f1": "F1"}
"""Metrics of the tables to their headings."""

WIDE = 160
"""Columns of a terminal from which the metrics stand side by side."""


def _cases_table(task: ReplicatedTask, metrics: Sequence[str]) -> Table:
    drawn = _table()
    drawn.add_column("configuration")
    for name in metrics:
        for heading in (NAMES[name], "ours", "95 %"):
            drawn.add_column(heading, justify="right", no_wrap=True)
        drawn.add_column("within", no_wrap=True)
    if withheld := "balanced_accuracy" in metrics:
        drawn.add_column("gone", justify="right", no_wrap=True)
    for row in task.rows:
        gone = [_text(row.withheld) if row.withheld is not None else ""] if withheld else []
        drawn.add_row(row.published.config, *_cases_figures(row, metrics), *gone)
    return drawn


def _cases_figures(row: ReplicatedCase, metrics: Iterable[str]) -> list[str]:
    return [cell for name in metrics for cell in _figure(row.figures[name])]


def _figure(figure: Figure) -> tuple[str, str, str, str]:
    return _text(figure.paper), _text(figure.value), _interval(figure.low, figure.high), VERDICTS[figure.within]


def _test_parts(task: ReplicatedTask) -> list[str]:
    parts = []
    if task.published.test:
        guess = "" if task.published.test.certain else ", uncertain"
        parts.append(f"paper: {sum(task.published.test.patients)} test patients{guess}")
    if task.supports:
        each = ", ".join(f"{name}: {n}" for n, name in zip(task.supports, task.classes, strict=True))
        parts.append(f"ours, task {task.task}: {sum(task.supports)} ({each})")
    return parts


def show_published_cases() -> None:
    """Print the published tables of CoRe-BT, the test patients that they imply, and what does not agree."""
    from cryostat.cli.tables import wide_console
    from cryostat.results.published import published_benchmark

    console, benchmark = wide_console(), published_benchmark("core-bt")
    for table in benchmark.tables:
        _head(console, table)
        console.print(_published_table(table) if table.task else _counts(table))
        if table.test:
            console.print(f"[dim]{table.test.note}[/]\n", highlight=False)
    _show_contradictions(console, benchmark.contradictions)
    console.print(
        "The paper's cohort is given on request only. On one of yours: "
        "[cyan]cryostat replicate core-bt --cohort COHORT.toml[/]; to make one: [cyan]cryostat cases simulate[/]",
        highlight=False,
    )


def _counts(table: PublishedTable) -> Table:
    """A table of how many patients there are of what."""
    drawn, named = _table(), any(row.model for row in table.rows)
    for name in (*(["class"] if named else []), "patients with" if not named else "sub-type"):
        drawn.add_column(name, no_wrap=True)
    drawn.add_column("patients", justify="right")
    for row in table.rows:
        drawn.add_row(*([row.model] if named else []), row.config, f"{row.metrics['patients']:.0f}")
    return drawn


def _published_table(table: PublishedTable) -> Table:
    test, drawn = table.test, _table()
    drawn.add_column("configuration", no_wrap=True)
    for name in (*NAMES.values(), *(["implied: accuracy", "95 %"] if test else [])):
        drawn.add_column(name, justify="right", no_wrap=True)
    if test:
        drawn.add_column(f"right of {' / '.join(map(str, test.patients))}", no_wrap=True)
        drawn.add_column("named so", no_wrap=True)
    implied = {config: row for row in test.rows for config in row.configs} if test else {}
    for row in table.rows:
        cells = [_text(row.metrics.get(name)) for name in NAMES]
        if test and row.config in implied:
            found = implied[row.config]
            cells += [_text(test.accuracy(found)), _interval(found.low, found.high)]
            cells += [" / ".join(map(str, found.right)), " / ".join(map(str, found.predicted))]
        drawn.add_row(row.config, *cells)
    return drawn


def _head(console: Console, table: PublishedTable, about: Sequence[str] = ()) -> None:
    """The title of a table, above it: as its own title it would be broken to the width of its columns."""
    console.print(f"[bold]{table.title}[/]  [dim]{' · '.join([table.source, *about])}[/]", highlight=False)


def _table() -> Table:
    from rich import box
    from rich.table import Table

    return Table(header_style="bold", box=box.SIMPLE_HEAD)


def _show_quirks(console: Console, quirks: Sequence[str]) -> None:
    from rich.markup import escape

    if quirks:
        console.print("[bold]Quirks that were on[/], paper / otherwise")
    for quirk in quirks:
        console.print(f"  {escape(quirk)}", highlight=False)


def _show_contradictions(console: Console, contradictions: Sequence[Contradiction]) -> None:
    console.print("[bold]What does not agree[/]")
    for found in contradictions:
        console.print(f"  {found.claim} [dim]({found.source})[/]", highlight=False)
        console.print(f"    but {found.against}; {found.consequence}", highlight=False)


def _text(value: float | None, digits: int = 3) -> str:
    return NOTHING if value is None else f"{value:.{digits}f}"


def _interval(low: float | None, high: float | None) -> str:
    if low is None or high is None or math.isnan(low):
        return NOTHING
    return f"{low:.3f} – {high:.3f}"


def cells_as_json(tables: Sequence[ReplicatedTable]) -> list[dict[str, Any]]:
    """The rows of PathoCellBench as plain data."""
    return [
        {
            "table": table.published.name,
            "source": table.published.source,
            "published": asdict(row.published),
            "ours": _plain(asdict(row.ours)) if row.ours else None,
            "within": row.within,
            "same_test_part": table.same_test(row),
            "obstacles": [asdict(obstacle) for obstacle in row.obstacles] if not row.ours else [],
        }
        for table in tables
        for row in table.rows
    ]


def cases_as_json(tasks: Sequence[ReplicatedTask]) -> list[dict[str, Any]]:
    """The rows of CoRe-BT as plain data; of the published tables alone where nothing was run."""
    from cryostat.results.published import published

    if not tasks:
        return [
            {"table": table.name, "source": table.source, "published": asdict(row)}
            for table in published("core-bt")
            for row in table.rows
        ]
    return [
        {
            "table": task.published.name,
            "source": task.published.source,
            "task": task.task,
            "published": asdict(row.published),
            "figures": {name: asdict(figure) | {"within": figure.within} for name, figure in row.figures.items()},
            "withheld": row.withheld,
            "runs": task.runs,
            "reason": task.reason,
        }
        for task in tasks
        for row in task.rows
    ]


def _plain(facts: Mapping[str, Any]) -> dict[str, Any]:
    """With None for what is not a number."""
    return {key: None if isinstance(v, float) and math.isnan(v) else v for key, v in facts.items()}
