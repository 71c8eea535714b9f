"""`cryostat encoders`: list encoders, read their cards, check them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryostat.encoders.card import EncoderCard
    from cryostat.encoders.tile.selftest import CheckReport, Finding


@click.group()
def command() -> None:
    """List encoders, read their cards, check them."""


@command.command("list")
def list_encoders() -> None:
    """The encoders that have a card; every timm model can be named beside them."""
    from rich.table import Table

    from cryostat.cli.tables import wide_console
    from cryostat.encoders.registry import card, names

    table = Table(title="Encoders", title_justify="left", header_style="bold")
    for name in ("name", "architecture"):
        table.add_column(name)
    for name in ("input px", "token px", "width", "blocks"):
        table.add_column(name, justify="right")
    for name in ("µm/px", "weights", "licence"):
        table.add_column(name)
    for facts in sorted(map(card, names()), key=lambda facts: (facts.hub_id is not None, facts.name)):
        sizes = (str(facts.input_size), f"{facts.token_px:.3g}", str(facts.width), str(facts.depth or "–"))
        scale = f"{facts.mpp:g}" if facts.mpp else "any"
        table.add_row(facts.name, facts.architecture, *sizes, scale, _weights(facts), facts.licence)
    console = wide_console()
    console.print(table)
    console.print(
        "Any timm model besides: [cyan]timm:NAME[/], a stage of a convolutional one [cyan]timm:NAME+stageK[/]"
    )


def _weights(facts: EncoderCard) -> str:
    if facts.hub_id is None:
        return "needs none"
    return "gated" if facts.gated else "hub"


@command.command()
@click.argument("name")
def show(name: str) -> None:
    """The card of one encoder: NAME as listed, timm:NAME, or a card file."""
    from rich.table import Table

    from cryostat.cli.tables import wide_console
    from cryostat.encoders.registry import card

    facts = card(name)
    table = Table(title=facts.title, title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 0))
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for label, value in _lines(facts):
        table.add_row(label, value)
    wide_console().print(table)


def _lines(facts: EncoderCard) -> Iterator[tuple[str, str]]:
    yield "name", facts.name
    yield "architecture", facts.architecture
    size = f"{facts.input_size} px" + (f", or any multiple of {facts.patch_size}" if facts.flexible_size else " only")
    yield "input", size
    yield "tokens", f"{facts.grid}×{facts.grid} of {facts.token_px:.3g} px, {facts.width} channels"
    yield "layers", f"block-1 … block-{facts.depth}, final" if facts.depth else "final"
    yield "prefix tokens", str(facts.prefix_tokens)
    yield "normalisation", f"mean {_triple(facts.mean)}, std {_triple(facts.std)}"
    yield "trained at", f"{facts.mpp:g} µm/px" if facts.mpp else "mixed or unknown µm/px"
    yield "precision", facts.precision
    yield "parameters", f"{facts.parameters:,}" if facts.parameters else "none"
    yield from _provenance(facts)


def _provenance(facts: EncoderCard) -> Iterator[tuple[str, str]]:
    if facts.hub_id:
        revision = f" at {facts.revision}" if facts.revision else ""
        yield "hub", f"{facts.hub_id}{revision}" + (" (gated: accept its terms there)" if facts.gated else "")
    for label, value in (
        ("licence", facts.licence),
        ("has seen", facts.training_data),
        ("cite", facts.citation),
    ):
        if value:
            yield label, value
    for note in facts.notes:
        yield "note", note


def _triple(values: tuple[float, float, float]) -> str:
    return ", ".join(f"{value:g}" for value in values)


@command.command()
@click.argument("name")
@click.option("--weights", metavar="PATH", help="File of weights, or hub, hub@COMMIT, random.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or cuda:N.")
@click.option("--precision", help="fp32, bf16 or fp16 (default: the card's).")
@click.option("--seed", default=0, show_default=True, help="Of random weights and filters.")
@click.option("--batch", default=4, show_default=True, type=click.IntRange(1), help="Images at once, for the speed.")
def check(name: str, weights: str | None, device: str, precision: str | None, seed: int, batch: int) -> None:
    """Test an encoder: does each token see its own piece of the image, every time, in every batch?

    Ends with status 1 when something is wrong.
    """
    from cryostat.encoders.registry import load_encoder
    from cryostat.encoders.tile import selftest

    encoder = load_encoder(name, weights=weights, device=device, precision=precision, seed=seed)
    report = selftest.check(encoder, batch=batch)
    _print_report(report, f"{encoder.device}, {encoder.precision}, batches of {batch}")
    for note in encoder.card.notes:
        click.echo(f"note: {note}")
    sys.exit(0 if report.passed else 1)


def _print_report(report: CheckReport, setting: str) -> None:
    from rich.table import Table
    from rich.text import Text

    from cryostat.cli.tables import wide_console

    table = Table(title=f"{report.encoder} ({setting})", title_justify="left", show_header=False, box=None)
    for finding in report.findings:
        table.add_row(Text.from_markup(_MARKS[finding.passed]), Text(finding.name), Text(_told(finding)))
    memory = f", {report.peak_memory / 2**20:,.0f} MiB on the GPU" if report.peak_memory else ""
    table.add_row("", "speed", f"{report.images_per_second:.1f} images a second{memory}")
    console = wide_console()
    console.print(table)
    verdict = (
        "[green]Fit for use.[/]"
        if report.passed
        else "[red]Not fit for use: its features would be misplaced or wrong.[/]"
    )
    console.print(verdict)


_MARKS = {True: "[green]✓[/]", False: "[red]✗[/]", None: "[dim]·[/]"}


def _told(finding: Finding) -> str:
    return f"{finding.detail}\n→ {finding.remedy}." if finding.passed is False else finding.detail
