"""`cryostat plan`: what a study costs and what stands in its way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cryostat.cli.study_options import chosen_study, study_options

if TYPE_CHECKING:
    from rich.table import Table

    from cryostat.cells.planning import Machine, Obstacle, Plan, Row, Work
    from cryostat.core.home import Home

UNKNOWN = "?"


@click.command()
@click.argument("study", metavar="STUDY")
@study_options
@click.option("--device", default="auto", show_default=True, help="This machine's: auto, cpu, cuda …")
@click.option("--gpu", default="A100", show_default=True, help="Reference: T4, L4, RTX 4090, A100, H100 or H200.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Also write the plan here.")
@click.pass_obj
def command(
    home: Home, /, study: str, limit: int | None, device: str, gpu: str, json_file: Path | None, **replacements: Any
) -> None:
    """What STUDY costs and what stands in its way, before any work.

    STUDY is a file (TOML) or the name of a study that ships: see `cryostat run studies`. Nothing is computed or
    written. Passes and times are upper bounds, as if no training stopped early; times are estimates from counted
    operations and leave out reading files.
    """
    from cryostat.cells.planning import plan_study, reference_gpu, this_machine
    from cryostat.core.files import write_json

    chosen, reference = chosen_study(study, **replacements), reference_gpu(gpu)
    plan = plan_study(chosen.study, home, here=this_machine(device), gpu=reference, limit=limit)
    for note in chosen.notes:
        click.secho(note, fg="yellow", err=True)
    _show(plan)
    if json_file:
        write_json(json_file, as_json(plan))
        click.echo(f"The plan is in {json_file}")


def _show(plan: Plan) -> None:
    from rich.markup import escape

    from cryostat.cli.tables import wide_console

    console = wide_console()
    console.print(_table(plan))
    for obstacle, number in _numbered(plan).items():
        runs = plan.obstacles[obstacle]
        console.print(f"[bold red]{number}[/] {escape(obstacle.problem)} [dim]({runs} run{'s' * (runs != 1)})[/]")
        console.print(f"  [green]→[/] {escape(obstacle.remedy)}", highlight=False)
    for line in _remarks(plan):
        console.print(f"[dim]{escape(line)}[/]", highlight=False)


def _numbered(plan: Plan) -> dict[Obstacle, int]:
    return {obstacle: number for number, obstacle in enumerate(plan.obstacles, 1)}


def _table(plan: Plan) -> Table:
    from rich import box
    from rich.table import Table

    title = f"Plan of {plan.study} · protocol {plan.protocol}"
    table = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        show_footer=True,
        padding=(0, 1, 0, 0),
    )
    done = sum(row.done for row in plan.rows)
    passes = sum(row.cost.passes or 0 for row in plan.rows)
    table.add_column("dataset", "total")
    table.add_column("encoder", no_wrap=True)
    table.add_column("mode", no_wrap=True)
    table.add_column("heads")
    figures = {
        "runs": str(sum(row.runs for row in plan.rows)),
        "done": str(done),
        "tiles": "",
        "passes": _count(passes),
        "layers": "",
        "disk": _size(plan.to_write) if plan.to_write else "–",
        "stored": "",
        "time here": _duration(plan.here, plan.work),
        plan.gpu.name: _duration(plan.gpu, plan.work),
    }
    for name, total in figures.items():
        table.add_column(name, total, justify="right")
    table.add_column("in the way")
    numbers = _numbered(plan)
    for row in plan.rows:
        table.add_row(*_cells(row, plan), " ".join(str(numbers[obstacle]) for obstacle in row.obstacles))
    return table


def _cells(row: Row, plan: Plan) -> list[str]:
    cost = row.cost
    about = "" if cost.exact else "~"
    return [
        row.dataset,
        "–" if row.mode == "supervised" else row.encoder,
        row.mode,
        ", ".join(row.heads),
        str(row.runs),
        f"[green]{row.done}[/]" if row.done else "0",
        UNKNOWN if cost.tiles is None else f"{about}{cost.tiles:,}",
        UNKNOWN if cost.passes is None else f"{about}{_count(cost.passes)}" if cost.passes else "–",
        _layers(row),
        _disk(row),
        _stored(row),
        _duration(plan.here, cost.work),
        _duration(plan.gpu, cost.work),
    ]


def _layers(row: Row) -> str:
    layers, views = len(row.cost.layers), row.cost.views
    return f"{layers} × {views} views" if views > 1 else str(layers) if layers else "–"


def _disk(row: Row) -> str:
    cost = row.cost
    if not cost.layers:
        return "–"
    return UNKNOWN if cost.bytes is None else _size(cost.bytes)


def _stored(row: Row) -> str:
    cost = row.cost
    if not cost.bytes:
        return "–"
    share = cost.stored / cost.bytes
    return "[green]all[/]" if share >= 1 else f"{100 * share:.0f} %"


def _count(number: int) -> str:
    """A number of passes, shortened where it is large."""
    return f"{number / 1e6:,.1f} M" if number >= 1e6 else f"{number / 1e3:,.0f} k" if number >= 1e5 else f"{number:,}"


def _size(count: float) -> str:
    if count >= 1e9:
        return f"{count / 1e9:,.1f} GB"
    return f"{count / 1e6:,.0f} MB" if count >= 1e8 else f"{count / 1e6:,.1f} MB"


def _duration(machine: Machine, work: Work | None) -> str:
    """How long some work takes a machine."""
    if work is None:
        return UNKNOWN
    seconds = machine.seconds(work)
    if not work.flops:
        return "–"
    for unit, length in (("y", 365.25 * 86400), ("d", 86400.0), ("h", 3600.0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds / 60:.0f} min" if seconds >= 60 else "< 1 min"


def _remarks(plan: Plan) -> list[str]:
    remarks = [
        f"Free for features: {_size(plan.free)}; to write: {_size(plan.to_write) if plan.to_write else 'nothing'}.",
        f"{plan.here.name}: {_rates(plan.here)}, {plan.here.basis}.",
        f"{plan.gpu.name}: {_rates(plan.gpu)}, {plan.gpu.basis}.",
        "Passes and times are at most these, as if no training stopped early; reading files is left out.",
    ]
    if any(not row.cost.exact for row in plan.rows):
        remarks.append("~ from published sizes or supposed parts: about right.")
    if any(row.cost.work is None for row in plan.rows):
        remarks.append("? cannot be known yet, and is not in the totals.")
    return remarks


def _rates(machine: Machine) -> str:
    tokens, pixels = machine.tokens / 1e12, machine.pixels / 1e12
    return f"{tokens:.3g} TFLOP/s in transformers, {pixels:.3g} in convolutions"


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain data: bytes, seconds, operations."""
    return {
        "study": plan.study,
        "protocol": plan.protocol,
        "machines": [vars(plan.here), vars(plan.gpu)],
        "free_bytes": plan.free,
        "bytes_to_write": plan.to_write,
        **_seconds(plan, plan.work),
        "rows": [_row_json(row, plan) for row in plan.rows],
        "obstacles": [{**vars(obstacle), "runs": runs} for obstacle, runs in plan.obstacles.items()],
    }


def _row_json(row: Row, plan: Plan) -> dict[str, Any]:
    numbers = _numbered(plan)
    cost = {**vars(row.cost)}
    work = cost.pop("work")
    return {
        **{key: value for key, value in vars(row).items() if key not in ("cost", "obstacles")},
        **cost,
        **_seconds(plan, work),
        "obstacles": [numbers[obstacle] - 1 for obstacle in row.obstacles],
    }


def _seconds(plan: Plan, work: Work | None) -> dict[str, float | None]:
    return {
        "flops": work.flops if work else None,
        "seconds_here": plan.here.seconds(work) if work else None,
        "seconds_gpu": plan.gpu.seconds(work) if work else None,
    }
