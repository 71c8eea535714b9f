"""`cryostat run`: one run or a whole study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from cryostat.cli.run_cases import command as cases
from cryostat.cli.run_ladder import command as ladder
from cryostat.cli.study_options import case_study, chosen_study, is_of_cases, study_options

if TYPE_CHECKING:
    from cryostat.cells.runs.spec import Study
    from cryostat.core.home import Home


@click.group()
def command() -> None:
    """Train and score on frozen encoders: heads on cells, methods on cases, or a whole study."""


device_options = (
    click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 …"),
    click.option("--batch-size", default=32, show_default=True, help="Tiles an encoder pass."),
)


def _with_device(function: Any) -> Any:
    for option in reversed(device_options):
        function = option(function)
    return function


@command.command()
@click.option("--dataset", required=True, help="Name of an imported dataset, or its folder.")
@click.option("--encoder", "encoders", multiple=True, help="Encoder; may be given several times.")
@click.option("--head", "heads", multiple=True, default=("cell-probe",), show_default=True, help="linear, cell-probe …")
@click.option(
    "--split", "splits", multiple=True, default=("base",), show_default=True, help="Split, or family of folds."
)
@click.option(
    "--fraction", "fractions", multiple=True, type=float, default=(1.0,), help="Share of the training fields."
)
@click.option(
    "--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True, help="Seed; several for mean ± sd."
)
@click.option(
    "--mode", "modes", multiple=True, help="cached, cached:8, live, finetune, lora:16; else the protocol's own."
)
@click.option("--protocol", default="standard", show_default=True, help="Rules: standard or paper.")
@click.option("--mpp", type=float, help="µm per pixel in place of the protocol's; 0 keeps each field's own.")
@click.option("--weights", multiple=True, metavar="[ENCODER=]FILE", help="Local weights of an encoder.")
@click.option("--precision", multiple=True, metavar="[ENCODER=]fp32|bf16|fp16", help="Arithmetic of an encoder.")
@click.option("--set", "settings", multiple=True, metavar="[HEAD.]KEY=VALUE", help="A setting of a head.")
@_with_device
@click.pass_obj
def cells(
    home: Home,
    dataset: str,
    encoders: Sequence[str],
    heads: Sequence[str],
    splits: Sequence[str],
    fractions: Sequence[float],
    seeds: Sequence[int],
    modes: Sequence[str],
    protocol: str,
    mpp: float | None,
    weights: Sequence[str],
    precision: Sequence[str],
    settings: Sequence[str],
    device: str,
    batch_size: int,
) -> None:
    """Benchmark encoders on one dataset; options given several times are crossed.

    Heads that bring their own network (hovernext) need no --encoder.
    """
    from cryostat.cells.runs.spec import Study
    from cryostat.cli.options import of_encoders, settings_of

    encoders = encoders or _no_encoder(heads, [*weights, *precision])
    study = Study(
        name="",
        datasets=[dataset],
        splits=splits,
        encoders=encoders,
        heads=heads,
        fractions=fractions,
        seeds=seeds,
        base={"protocol": protocol, "mpp": mpp},
        encoder_options=of_encoders(encoders, weights=weights, precision=precision),
        head_options=settings_of(heads, settings, "heads"),
        modes=modes or (None,),
    )
    _run_study(study, home, device, batch_size)


def _no_encoder(heads: Sequence[str], options: Sequence[str]) -> tuple[str]:
    """What stands for the encoder where none is given.

    Raises:
        SettingError: A head needs one, or an option is about one.
    """
    from cryostat.cells.heads import head_card
    from cryostat.cells.runs.spec import NO_ENCODER
    from cryostat.core.errors import SettingError

    needing = [head for head in heads if head_card(head).reads != "pixels"]
    if needing or options:
        asking = f"head {needing[0]!r} needs" if needing else "--weights and --precision need"
        raise SettingError(f"{asking} an encoder, and none is given", remedy="Name one with --encoder")
    return (NO_ENCODER,)


@command.command()
@click.argument("study", metavar="STUDY")
@study_options
@_with_device
@click.pass_obj
def study(home: Home, /, study: str, limit: int | None, device: str, batch_size: int, **replacements: Any) -> None:
    """Run the matrix that STUDY describes; finished runs are found, failed ones listed.

    STUDY is a file (TOML) or the name of a study that ships: see `cryostat run studies`, and `cryostat plan STUDY` for
    what it costs.
    """
    if is_of_cases(study):
        _run_case_study(study, home, device, limit, replacements)
        return
    chosen = chosen_study(study, **replacements)
    for note in chosen.notes:
        click.secho(note, fg="yellow", err=True)
    _run_study(chosen.study, home, device, batch_size, limit)


def _run_case_study(study: str, home: Home, device: str, limit: int | None, replacements: dict[str, Any]) -> None:
    from cryostat.cli.run_cases import run_and_print

    found = case_study(study, replacements)
    run_and_print(found.specs()[:limit], home, device=device, study=found.name)


@command.command()
def studies() -> None:
    """List the studies that ship."""
    from rich import box
    from rich.table import Table

    from cryostat.cells.runs.spec import read_study
    from cryostat.cells.studies import find_study, study_names
    from cryostat.cli.tables import wide_console
    from cryostat.core.files import read_toml

    table = Table(title="Studies", title_justify="left", title_style="bold", header_style="bold", box=box.SIMPLE_HEAD)
    table.add_column("name", no_wrap=True)
    table.add_column("runs", justify="right")
    table.add_column("about")
    for name in study_names():
        runs = len(read_study(find_study(name)).specs_with(lambda data, split: [split]))
        table.add_row(f"[cyan]{name}[/]", str(runs), str(read_toml(find_study(name))["study"].get("about", "")))
    console = wide_console()
    console.print(table)
    console.print("What one costs: [cyan]cryostat plan NAME[/]   To run it: [cyan]cryostat run study NAME[/]")


def _run_study(study: Study, home: Home, device: str, batch_size: int, limit: int | None = None) -> None:
    from cryostat.cells.dataset import load_dataset
    from cryostat.cells.runs.study import run_specs
    from cryostat.cli.tables import print_outcomes

    specs = study.specs({name: load_dataset(name, home) for name in study.datasets})[:limit]
    outcomes = run_specs(specs, home, device=device, batch_size=batch_size, study=study.name)
    print_outcomes(outcomes, home)
    if any(outcome.record is None for outcome in outcomes):
        raise SystemExit(1)


command.add_command(cases)
command.add_command(ladder)
