"""`cryostat view`: reports, slides and datasets in the browser, with deep zoom."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from cryostat.core.home import Home
    from cryostat.report.view import Shelf

SLOW = 2**23
"""Bytes of a file of cells from which reading takes more than a moment."""


@click.command("view")
@click.argument("things", nargs=-1, metavar="[REPORT-DIR | SLIDE | DATASET]...")
@click.option(
    "--run",
    "runs",
    multiple=True,
    metavar="RUN",
    help="Lay its predictions over the fields: a run's id, part of it, a pattern with *, or a folder; may be repeated.",
)
@click.option("--all-runs", is_flag=True, help="The same with every finished run of the datasets that are shown.")
@click.option(
    "--cells",
    multiple=True,
    type=click.Path(path_type=Path),
    metavar="GEOJSON",
    help="Lay the cells of a GeoJSON file over the slide, as QuPath writes it, in px of the slide; may be repeated.",
)
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, help="Port on 127.0.0.1; by default one that is free."
)
@click.option("--open/--no-open", "opened", default=True, show_default=True, help="Open it in the browser at once.")
@click.pass_obj
def command(
    home: Home,
    things: Sequence[str],
    runs: Sequence[str],
    all_runs: bool,
    cells: Sequence[Path],
    port: int,
    opened: bool,
) -> None:
    """Look at reports, whole slides and fields of datasets in the browser, zooming in as deep as they go.

    By default the datasets of the runs that are named, else the report in the folder `report`, else all imported
    datasets. A report brings the datasets that it is about, where they are imported here. A folder of slides shows all
    of them. Only this machine can ask, with the key in the address. Ends with Ctrl-C.
    """
    import webbrowser

    from rich.console import Console

    from cryostat.report.view import Overlays, ViewServer, shelve

    console = Console()
    for path in cells:
        _announce(console, path)
    shelf = shelve(things, home, Overlays(runs, all_runs, cells))
    server = ViewServer(shelf, port)
    console.print(f"Showing {_told(shelf)} at [cyan]{server.url}[/]", highlight=False, soft_wrap=True)
    for sentence in shelf.left_out:
        console.print(f"Left out: {sentence}", style="yellow", markup=False, highlight=False)
    console.print("Keep this running; end it with Ctrl-C.")
    if opened:
        webbrowser.open(server.url)
    try:
        server.serve()
    except KeyboardInterrupt:
        console.print("Ended.")
    finally:
        server.close()


def _announce(console: Console, path: Path) -> None:
    """Say of a file that takes a while that it is being read."""
    if path.is_file() and (size := path.stat().st_size) > SLOW:
        told = f"Reading {path.name} ({size / 2**20:,.0f} MiB) …"
        console.print(told, style="dim", markup=False, highlight=False, soft_wrap=True)


def _told(shelf: Shelf) -> str:
    """`1 dataset with 18 models of 90 runs`."""
    models = [model for found in shelf.models.values() for model in found]
    counts = {"report": len(shelf.reports), "slide": len(shelf.slides), "dataset": len(shelf.datasets)}
    told = ", ".join(_count(count, name) for name, count in counts.items() if count)
    if not models:
        return told
    runs = sum(len(model.records) for model in models)
    return f"{told} with {_count(len(models), 'model')} of {_count(runs, 'run')}"


def _count(count: int, name: str) -> str:
    return f"{count} {name}{'s' * (count != 1)}"
