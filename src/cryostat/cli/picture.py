"""`cryostat results picture`: what a run predicted, next to the truth."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryostat.core.home import Home
    from cryostat.results.records import RunRecord


@click.command("picture")
@click.argument("run")
@click.option("--fov", "fovs", multiple=True, metavar="ID", help="A field of view to show; may be given several times.")
@click.option(
    "--fields", default=3, show_default=True, type=click.IntRange(1, 4), help="Else: how many, from best to worst."
)
@click.option("--crop-um", type=float, metavar="µm", help="Zoom in on a square of this side, where nuclei are densest.")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The .png or .pdf to write; RUN.png by default.")
@click.pass_obj
def command(home: Home, run: str, fovs: Sequence[str], fields: int, crop_um: float | None, out: Path | None) -> None:
    """Draw fields of a run: image, truth, prediction, errors. RUN is a run id, part of one, or a run's folder.

    By default the best, the median and the worst field by accuracy.
    """
    from cryostat.cells.pictures import picture_run, save_picture
    from cryostat.cells.pictures.saving import check_ending
    from cryostat.core.files import safe_name

    record = find_run(home, run)
    path = out or Path(f"{safe_name(record.run_id)}.png")
    check_ending(path)
    save_picture(picture_run(record, home, fovs=fovs, fields=fields, crop_um=crop_um), path)
    click.echo(f"Drew {path}")


def find_run(home: Home, run: str) -> RunRecord:
    """The record of a run by its folder, its id or part of its id.

    Raises:
        SettingError: No run has such a name, or several have.
        InputError: The folder's record is damaged.
    """
    from cryostat.cli.results import find_run
    from cryostat.results.records import RECORD, RunRecord

    folder = Path(run)
    return RunRecord.load(folder) if (folder / RECORD).is_file() else find_run(home, run)
