"""`cryostat run cases`: methods on the tasks of a cohort."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cryostat.cases.runs.spec import CaseSpec
    from cryostat.core.home import Home

DEFAULT_METHODS = ("best-expert", "core-bt")


@click.command("cases")
@click.argument("manifest", metavar="COHORT.toml", type=click.Path(path_type=Path))
@click.option("--task", "tasks", multiple=True, help="Task of the cohort; may be repeated. By default all.")
@click.option(
    "--method",
    "methods",
    multiple=True,
    default=DEFAULT_METHODS,
    show_default=True,
    help="Method; may be repeated; see `cryostat cases methods`.",
)
@click.option(
    "--modalities", multiple=True, metavar="A+B", help="Only these modalities; repeated for several sets. Default all."
)
@click.option("--protocol", default="standard", show_default=True, help="Rules: standard or paper.")
@click.option("--split", help="kfold, column, site or complete-test in place of the protocol's.")
@click.option("--repeats", type=click.IntRange(min=1), help="Repeats in place of the protocol's.")
@click.option("--folds", type=click.IntRange(min=2), help="Folds in place of the protocol's.")
@click.option("--ablation", "ablations", multiple=True, help="full, phi_only, mean_embedding …; may be repeated.")
@click.option("--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True, help="Seed of the methods.")
@click.option("--set", "settings", multiple=True, metavar="[METHOD.]KEY=VALUE", help="A setting of a method.")
@click.option("--shuffled", is_flag=True, help="Shuffle the labels among the patients: must come out at chance.")
@click.option("--device", default="auto", show_default=True, help="Where encoders run: auto, cpu, cuda …")
@click.pass_obj
def command(
    home: Home,
    /,
    manifest: Path,
    tasks: Sequence[str],
    methods: Sequence[str],
    modalities: Sequence[str],
    settings: Sequence[str],
    device: str,
    **rules: Any,
) -> None:
    """Type the patients of a cohort from whatever evidence there is, and score every subset of the modalities.

    COHORT.toml describes the cohort: see `cryostat cases check`.
    """
    from cryostat.cases.cohort import load_cohort
    from cryostat.cases.runs.spec import CaseStudy
    from cryostat.cli.options import settings_of

    base = {key: tuple(value) if isinstance(value, tuple) else value for key, value in rules.items()}
    study = CaseStudy(
        name="",
        cohorts=[manifest.resolve()],
        tasks=tasks or tuple(load_cohort(manifest).tasks),
        methods=methods,
        modalities=[tuple(some.split("+")) for some in modalities] or [()],
        base=base,
        method_options=settings_of(methods, settings, "methods"),
    )
    run_and_print(study.specs(), home, device=device)


def run_and_print(specs: Sequence[CaseSpec], home: Home, *, device: str = "auto", study: str = "") -> None:
    """Run specs, print what came of them, and end with status 1 when one failed."""
    from cryostat.cases.runs.study import run_case_specs
    from cryostat.cli.case_results import print_listing
    from cryostat.cli.tables import wide_console

    outcomes = run_case_specs(specs, home, device=device, study=study)
    console = wide_console()
    records = [outcome.record for outcome in outcomes if outcome.record]
    print_listing(console, records)
    failed = [outcome for outcome in outcomes if outcome.record is None]
    for outcome in failed:
        console.print(f"[red]failed[/] {outcome.spec.label()}: ", end="")
        console.print(outcome.reason, markup=False)
    console.print(f"{len(records)} of {len(outcomes)} runs are in [cyan]{home.runs}[/]")
    if failed:
        raise SystemExit(1)
