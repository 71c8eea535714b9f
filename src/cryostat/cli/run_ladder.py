"""`cryostat run ladder`: finished runs on perturbed test fields."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryostat.cells.ladders import Climbed
    from cryostat.core.home import Home
    from cryostat.results.records import RunRecord


@click.command("ladder")
@click.argument("runs", metavar="RUN…", nargs=-1, required=True)
@click.option(
    "--perturbation",
    "perturbations",
    multiple=True,
    help="stain, overstain, blur, jpeg, brightness, noise, scale; may be given several times. By default all.",
)
@click.option("--encoder", metavar="FILE", help="Where the runs' encoder is a file of your own: that file.")
@click.option("--forget", is_flag=True, help="Delete perturbed features once all heads of a step have read them.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 …")
@click.option("--batch-size", default=32, show_default=True, help="Tiles an encoder pass.")
@click.pass_obj
def command(
    home: Home,
    /,
    runs: Sequence[str],
    perturbations: Sequence[str],
    encoder: str | None,
    forget: bool,
    device: str,
    batch_size: int,
) -> None:
    """Predict the test part of finished runs at growing stain shift, blur, compression, darkness, noise, wrong scale.

    RUN is a run's folder, its id, or part of the ids of one run or more (`consep-5fold`). Nothing of the run changes:
    ladder.parquet and ladder.json are written beside it, step by step, and a second call goes on where the first
    ended. To see the curves: cryostat results ladder.
    """
    from cryostat.cells.ladders import PERTURBATIONS, climb, find_perturbation

    chosen = [find_perturbation(name) for name in dict.fromkeys(perturbations)] or [*PERTURBATIONS.values()]
    records = list({record.run_id: record for text in runs for record in _runs_of(home, text)}.values())
    found = climb(
        records, home, chosen, encoder=encoder, device=device, batch_size=batch_size, keep_features=not forget
    )
    _print(found)
    if any(one.reason for one in found):
        raise SystemExit(1)


def _runs_of(home: Home, text: str) -> list[RunRecord]:
    """All runs that a text means.

    Raises:
        SettingError: It means none.
    """
    from cryostat.core.errors import SettingError
    from cryostat.results.records import CELLS, RECORD, RunRecord, find_runs

    folder = Path(text)
    if (folder / RECORD).is_file():
        return [RunRecord.load(folder.resolve())]
    known = find_runs(home).records
    exact = [record for record in known if record.run_id == text]
    found = exact or [record for record in known if text in record.run_id and record.benchmark == CELLS]
    if not found:
        raise SettingError(f"there is no run {text!r} of cells", remedy="List the runs with: cryostat results")
    return found


def _print(found: Sequence[Climbed]) -> None:
    """A row a run: how far it climbed, and what is left of macro F1 at the last step."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from cryostat.cli.tables import wide_console

    console = wide_console()
    table = Table(title="Ladders", title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("run", overflow="fold")
    for name in ("new steps", "untouched", "macro F1 at the last step of each"):
        table.add_column(name)
    for one in found:
        table.add_row(Text(one.record.run_id), str(one.new), _untouched(one), Text(_last(one)))
    console.print(table)
    for one in found:
        if one.reason:
            console.print(f"[red]stopped[/] {one.record.run_id}: ", end="")
            console.print(one.reason, markup=False)
    if any(one.facts.rungs for one in found):
        console.print("The curves: [cyan]cryostat results ladder[/]")


def _untouched(one: Climbed) -> str:
    """Whether step 0 is the run's own prediction to the bit."""
    facts = one.facts.untouched
    if not facts:
        return ""
    return "same bits" if facts.get("same_bits") else f"within {facts.get('largest_difference', 0):.1g}"


def _last(one: Climbed) -> str:
    names = dict.fromkeys(name for name, _ in one.facts.rungs)
    last = [(name, one.facts.of(name)[-1].macro_f1) for name in names]
    return ", ".join(f"{name} {'–' if value is None else f'{value:.3f}'}" for name, value in last)
