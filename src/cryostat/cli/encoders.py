"""`cryostat encoders`: list encoders, read their cards, check them, and start one of one's own."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from cryostat.encoders.card import EncoderCard
    from cryostat.encoders.passport import CheckReport, Finding
    from cryostat.encoders.shelf import Entry


@click.group(invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """List encoders, read their cards, check them; without a command: list."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(list_encoders)


@command.command("list")
@click.option("--kind", help="Only tile, slide, volume or text encoders.")
@click.option("--dataset", metavar="NAME", help="Also tell which may have seen this dataset while they were trained.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Also write the list here.")
def list_encoders(kind: str | None, dataset: str | None, json_file: Path | None) -> None:
    """The encoders that come with a card: size, scale, licence, and who gets the weights.

    Any timm model can be named beside them, and any of your own.
    """
    from cryostat.cli.tables import wide_console
    from cryostat.core.files import write_json
    from cryostat.encoders.shelf import KINDS, all_encoders

    entries = all_encoders(kind)
    console = wide_console()
    for shown in KINDS:
        of_kind = [entry for entry in entries if entry.kind == shown]
        if of_kind:
            console.print(_shelf(shown, of_kind, dataset, console.width < NARROW))
    console.print(
        "Besides: any timm model as [cyan]timm:NAME[/] (a stage of a convolutional one [cyan]timm:NAME+stageK[/]),"
        " a Hugging Face folder, your own [cyan]FILE.py[/] (see cryostat encoders template).",
        soft_wrap=True,
    )
    if dataset:
        console.print(f"Why an encoder may have seen {dataset}: cryostat encoders show NAME --dataset {dataset}")
    if json_file:
        write_json(json_file, [_entry_json(entry, dataset) for entry in entries])
        click.echo(f"The list is in {json_file}")


_LEVELS = {"none known": "green", "possible": "yellow", "certain": "red"}

_READS = {"tile": "px/token", "slide": "tiles of", "volume": "token, mm", "text": "reads"}

NARROW = 110
"""Columns of a terminal below which architectures and widths are left to `show`."""


