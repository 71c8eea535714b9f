"""`cryostat demo`: the whole path on built-in tissue and simulated patients."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryostat.cells.runs.study import Outcome
    from cryostat.core.home import Home

ENCODERS = ("stain-filters", "rcf")
HEADS = ("linear", "cell-probe")


@click.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path("demo-output"),
    show_default=True,
    help="Folder for everything.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the tissue and of the heads.")
@click.pass_context
def command(ctx: click.Context, out: Path, seed: int) -> None:
    """Both benchmarks on built-in data.

    Cells: make tissue of three hospitals, encode it twice, fit two heads in and across hospitals, and score them.
    Cases: simulate patients of whom much is missing, and type them from every subset of what there is.
    """
    from cryostat.cells.runs.spec import Study
    from cryostat.cells.runs.study import run_specs
    from cryostat.cells.show import contact_sheet
    from cryostat.cells.synthetic import make_dataset
    from cryostat.cli import results
    from cryostat.cli.demo_cases import demo_cases
    from cryostat.cli.tables import print_outcomes, wide_console
    from cryostat.core.home import Home

    console = wide_console()
    home = Home(out.resolve())
    dataset = make_dataset(home, name="demo", hospitals=3, patients=4, fields=2, size=512, seed=seed, overwrite=True)
    console.print(f"[bold]Tissue[/] {len(dataset.fovs)} fields of three hospitals, {len(dataset.cells):,} nuclei")
    sheet = contact_sheet(dataset, out / "tissue.png")
    shift = next(name for name in dataset.split_names() if name.startswith("shift-"))
    study = Study("demo", ["demo"], ["base", shift], ENCODERS, HEADS, [1.0], [seed])
    outcomes = run_specs(study.specs({"demo": dataset}), home, study="demo")
    print_outcomes(outcomes, home)
    ctx.obj = home
    ctx.invoke(results.command, dataset=("demo",), per_class=True)
    picture = _picture(outcomes, home, out / "predictions.png")
    console.print(f"Tissue with its nuclei outlined: [cyan]{sheet}[/]")
    console.print(f"Predictions of the best run beside the truth: [cyan]{picture}[/]")
    demo_cases(console, home, out / "cohort", seed)
    console.print(f"All of it as a report, to open in a browser: [cyan]{_report(home, out / 'report')}[/]")
    console.print(f"Everything else: [cyan]{home.root}[/]")


def _picture(outcomes: Sequence[Outcome], home: Home, path: Path) -> Path:
    """The predictions of the run that did best on its own hospitals."""
    from cryostat.cells.pictures import picture_run, save_picture

    records = [outcome.record for outcome in outcomes if outcome.record and outcome.spec.split == "base"]
    best = max(records, key=lambda record: record.cell_scores().macro_f1 or 0.0)
    save_picture(picture_run(best, home), path)
    return path


def _report(home: Home, folder: Path) -> Path:
    """The site of all runs of the home."""
    from cryostat.report.site import build_report
    from cryostat.results.records import find_runs

    return build_report(find_runs(home).records, folder, home=home, title="A first look", figures=False)
