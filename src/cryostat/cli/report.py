"""`cryostat report`: finished runs as a static site."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryostat.core.home import Home
    from cryostat.results.records import BrokenRun, RunRecord

OF_BENCHMARK = {"cells": ("dataset", "encoder", "head"), "cases": ("cohort", "task", "method")}
"""Filters that runs of one benchmark alone can pass."""


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
@click.option(
    "--no-figures", "figures", is_flag=True, default=True, flag_value=False, help="Leave out the paper-ready figures."
)
@click.option("--patients", is_flag=True, help="Name fields of view by their ids, which may tell the patient.")
@click.pass_obj
def command(home: Home, /, out: Path, title: str, figures: bool, patients: bool, **filters: tuple[str, ...]) -> None:
    """Write a report of finished runs: a static site that opens from a file, offline.

    Without filters, all finished runs. Filters of cells (dataset, encoder, head) and of cases (cohort, task, method)
    choose among the runs of their benchmark; given for one benchmark alone, they leave the other out.
    """
    from rich.console import Console

    from cryostat.cli.case_results import print_remarks
    from cryostat.report.site import build_report

    records, broken = _chosen(home, filters)
    index = build_report(records, out, home=home, title=title, patients=patients, figures=figures, broken=broken)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    console = Console()
    print_remarks(console, broken)
    console.print(f"{len(records)} runs, {size / 1e6:.1f} MB: [cyan]{index}[/]", highlight=False, soft_wrap=True)


def _chosen(home: Home, filters: Mapping[str, tuple[str, ...]]) -> tuple[tuple[RunRecord, ...], tuple[BrokenRun, ...]]:
    """The runs that pass; filters of one benchmark alone leave the other out."""
    from cryostat.results.records import find_runs

    given = {benchmark: any(filters[name] for name in names) for benchmark, names in OF_BENCHMARK.items()}
    chosen: list[RunRecord] = []
    broken: tuple[BrokenRun, ...] = ()
    for benchmark, others in (("cells", OF_BENCHMARK["cases"]), ("cases", OF_BENCHMARK["cells"])):
        if any(given.values()) and not given[benchmark]:
            continue
        asked = {name: values or None for name, values in filters.items() if name not in others}
        found = find_runs(home, benchmark=benchmark, **asked)
        chosen += found.records
        broken = found.broken
    return tuple(chosen), broken
