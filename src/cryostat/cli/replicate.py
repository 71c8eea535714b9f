"""`cryostat replicate`: a paper's tables beside ours, row by row."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryostat.core.home import Home


@click.group()
def command() -> None:
    """A paper's tables beside ours: paper, ours, 95 % interval, within it or not, and the quirks that were on."""


@command.command()
@click.option("--table", "tables", multiple=True, help="Only this table: lizard, pathocell-stage …; may be repeated.")
@click.option("--encoder", "encoders", multiple=True, help="Only this encoder: uni2-h …; may be repeated.")
@click.option("--head", "heads", multiple=True, help="Only this head: linear, unetr, hovernext; may be repeated.")
@click.option("--run", is_flag=True, help="Run first what has not run and can; else only say what stands in the way.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="With --run: no more than N runs.")
@click.option("--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True, help="With --run: seeds.")
@click.option("--weights", multiple=True, metavar="[ENCODER=]FILE", help="Local weights of an encoder.")
@click.option("--precision", multiple=True, metavar="[ENCODER=]fp32|bf16|fp16", help="Arithmetic of an encoder.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 …")
@click.option("--batch-size", default=32, show_default=True, help="Tiles an encoder pass.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Also write the rows here.")
@click.pass_obj
def pathocellbench(
    home: Home,
    tables: Sequence[str],
    encoders: Sequence[str],
    heads: Sequence[str],
    run: bool,
    limit: int | None,
    seeds: Sequence[int],
    weights: Sequence[str],
    precision: Sequence[str],
    device: str,
    batch_size: int,
    json_file: Path | None,
) -> None:
    """PathoCellBench: published macro F1 beside finished runs of the protocol paper, else what stands in their way."""
    from cryostat.cells.replication import BENCHMARK, FAILED, Choice, replicate_cells
    from cryostat.cli.options import of_encoders
    from cryostat.cli.replicate_tables import cells_as_json, show_cells
    from cryostat.results.published import published

    printed = dict.fromkeys(row.encoder for table in published(BENCHMARK) for row in table.rows)
    known = list(encoders) or list(printed)
    options = of_encoders(known, weights=weights, precision=precision)
    choice = Choice(tables, encoders, heads, options, seeds)
    found = replicate_cells(home, choice, run=run, limit=limit, device=device, batch_size=batch_size)
    show_cells(found, home)
    _keep(json_file, cells_as_json(found))
    if any(obstacle.remedy == FAILED for table in found for row in table.rows for obstacle in row.obstacles):
        raise SystemExit(1)


@command.command("core-bt")
@click.option("--cohort", type=click.Path(path_type=Path), metavar="COHORT.toml", help="Run the tables on this cohort.")
@click.option(
    "--as",
    "names",
    multiple=True,
    metavar="WHAT=NAME",
    help="The cohort's name for mri, pathology, lgg-hgg, level1 or who-grade, where it is not an obvious one.",
)
@click.option("--repeats", type=click.IntRange(min=1), help="Draws of the test patients; the paper has one.")
@click.option("--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True, help="Seed of the method.")
@click.option("--device", default="auto", show_default=True, help="Where encoders run: auto, cpu, cuda …")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Also write the rows here.")
@click.pass_obj
def core_bt(
    home: Home,
    cohort: Path | None,
    names: Sequence[str],
    repeats: int | None,
    seeds: Sequence[int],
    device: str,
    json_file: Path | None,
) -> None:
    """CoRe-BT: its tables on a cohort of yours; without one, the tables and all that is known of their test patients.

    The paper's own cohort is given on request only. `cryostat cases simulate` makes one with its numbers.
    """
    from cryostat.cli.replicate_tables import cases_as_json, show_cases, show_published_cases

    if cohort is None:
        show_published_cases()
        _keep(json_file, cases_as_json(()))
        return
    from cryostat.cases.replication import CaseChoice, replicate_cases

    choice = CaseChoice(_pairs(names), repeats, tuple(seeds))
    found = replicate_cases(cohort, home, choice, device=device)
    show_cases(found, home)
    _keep(json_file, cases_as_json(found))


def _pairs(names: Sequence[str]) -> dict[str, str]:
    from cryostat.core.errors import SettingError

    pairs = [pair.partition("=") for pair in names]
    if wrong := [f"{what}{sign}{name}" for what, sign, name in pairs if not name]:
        raise SettingError(f"--as {wrong[0]!r} is not WHAT=NAME", remedy="Write for example --as pathology=slides")
    return {what.strip(): name.strip() for what, _, name in pairs}


def _keep(file: Path | None, rows: object) -> None:
    from cryostat.core.files import write_json

    if file is not None:
        write_json(file, rows)
        click.echo(f"The rows are in {file}")
