"""`cryostat export`: runs and datasets in the formats of other tools."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cryostat.cli.picture import find_run

if TYPE_CHECKING:
    from cryostat.core.home import Home
    from cryostat.export.trackers.mirror import Mirrored
    from cryostat.results.records import RunRecord

    Track = Callable[[Sequence[RunRecord], str, str], list[Mirrored]]


@click.group()
def command() -> None:
    """Hand runs and datasets to other tools. RUN is a run id, part of one, or a run's folder.

    The run's folder stays the record; what is exported can be made again from it at any time.
    """


@command.command()
@click.argument("run")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="The .h5ad to write; RUN.h5ad by default.")
@click.option("--layer", default="final", show_default=True, help="Layer of the encoder; its features must be stored.")
@click.option(
    "--ring-um",
    default=0.0,
    show_default=True,
    type=click.FloatRange(min=0),
    metavar="µm",
    help="Append the mean of a ring of this width round each nucleus.",
)
@click.option("--all", "everything", is_flag=True, help="All nuclei of the dataset, not only those predicted.")
@click.pass_obj
def anndata(home: Home, run: str, out: Path | None, layer: str, ring_um: float, everything: bool) -> None:
    """Embeddings of nuclei with labels, predictions and places as AnnData (scanpy, squidpy)."""
    from cryostat.export.anndata import export_anndata

    record = find_run(home, run)
    path = out or _named(record, ".h5ad")
    cells = export_anndata(record, path, home, layer=layer, ring_um=ring_um, everything=everything)
    click.echo(f"{cells.n_obs:,} nuclei of {cells.n_vars} features in {path}")


@command.command()
@click.argument("run")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="Folder to write to; RUN-geojson by default.")
@click.option(
    "--show",
    "shown",
    multiple=True,
    default=("predicted",),
    show_default=True,
    type=click.Choice(["predicted", "true", "found"]),
    help="Classes as predicted, the true ones, or the nuclei that the run outlined itself; may be given several times.",
)
@click.option("--fov", "fovs", multiple=True, metavar="ID", help="Only this field of view; may be given several times.")
@click.option("--images", is_flag=True, help="Write the fields too, as TIFF with their scale.")
@click.pass_obj
def geojson(
    home: Home, run: str, out: Path | None, shown: tuple[str, ...], fovs: tuple[str, ...], images: bool
) -> None:
    """Outlines of nuclei with classes and probabilities as GeoJSON, a file a field (QuPath).

    The folder is also one that `cryostat data import qupath` reads, with --images and --set annotations=predicted.
    """
    from cryostat.export.geojson import export_geojson

    record = find_run(home, run)
    folder = out or _named(record, "-geojson")
    found = export_geojson(record, folder, home, shown=shown, fovs=fovs or None, images=images)
    click.echo(f"{found.nuclei:,} nuclei in {len(found.files)} files in {found.folder}")


@command.command()
@click.argument("run")
@click.option("-o", "--out", type=click.Path(path_type=Path), help="A .csv, .tsv or .parquet; RUN.csv by default.")
@click.pass_obj
def predictions(home: Home, run: str, out: Path | None) -> None:
    """The predictions table, with the names of classes, as CSV, TSV or Parquet."""
    from cryostat.export.predictions import export_predictions

    record = find_run(home, run)
    click.echo(f"Wrote {export_predictions(record, out or _named(record, '.csv'))}")


@command.command()
@click.argument("dataset")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="The .json to write; croissant.json in the dataset's folder by default.",
)
@click.option("--url", help="Address under which the dataset's folder is published; else files are named by path.")
@click.pass_obj
def croissant(home: Home, dataset: str, out: Path | None, url: str | None) -> None:
    """Croissant 1.0 metadata of an imported dataset, with a checksum of every file. DATASET is a name or a folder."""
    from cryostat.cells.dataset import load_dataset
    from cryostat.export.croissant import export_croissant

    tissue = load_dataset(dataset, home)
    path = out or tissue.folder / "croissant.json"
    export_croissant(tissue, path, url=url)
    click.echo(f"Wrote {path}")


_RUNS = click.argument("runs", nargs=-1, required=True, metavar="RUN…")
_PROJECT = click.option("--project", default="cryostat", show_default=True, help="Name of the experiment or project.")


@command.command()
@_RUNS
@click.option(
    "-o",
    "--out",
    default="mlruns",
    show_default=True,
    help="A folder, or a tracking address (http://…, sqlite:///…).",
)
@_PROJECT
@click.pass_obj
def mlflow(home: Home, runs: tuple[str, ...], out: str, project: str) -> None:
    """Mirror runs in MLflow: settings, scores, curves, predictions. Runs that are there are passed over."""
    from cryostat.export.trackers.mlflow import mirror_in_mlflow

    _mirror(mirror_in_mlflow, home, runs, out, project)


@command.command()
@_RUNS
@click.option("-o", "--out", default=".", show_default=True, help="Folder in which wandb/offline-run-… appear.")
@_PROJECT
@click.pass_obj
def wandb(home: Home, runs: tuple[str, ...], out: str, project: str) -> None:
    """Mirror runs in Weights & Biases, offline; `wandb sync` sends them."""
    from cryostat.export.trackers.wandb import mirror_in_wandb

    _mirror(mirror_in_wandb, home, runs, out, project)


@command.command()
@_RUNS
@click.option("-o", "--out", default="tensorboard", show_default=True, help="Folder for PROJECT/RUN with event files.")
@_PROJECT
@click.pass_obj
def tensorboard(home: Home, runs: tuple[str, ...], out: str, project: str) -> None:
    """Mirror runs as TensorBoard event files: scores, curves, settings."""
    from cryostat.export.trackers.tensorboard import mirror_in_tensorboard

    _mirror(mirror_in_tensorboard, home, runs, out, project)


def _mirror(track: Track, home: Home, runs: Sequence[str], out: str, project: str) -> None:
    for found in track([find_run(home, run) for run in runs], out, project):
        click.echo(f"{found.run_id}: {'' if found.fresh else 'there already, '}{found.where}")


def _named(record: RunRecord, ending: str) -> Path:
    from cryostat.core.files import safe_name

    return Path(f"{safe_name(record.run_id)}{ending}")
