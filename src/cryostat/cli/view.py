"""`cryostat view`: reports, slides and datasets in the browser, with deep zoom."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryostat.core.home import Home


@click.command("view")
@click.argument("things", nargs=-1, metavar="[REPORT-DIR | SLIDE | DATASET]...")
@click.option(
    "--port", type=click.IntRange(0, 65_535), default=0, help="Port on 127.0.0.1; by default one that is free."
)
@click.option("--open/--no-open", "opened", default=True, show_default=True, help="Open it in the browser at once.")
@click.pass_obj
def command(home: Home, things: Sequence[str], port: int, opened: bool) -> None:
    """Look at reports, whole slides and fields of datasets in the browser, zooming in as deep as they go.

    By default the report in the folder `report`, else all imported datasets. A report brings the datasets that it is
    about, where they are imported here. A folder of slides shows all of them. Only this machine can ask, with the key
    in the address. Ends with Ctrl-C.
    """
    import webbrowser

    from rich.console import Console

    from cryostat.report.view import ViewServer, shelve

    console = Console()
    shelf = shelve(things, home)
    server = ViewServer(shelf, port)
    counts = {"report": len(shelf.reports), "slide": len(shelf.slides), "dataset": len(shelf.datasets)}
    told = ", ".join(f"{count} {name}{'s' * (count > 1)}" for name, count in counts.items() if count)
    console.print(f"Showing {told} at [cyan]{server.url}[/]", highlight=False, soft_wrap=True)
    console.print("Keep this running; end it with Ctrl-C.")
    if opened:
        webbrowser.open(server.url)
    try:
        server.serve()
    except KeyboardInterrupt:
        console.print("Ended.")
    finally:
        server.close()
