"""`cryostat cases`: cohorts of patients, checked before anything is fitted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from cryostat.cli.cases_simulate import command as simulate

if TYPE_CHECKING:
    from cryostat.core.home import Home

OUTSIDE = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """Check cohorts of patients, and simulate one."""


@command.command()
@click.argument("manifest", metavar="COHORT.toml", type=OUTSIDE)
@click.option("--figure", type=OUTSIDE, help="Draw who has what as an UpSet plot: a .png, .svg or .pdf.")
@click.option("--by", metavar="TASK", help="Colour the bars of the figure by the classes of a task.")
@click.option("--json", "json_file", type=OUTSIDE, help="Also write all of it here.")
@click.option("--read", is_flag=True, help="Read every embedding, and run encoders, instead of a first look at files.")
@click.pass_obj
@click.pass_context
def check(
    ctx: click.Context,
    home: Home,
    manifest: Path,
    figure: Path | None,
    by: str | None,
    json_file: Path | None,
    read: bool,
) -> None:
    """Who has what, which classes they have, and what cannot be used.

    Files are looked at, not decoded, so that it takes a second or two; --read decodes them. Ends with status 1 when a
    file, a row or a task cannot be used.
    """
    from cryostat.cases.cohort import check_cohort, load_cohort
    from cryostat.cli.cases_tables import print_report
    from cryostat.core.files import write_json

    if by and not figure:
        raise click.UsageError("--by colours a figure: name one with --figure")
    if figure:
        _require_drawable(figure)
    if read:
        from cryostat.cases.embeddings import gather
    cohort = load_cohort(manifest)
    if by:
        cohort.task(by)
    report = check_cohort(cohort, gather(cohort, home) if read else None)
    print_report(report)
    if json_file:
        write_json(json_file, report.to_dict())
        click.echo(f"The report is in {json_file}")
    if figure:
        from cryostat.cases.cohort.upset import draw_upset

        draw_upset(report, figure, by=by)
        click.echo(f"Drew {figure}")
    ctx.exit(0 if report.passed else 1)


@command.command()
def methods() -> None:
    """List the methods and their settings."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from cryostat.cases.methods.registry import METHODS
    from cryostat.cli.tables import wide_console

    table = Table(title="Methods", title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD)
    for name in ("name", "what it does", "settings"):
        table.add_column(name, no_wrap=name == "name", overflow="fold")
    for method in METHODS.values():
        about = Text(method.about)
        if method.source:
            about.append(f"\n{method.source}", style="dim")
        settings = ", ".join(f"{name}={setting.default}" for name, setting in method.settings.items())
        table.add_row(Text(method.name, style="cyan"), about, Text(settings, style="dim"))
    console = wide_console()
    console.print(table)
    console.print(
        "A setting is changed with: cryostat run cases COHORT.toml --method NAME --set KEY=VALUE", markup=False
    )


def _require_drawable(figure: Path) -> None:
    """Fail on the figure's ending, or on a package that is not there, before the work and not after it."""
    from cryostat.cases.cohort.upset import check_ending

    check_ending(figure)


command.add_command(simulate, "simulate")
