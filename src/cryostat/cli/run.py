"""`cryostat run`: one run or a whole study."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from cryostat.cells.runs.spec import RunSpec
    from cryostat.core.home import Home


@click.group()
def command() -> None:
    """Train and score heads on frozen encoders: one run, or a whole study."""


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
@click.option("--encoder", "encoders", multiple=True, required=True, help="Encoder; may be given several times.")
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
    protocol: str,
    mpp: float | None,
    weights: Sequence[str],
    precision: Sequence[str],
    settings: Sequence[str],
    device: str,
    batch_size: int,
) -> None:
    """Benchmark encoders on one dataset; options given several times are crossed."""
    from cryostat.cells.runs.spec import Study
    from cryostat.cli.options import head_options, of_encoders

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
        head_options=head_options(heads, settings),
    )
    _run_study(study, home, device, batch_size)


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
@_with_device
@click.pass_obj
def study(home: Home, file: Path, device: str, batch_size: int) -> None:
    """Run the matrix that a study FILE (TOML) describes; finished runs are found, failed ones listed."""
    from cryostat.cells.runs.spec import read_study

    _run_study(read_study(file), home, device, batch_size)


def _run_study(study: Any, home: Home, device: str, batch_size: int) -> None:
    from cryostat.cells.dataset import load_dataset
    from cryostat.cells.runs.study import run_specs
    from cryostat.cli.tables import print_outcomes

    specs: list[RunSpec] = study.specs({name: load_dataset(name, home) for name in study.datasets})
    outcomes = run_specs(specs, home, device=device, batch_size=batch_size, study=study.name)
    print_outcomes(outcomes, home)
    if any(outcome.record is None for outcome in outcomes):
        raise SystemExit(1)
