"""`cryostat doctor`: what works on this machine, and the remedy for each lack."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from cryostat.checkup import CheckUp, Sign
    from cryostat.core.home import Home

MARKS = {"good": "[green]✓[/]", "lacking": "[yellow]![/]", "bad": "[red]✗[/]", "unknown": "[dim]·[/]"}


@click.command()
@click.option("--offline", is_flag=True, help="Ask nothing of the network.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Also write it here.")
@click.pass_obj
def command(home: Home, offline: bool, json_file: Path | None) -> None:
    """What works on this machine, what is gated or missing, and what mends it.

    Asks the hub which weights you may have, for a few seconds at most. Ends with status 1 when Cryostat itself cannot
    work.
    """
    from cryostat.checkup import check_up
    from cryostat.checkup.run import PARTS
    from cryostat.cli.tables import wide_console
    from cryostat.core.files import write_json

    found = check_up(home, offline=offline)
    console = wide_console()
    for part in PARTS:
        if signs := found.of(part):
            console.print(_table(part, signs))
    console.print(_verdict(found))
    if json_file:
        write_json(json_file, found.as_json())
        click.echo(f"The check-up is in {json_file}")
    sys.exit(0 if found.works else 1)


def _table(part: str, signs: tuple[Sign, ...]) -> Table:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=part.capitalize(), title_justify="left", title_style="bold", show_header=False, box=None)
    table.add_column(no_wrap=True)
    table.add_column(min_width=12, max_width=38)
    table.add_column()
    for sign in signs:
        told = sign.detail + (f"\n→ {sign.remedy}." if sign.remedy else "")
        table.add_row(Text.from_markup(MARKS[sign.state]), Text(sign.name), Text(told))
    return table


def _verdict(found: CheckUp) -> str:
    lacking = sum(sign.state == "lacking" for sign in found.signs)
    if not found.works:
        return "[red]Cryostat cannot work here until what is marked ✗ is mended.[/]"
    return "[green]Cryostat works here[/]" + (
        f"; {lacking} things are lacking, with the remedy beside." if lacking else "."
    )
