"""`cryostat figures`: draw what finished runs found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryostat.core.home import Home
    from cryostat.results.records import BrokenRun, RunRecord


@click.command()
@click.argument("results", nargs=-1)
@click.option("-o", "--out", type=click.Path(path_type=Path), default=Path("figures"), show_default=True, metavar="DIR")
@click.option(
    "--form", type=click.Choice(["svg", "pdf", "png"]), default="pdf", show_default=True, help="Of the files."
)
@click.option(
    "--only",
    multiple=True,
    metavar="TEXT",
    help="Only figures with this in their names: ranking, robustness, lattice …",
)
@click.pass_obj
def command(home: Home, results: Sequence[str], out: Path, form: str, only: Sequence[str]) -> None:
    """Draw every figure that finished runs allow, at the width of a journal's column or page.

    RESULTS are runs (an id, part of one, or a folder) or home folders; by default all runs of this home. Beside each
    figure goes a text that describes it, for those who cannot see it. Maps of nuclei come last and take up to a minute
    each; they are UMAPs where `cryostat[maps]` is installed, else t-SNE.
    """
    from cryostat.cli.case_results import print_remarks
    from cryostat.cli.tables import wide_console
    from cryostat.core.errors import CryostatError
    from cryostat.report.figures.study import drawings, write_drawing

    console = wide_console()
    records, broken = _chosen(home, results)
    found, unreadable = drawings(records, maps=True)
    wanted = [d for d in found if not only or any(text in d.name for text in only)]
    if not wanted:
        console.print(
            f"No figure {'with such a name ' if found else ''}can be drawn from {len(records)} finished runs."
        )
    drawn = 0
    for drawing in wanted:
        try:
            path = write_drawing(drawing, out, form)
        except CryostatError as error:
            console.print(f"[yellow]not drawn[/] {drawing.name}: {error.problem}", highlight=False)
            continue
        drawn += 1
        console.print(f"Drew [cyan]{path}[/]", highlight=False)
    if wanted:
        console.print(f"{drawn} of {len(wanted)} figures are in [cyan]{out}[/]", highlight=False)
    print_remarks(console, list(dict.fromkeys((*broken, *unreadable))))


def _chosen(home: Home, results: Iterable[str]) -> tuple[list[RunRecord], list[BrokenRun]]:
    """The runs that are meant, each once."""
    from cryostat.cli.picture import find_run
    from cryostat.core.home import Home as AnyHome
    from cryostat.results.records import RECORD, find_runs

    records: dict[str, RunRecord] = {}
    broken: list[BrokenRun] = []
    homes = [] if results else [home]
    for text in results:
        folder = Path(text).expanduser()
        if folder.is_dir() and not (folder / RECORD).is_file():
            homes.append(AnyHome(folder.resolve()))
        else:
            record = find_run(home, text)
            records[record.run_id] = record
    for one in homes:
        found = find_runs(one)
        records |= {record.run_id: record for record in found.records}
        broken += found.broken
    return list(records.values()), broken