def _shelf(kind: str, entries: Sequence[Entry], dataset: str | None, narrow: bool) -> Table:
    from rich import box
    from rich.table import Table

    cells = [_cells(entry, dataset, narrow) for entry in entries]
    table = Table(title=f"{kind.capitalize()} encoders", title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for column in cells[0]:
        right = column in ("reads", "width", "parameters", "µm/px")
        wraps = column in ("architecture", "licence")
        name = _READS[kind] if column == "reads" else column
        table.add_column(name, justify="right" if right else "left", no_wrap=not wraps, overflow="fold")
    for row in cells:
        table.add_row(*row.values())
    return table


def _cells(entry: Entry, dataset: str | None, narrow: bool) -> dict[str, str]:
    """Column to text of one row."""
    card = entry.card
    cells = {"name": entry.name}
    if not narrow:
        cells["architecture"] = card.architecture
    if not (narrow and dataset):
        cells["reads"] = entry.reads
    if not narrow:
        cells["width"] = f"{entry.width:,}" if entry.width else "–"
    cells["parameters"] = _count(card.parameters)
    if entry.kind in ("tile", "slide") and not (narrow and dataset):
        cells["µm/px"] = f"{entry.mpp:g}" if entry.mpp else "any"
    cells |= {"weights": entry.access, "licence": card.licence}
    if dataset:
        cells["overlap"] = _seen(entry, dataset)
    return cells


def _count(parameters: int | None) -> str:
    return f"{parameters / 1e6:,.1f} M" if parameters else "none"


def _seen(entry: Entry, dataset: str) -> str:
    found = entry.overlap(dataset)
    return f"[{_LEVELS[found.level]}]{found.level}[/]"


def _entry_json(entry: Entry, dataset: str | None) -> dict[str, Any]:
    found = entry.overlap(dataset) if dataset else None
    return {
        "kind": entry.kind,
        **vars(entry.card),
        "access": entry.access,
        **({"overlap": vars(found)} if found else {}),
    }


@command.command()
@click.argument("name")
@click.option("--dataset", metavar="NAME", help="Also tell whether it may have seen this dataset, and why.")
def show(name: str, dataset: str | None) -> None:
    """The card of one encoder: NAME as listed, timm:NAME, a card file, or one of your own."""
    from rich.table import Table
    from rich.text import Text

    from cryostat.cli.tables import wide_console
    from cryostat.encoders.card import EncoderCard
    from cryostat.encoders.shelf import find_encoder

    entry = find_encoder(name)
    table = Table(title=entry.card.title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for label, value in _lines(entry.card) if isinstance(entry.card, EncoderCard) else _plain_lines(entry):
        table.add_row(label, Text(value))
    found = entry.overlap(dataset) if dataset else None
    if found:
        table.add_row(f"seen {dataset}?", Text(f"{found.level}: {found.why}"))
    wide_console().print(table)


def _plain_lines(entry: Entry) -> Iterator[tuple[str, str]]:
    """The fields of a card of another kind."""
    from dataclasses import fields

    from cryostat.encoders.card import Card

    yield "kind", f"{entry.kind} encoder"
    facts, shared = vars(entry.card), [f.name for f in fields(Card)]
    own = [key for key in facts if key not in shared]
    for key, value in ((key, facts[key]) for key in (*shared[:3], *own, *shared[3:])):
        if key in ("title", "notes") or value in (None, "", (), 0):
            continue
        shown = ", ".join(map(str, value)) if isinstance(value, tuple) else value
        yield key.replace("_", " "), f"{shown:,}" if isinstance(shown, int) and key == "parameters" else str(shown)
    for note in entry.card.notes:
        yield "note", note


def _lines(facts: EncoderCard) -> Iterator[tuple[str, str]]:
    yield "name", facts.name
    yield "architecture", facts.architecture
    size = f"{facts.input_size} px" + (f", or any multiple of {facts.patch_size}" if facts.flexible_size else " only")
    yield "input", size + (f", enlarged within to {facts.enlarged_to} px" if facts.enlarged_to else "")
    yield "tokens", f"{facts.grid}×{facts.grid} of {facts.token_px:.4g} px, {facts.width} channels"
    yield "layers", f"block-1 … block-{facts.depth}, final" if facts.depth else "final"
    yield "prefix tokens", str(facts.prefix_tokens)
    yield "normalisation", f"mean {_triple(facts.mean)}, std {_triple(facts.std)}"
    yield "trained at", f"{facts.mpp:g} µm/px" if facts.mpp else "mixed or unknown µm/px"
    yield "precision", facts.precision
    published = f" (published: {facts.published})" if facts.published else ""
    yield "parameters", f"{facts.parameters:,}{published}" if facts.parameters else "none"
    yield from _provenance(facts)


def _provenance(facts: EncoderCard) -> Iterator[tuple[str, str]]:
    if facts.hub_id:
        revision = f" at {facts.revision}" if facts.revision else ""
        yield "hub", f"{facts.hub_id}{revision}" + (" (gated: accept its terms there)" if facts.gated else "")
    for label, value in (
        ("licence", facts.licence),
        ("has seen", facts.training_data),
        ("sources", ", ".join(facts.trained_on)),
        ("cite", facts.citation),
    ):
        if value:
            yield label, value
    for note in facts.notes:
        yield "note", note


def _triple(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


@command.command()
def template() -> None:
    """Print a Python file to start an encoder of your own from: cryostat encoders template > my_model.py.

    Naming such a file, as in --encoder my_model.py, runs it.
    """
    from cryostat.encoders.plugins import TEMPLATE

    click.echo(TEMPLATE.read_text(encoding="utf-8"), nl=False)


@command.command()
@click.argument("name")
@click.option("--weights", metavar="PATH", help="File of weights, or hub, hub@COMMIT, random.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--precision", help="fp32, bf16 or fp16 (default: the card's).")
@click.option("--seed", default=0, show_default=True, help="Of random weights and filters.")
@click.option(
    "--batch",
    default=4,
    show_default=True,
    type=click.IntRange(1),
    help="Inputs at once, for the speed.",
)
@click.option(
    "--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Also write the report here."
)
def check(
    name: str, weights: str | None, device: str, precision: str | None, seed: int, batch: int, json_file: Path | None
) -> None:
    """Test an encoder of tiles, slides, volumes or texts on inputs made up for it, and say what to fix.

    Tiles: does each token see its own piece of the image, every time, in every batch? Slides: do order and places of
    tiles matter as they should? Volumes: does it matter how voxels are stored? Texts: is all of a long report read?

    NAME may be your own Python file, which is run. Ends with status 1 when something essential is wrong.
    """
    from cryostat.core.files import write_json
    from cryostat.encoders.inspection import Wish, inspect

    found = inspect(name, Wish(weights, device, precision, seed, batch))
    _print_report(found.report, "{device}, {precision}, batches of {batch}".format(**found.setting))
    for note in found.notes:
        click.echo(f"note: {note}")
    if json_file:
        write_json(json_file, found.as_json())
        click.echo(f"The report is in {json_file}")
    sys.exit(0 if found.report.passed else 1)


def _print_report(report: CheckReport, setting: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from cryostat.cli.tables import wide_console

    table = Table(title=f"{report.encoder} ({setting})", title_justify="left", show_header=False, box=None)
    for finding in report.findings:
        table.add_row(Text.from_markup(_mark(finding)), Text(finding.name), Text(_told(finding)))
    if report.per_second:
        digits = 1 if report.per_second >= 1 else 3
        table.add_row("", "speed", f"{report.per_second:,.{digits}f} {report.unit} a second")
    if report.weights_memory:
        on_gpu = f", {_mib(report.peak_memory)} on the GPU at most" if report.peak_memory else ""
        table.add_row("", "memory", f"{_mib(report.weights_memory)} of weights{on_gpu}")
    console = wide_console()
    console.print(table)
    console.print(_verdict(report))


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


def _verdict(report: CheckReport) -> str:
    if not report.passed:
        return "[red]Not fit for use: its features would be misplaced or wrong.[/]"
    doubts = f", with {len(report.warnings)} doubt" if report.warnings else ""
    return f"[green]Fit for use[/]{doubts}."


def _mark(finding: Finding) -> str:
    if finding.passed is False and not finding.essential:
        return "[yellow]![/]"
    return {True: "[green]✓[/]", False: "[red]✗[/]", None: "[dim]·[/]"}[finding.passed]


def _told(finding: Finding) -> str:
    return f"{finding.detail}\n→ {finding.remedy}." if finding.passed is False else finding.detail
