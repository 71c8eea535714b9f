"""`cryostat results cases`: finished runs of cases side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryostat.core.home import Home


@click.command("cases")
@click.option("--cohort", multiple=True, help="Only this cohort; may be given several times, as all filters may.")
@click.option("--task", multiple=True, help="Only this task.")
@click.option("--method", multiple=True, help="Only this method.")
@click.option("--protocol", multiple=True, help="Only this protocol.")
@click.option("--metric", default="balanced_accuracy", show_default=True, help="macro_f1, accuracy, auroc, log_loss …")
@click.option(
    "--population",
    default="having",
    show_default=True,
    help="having: each subset on those who have all of it; all: everybody; mri+wsi: those with MRI and slides.",
)
@click.option(
    "--published/--no-published",
    default=True,
    show_default=True,
    help="Rows that the paper prints of the same cohort and task, below ours.",
)
@click.option("--csv", type=click.Path(path_type=Path), help="Also write all rows to this CSV file.")
@click.option("--json", type=click.Path(path_type=Path), help="Also write all rows to this JSON file.")
@click.pass_obj
def command(
    home: Home,
    /,
    metric: str,
    population: str,
    published: bool,
    csv: Path | None,
    json: Path | None,
    **filters: tuple[str, ...],
) -> None:
    """List runs of cases: methods down, subsets of the modalities across.

    Published rows are of the paper's own cohort, one of the name core-bt; on another see `cryostat replicate core-bt`.
    """
    list_runs(home, filters, metric, population, csv, json, published)


def list_runs(
    home: Home,
    filters: dict[str, tuple[str, ...]],
    metric: str = "balanced_accuracy",
    population: str = "having",
    csv: Path | None = None,
    json: Path | None = None,
    published: bool = True,
) -> None:
    """Print, and where asked write, one metric of the runs that fit."""
    from cryostat.cases.published import published_cases, with_published
    from cryostat.cli.case_results import print_listing, print_remarks
    from cryostat.cli.tables import wide_console
    from cryostat.core.errors import SettingError
    from cryostat.results.cases.listing import list_cases, write_listing
    from cryostat.results.cases.metrics import METRICS
    from cryostat.results.records import CASES, find_runs

    if metric not in METRICS:
        raise SettingError(f"there is no metric {metric!r}", remedy=f"Choose one of: {', '.join(METRICS)}")
    found = find_runs(home, **{name: values or None for name, values in filters.items()})
    records = [record for record in found.records if record.benchmark == CASES]
    console = wide_console()
    if not records:
        console.print(
            f"No finished run of cases in [cyan]{home.runs}[/]{' that fits' if any(filters.values()) else ''}."
        )
        console.print("Make one with: cryostat run cases COHORT.toml --task … --method …", markup=False)
    unreadable = print_listing(console, records, metric=metric, population=population, published=published)
    print_remarks(console, (*found.broken, *unreadable))
    for path in (csv, json):
        if path is not None:
            frame, _ = list_cases(records, metric=metric, population=population)
            write_listing(path, with_published(frame, published_cases(frame, metric)) if published else frame)
            console.print(f"Written: [cyan]{path}[/]")
