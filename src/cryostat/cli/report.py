"""`cryostat report`: finished runs as a static site."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryostat.core.home import Home


@click.command("report")
@click.option("-o", "--out", type=click.Path(path_type=Path), required=True, help="Folder to write the site into.")
@click.option("--dataset", multiple=True, help="Only this dataset; may be given several times, as all filters may.")
@click.option("--encoder", multiple=True, help="Only this encoder.")
@click.option("--head", multiple=True, help="Only this head.")
@click.option("--split", multiple=True, help="Only this split, or family of folds (5fold).")
@click.option("--protocol", multiple=True, help="Only this protocol.")
@click.option("--cohort", multiple=True, help="Only this cohort.")
@click.option("--task", multiple=True, help="Only this task.")
@click.option("--method", multiple=True, help="Only this method.")
@click.option("--title", default="", help="Headline; by default what was tested.")
@click.option("--patients", is_flag=True, help="Name fields of view by their ids, which may tell the patient.")
@click.pass_obj
def command(home: Home, /, out: Path, title: str, patients: bool, **filters: tuple[str, ...]) -> None:
    """Write a report of finished runs: a static site that opens from a file, offline.

    Without filters, all finished runs. Filters of cells (dataset, encoder, head) and of cases (cohort, task, method)
    choose among the runs of their benchmark; given for one benchmark alone, they leave the other out.
    """
    from rich.console import Console

    from cryostat.cli.case_results import print_remarks
    from cryostat.report.site import build_report
    from cryostat.results.records import find_runs

    found = find_runs(home, **{name: values or None for name, values in filters.items()})
    index = build_report(found.records, out, home=home, title=title, patients=patients, broken=found.broken)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    console = Console()
    print_remarks(console, found.broken)
    console.print(f"{len(found.records)} runs, {size / 1e6:.1f} MB: [cyan]{index}[/]", highlight=False, soft_wrap=True)
