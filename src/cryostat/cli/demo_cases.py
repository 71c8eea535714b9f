"""The cases part of `cryostat demo`: patients whose best possible typing is known."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from cryostat.core.home import Home

METHODS = ("best-possible", "best-expert", "core-bt")
TASK = "tumour_type"


def demo_cases(console: Console, home: Home, folder: Path, seed: int) -> None:
    """Simulate a cohort, type its patients from every subset of the modalities, print it beside the best possible.

    Args:
        console: Where to print.
        home: Where runs live.
        folder: Where the cohort goes.
        seed: Of cohort and methods.
    """
    from cryostat.cases.runs.spec import CaseSpec
    from cryostat.cases.runs.study import run_case_specs
    from cryostat.cases.simulated import simulate
    from cryostat.cli.case_results import print_listing

    made = simulate(folder, seed=seed, draws=20_000)
    present = made.patients.present
    counts = ", ".join(f"{n} with {name}" for name, n in zip(made.model.modalities, present.sum(0), strict=True))
    console.print(
        f"\n[bold]Patients[/] {len(present)} simulated, {counts}; what the best possible method reaches is known"
    )
    specs = [CaseSpec(made.manifest, TASK, name, repeats=1, seeds=(seed,)) for name in METHODS]
    outcomes = run_case_specs(specs, home, study="demo-cases")
    print_listing(console, [outcome.record for outcome in outcomes if outcome.record])
    for outcome in outcomes:
        if outcome.record is None:
            console.print(f"failed {outcome.spec.label()}: {outcome.reason}", markup=False)
    console.print(f"The cohort, as one would bring one's own: [cyan]{made.manifest}[/]")
