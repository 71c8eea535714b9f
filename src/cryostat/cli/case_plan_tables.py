"""A plan of a study of cases as tables that people read."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

    from cryostat.cases.planning import CasePlan, CaseRow, ModalityPlan
    from cryostat.runs.obstacles import Obstacle

NOTHING, UNKNOWN = "–", "?"


def show_case_plan(plan: CasePlan) -> None:
    """Print a plan: evidence, runs, what stands in the way with the remedies, and what the numbers rest on."""
    from rich.markup import escape

    from cryostat.cli.tables import wide_console

    console = wide_console()
    console.print(f"[bold]Plan of {escape(plan.study)} · protocol {escape(plan.protocol)}[/]", highlight=False)
    numbers = {obstacle: number for number, obstacle in enumerate(plan.obstacles, 1)}
    for cohort, modalities in itertools.groupby(plan.modalities, lambda modality: modality.cohort):
        console.print(_evidence_table(cohort, list(modalities)))
    for labels, rows in itertools.groupby(plan.rows, lambda row: (row.cohort, row.modalities)):
        console.print(_runs_table(labels, list(rows), numbers))
    for obstacle, number in numbers.items():
        runs = plan.obstacles[obstacle]
        console.print(f"[bold red]{number}[/] {escape(obstacle.problem)} [dim]({runs} run{'s' * (runs != 1)})[/]")
        console.print(f"  [green]→[/] {escape(obstacle.remedy)}", highlight=False)
    for line in _remarks(plan):
        console.print(f"[dim]{escape(line)}[/]", highlight=False)


def _evidence_table(cohort: str, modalities: list[ModalityPlan]) -> Table:
    from rich.markup import escape

    embeds = any(m.to_embed != 0 or m.embedded for m in modalities)
    table = _table(f"{cohort} · evidence", ["modality", "from"], ["patients", "files", "unusable", "to read"])
    for name in ("embedded", "to embed", "time") if embeds else ():
        table.add_column(name, justify="right", no_wrap=True)
    for m in modalities:
        cells = [
            m.name,
            escape(m.source),
            str(m.patients),
            _or_nothing(m.files),
            _or_nothing(m.unusable),
            _size(m.bytes),
        ]
        rest = UNKNOWN if m.to_embed is None else _or_nothing(m.to_embed)
        of_encoder = [_or_nothing(m.embedded), rest, _duration(m.seconds)]
        table.add_row(*cells, *(of_encoder if embeds else ()))
    return table


def _runs_table(labels: tuple[str, tuple[str, ...]], rows: list[CaseRow], numbers: Mapping[Obstacle, int]) -> Table:
    from rich.markup import escape

    cohort, modalities = labels
    figures = ["patients", "splits", "fits", "predictions", "time"]
    table = _table(f"{cohort} · {' + '.join(modalities)}", ["task", "method"], figures)
    table.add_column("timed by")
    if any(row.obstacles for row in rows):
        table.add_column("in the way")
    task = ""
    for row in rows:
        counts = (row.patients, row.splits, row.fits, row.predictions)
        time = "[green]done[/]" if row.done else UNKNOWN if row.seconds is None else _duration(row.seconds)
        names = ("" if row.task == task else row.task, row.method)
        cells = [*map(escape, names), *map(_or_nothing, counts), time, row.basis]
        if len(table.columns) > len(cells):
            cells.append(" ".join(f"[red]{numbers[obstacle]}[/]" for obstacle in row.obstacles))
        table.add_row(*cells)
        task = row.task
    return table


def _table(title: str, names: Iterable[str], figures: Iterable[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in names:
        table.add_column(name, overflow="fold")
    for name in figures:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _or_nothing(number: int) -> str:
    from cryostat.cli.plan_tables import count

    return count(number) if number else NOTHING


def _size(count: int) -> str:
    from cryostat.cli.plan_tables import size

    return size(count)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return UNKNOWN
    if not seconds:
        return NOTHING
    for unit, length in (("d", 86400.0), ("h", 3600.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{max(1, round(seconds))} s"


def _remarks(plan: CasePlan) -> list[str]:
    from cryostat.cases.evaluation.evaluate import MEMORY

    done, waiting = sum(row.done for row in plan.rows), sum(bool(row.obstacles) for row in plan.rows)
    remarks = [
        f"{len(plan.rows)} runs: {done} done, {waiting} wait, {len(plan.rows) - done - waiting} to run, "
        f"about {_duration(plan.seconds)} in all.",
        f"Disk: about {_size(plan.to_write)} of predictions; {_size(plan.free)} are free.",
        f"Memory: the evidence, {_size(plan.to_read)} in its files, and at most about {_size(MEMORY)} of fits at once.",
        "Times grow from the pace of finished runs, else of a few small fits on noise, here and now: about right.",
        "Fits on noise leave out scoring, some seconds a run.",
    ]
    if any(modality.to_embed is None or modality.seconds is None for modality in plan.modalities):
        remarks.append("? is not known before some of it is embedded, and not in the total.")
    return remarks


def case_plan_as_json(plan: CasePlan) -> dict[str, Any]:
    """The plan as plain data: bytes, seconds."""
    numbers = list(plan.obstacles)
    return {
        "study": plan.study,
        "protocol": plan.protocol,
        "seconds": plan.seconds,
        "bytes_to_read": plan.to_read,
        "bytes_to_write": plan.to_write,
        "free_bytes": plan.free,
        "modalities": [
            {**vars(modality), "obstacles": [vars(obstacle) for obstacle in modality.obstacles]}
            for modality in plan.modalities
        ],
        "rows": [
            {**vars(row), "obstacles": [numbers.index(obstacle) for obstacle in row.obstacles]} for row in plan.rows
        ],
        "obstacles": [{**vars(obstacle), "runs": runs} for obstacle, runs in plan.obstacles.items()],
    }
