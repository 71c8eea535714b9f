"""`cryostat plan`: what a study costs and what stands in its way."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cryostat.cli.study_options import chosen_study, is_of_cases, study_options

if TYPE_CHECKING:
    from cryostat.cells.planning import Plan, Row, Work
    from cryostat.core.home import Home


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

    Of a study of cases: its fits, who has what, what encoders have yet to embed, and times from the pace of finished
    runs, else of a few small fits on noise.
    """
    if is_of_cases(study):
        _plan_cases(study, home, limit, json_file, replacements)
        return
    from cryostat.cells.planning import plan_study, reference_gpu, this_machine
    from cryostat.cli.plan_tables import show_plan
    from cryostat.core.files import write_json

    chosen, reference = chosen_study(study, **replacements), reference_gpu(gpu)
    plan = plan_study(chosen.study, home, here=this_machine(device), gpu=reference, limit=limit)
    for note in chosen.notes:
        click.secho(note, fg="yellow", err=True)
    show_plan(plan)
    if json_file:
        write_json(json_file, as_json(plan))
        click.echo(f"The plan is in {json_file}")


def _plan_cases(
    study: str, home: Home, limit: int | None, json_file: Path | None, replacements: dict[str, Any]
) -> None:
    from cryostat.cases.planning import plan_cases
    from cryostat.cli.case_plan_tables import case_plan_as_json, show_case_plan
    from cryostat.cli.study_options import case_study
    from cryostat.core.files import write_json

    plan = plan_cases(case_study(study, replacements), home, limit=limit)
    show_case_plan(plan)
    if json_file:
        write_json(json_file, case_plan_as_json(plan))
        click.echo(f"The plan is in {json_file}")


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
    numbers = list(plan.obstacles)
    cost = {**vars(row.cost)}
    work = cost.pop("work")
    return {
        **{key: value for key, value in vars(row).items() if key not in ("cost", "obstacles")},
        **cost,
        **_seconds(plan, work),
        "obstacles": [numbers.index(obstacle) for obstacle in row.obstacles],
    }


def _seconds(plan: Plan, work: Work | None) -> dict[str, float | None]:
    return {
        "flops": work.flops if work else None,
        "seconds_here": plan.here.seconds(work) if work else None,
        "seconds_gpu": plan.gpu.seconds(work) if work else None,
    }
