"""`cryostat cases simulate`: a cohort whose best possible figures are known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from cryostat.cases.simulated import Figure, Simulated


@click.command()
@click.option(
    "-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder for the cohort; made if need be."
)
@click.option("--seed", default=0, show_default=True, help="Seed of everything drawn.")
@click.option(
    "--patients", default=310, show_default=True, help="All patients; 310 have exactly the numbers of CoRe-BT."
)
@click.option("--mri", default=-1, help="Patients with MRI (default: CoRe-BT's share, 250 of 310).")
@click.option("--pathology", default=-1, help="Those of them with slides and report (default: 95 of 310).")
@click.option("--correlation", default=0.3, show_default=True, help="Of the noise of two modalities, 0 to below 1.")
@click.option("--nuisance", default=0.5, show_default=True, help="Deviation of the widest axis that says nothing.")
@click.option("--draws", default=100_000, show_default=True, help="Patients drawn for the best possible figures.")
@click.option("--task", default="tumour_type", show_default=True, help="Task whose best possible figures are shown.")
def command(
    out: Path,
    seed: int,
    patients: int,
    mri: int,
    pathology: int,
    correlation: float,
    nuisance: float,
    draws: int,
    task: str,
) -> None:
    """Simulate a cohort with CoRe-BT's numbers, and say the best that any method can reach on it.

    Each method can then be judged by its distance to the best possible, for every subset of the modalities.
    """
    from cryostat.cases.simulated import simulate, simulated_tasks
    from cryostat.cli.tables import wide_console
    from cryostat.core.errors import SettingError

    if task not in simulated_tasks():
        raise SettingError(f"there is no task {task!r}", remedy=f"Choose one of: {', '.join(simulated_tasks())}")
    made = simulate(
        out,
        seed=seed,
        patients=patients,
        mri=mri,
        pathology=pathology,
        correlation=correlation,
        nuisance=nuisance,
        draws=draws,
    )
    console = wide_console()
    console.print(_who(made), highlight=False)
    console.print(_best(made, task))
    console.print(f"Classes: {', '.join(made.task(task).classes)}", highlight=False)
    console.print(f"The same for all {len(made.bayes)} tasks: [cyan]{out / 'bayes.json'}[/]", highlight=False)
    console.print(f"Cohort: [cyan]{made.manifest}[/]", highlight=False)


def _who(made: Simulated) -> str:
    present = made.patients.present
    counts = {name: int(has.sum()) for name, has in zip(made.model.modalities, present.T, strict=True)}
    listed = ", ".join(f"{number} with {name}" for name, number in counts.items())
    return f"[bold]{len(present)} patients[/]: {listed}; {int((~present.any(1)).sum())} with nothing"


def _best(made: Simulated, task: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(
        title=f"The best that any method can reach: {task}",
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("offered")
    for name in ("balanced accuracy", "accuracy", "log-loss"):
        table.add_column(name, justify="right")
    for row in made.bayes[task]:
        figures = (row.balanced_accuracy, row.accuracy, row.log_loss)
        table.add_row(" + ".join(row.offered) or "nothing", *map(_figure, figures))
    return table


def _figure(figure: Figure) -> str:
    """A figure with its Monte Carlo error, where it has one."""
    return f"{figure.value:.3f}" + (f" ± {figure.error:.3f}" if figure.error > 1e-9 else "        ")
