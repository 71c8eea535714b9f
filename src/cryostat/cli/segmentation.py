"""`cryostat segmentation`: instance maps that were predicted elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.console import Console

    from cryostat.cells.scoring.instance_maps import ScoredMaps
    from cryostat.core.home import Home


@click.command()
@click.option("--dataset", required=True, help="Name of an imported dataset, or its folder.")
@click.option("--split", required=True, help="Name of a split of the dataset.")
@click.option("--part", default="test", show_default=True, help="Part of the split: train, valid or test.")
@click.option(
    "--predictions",
    required=True,
    metavar="FOLDER",
    type=click.Path(path_type=Path),
    help="Folder of instance maps named after the fields of view.",
)
@click.option(
    "--match-um",
    type=float,
    default=3.0,
    show_default=True,
    help="Centres of a true and a predicted nucleus may be so many µm apart in detection F1, whatever a field's scale. "
    "The default is the usual 6 px at 0.5 µm per pixel.",
)
@click.option(
    "--missing", default="refuse", show_default=True, help="Fields without a map: refuse, or wrong (nothing found)."
)
@click.option("--name", default="external", show_default=True, help="What the model is called in the output.")
@click.option("--out", metavar="JSON", type=click.Path(path_type=Path), help="Also write the scores to this file.")
@click.pass_obj
def command(
    home: Home,
    dataset: str,
    split: str,
    part: str,
    predictions: Path,
    match_um: float,
    missing: str,
    name: str,
    out: Path | None,
) -> None:
    """Score predicted nuclei, found and outlined by a model of its own, against a part of a dataset's split.

    The folder holds one file a field: FOV.npy, .npz, .png or .tif with an instance id a pixel (0 background), and
    the class of each instance in FOV.csv (cell_id, class) or in one classes.csv (fov_id, cell_id, class); or
    FOV.npy or .npz of shape (height, width, 2) with instance and class ids, as CoNIC has them. Classes are names or
    ids.

    `cryostat score` asks for the class of given nuclei; this asks where the nuclei are too.
    """
    from cryostat.cells.dataset import load_dataset
    from cryostat.cells.scoring.instance_maps import score_instance_maps
    from cryostat.cli.segmentation_tables import print_segmentation
    from cryostat.cli.tables import wide_console
    from cryostat.core.files import write_json

    tissue = load_dataset(dataset, home)
    scored = score_instance_maps(tissue, split, part, predictions, match_um=match_um, missing=missing)
    console = wide_console()
    console.print(f"[bold]{tissue.name}[/] · {split} · {part} · ", end="", highlight=False)
    console.print(name, markup=False, highlight=False)
    print_segmentation(console, scored.scores)
    _remarks(console, scored)
    if out is not None:
        about = {
            "name": name,
            "dataset": tissue.name,
            "dataset_identity": tissue.identity,
            "split": split,
            "part": part,
            "predictions": predictions.resolve(),
            "missing": scored.missing,
            "unlabelled": scored.unlabelled,
        }
        write_json(out, {"about": about, **scored.scores.to_dict()})
        console.print(f"Written: [cyan]{out}[/]")


def _remarks(console: Console, scored: ScoredMaps) -> None:
    if n := len(scored.missing):
        which, whose = ("field has", "its") if n == 1 else ("fields have", "their")
        console.print(f"[yellow]{n:,} {which} no map[/]: all {whose} nuclei count as missed.")
    if scored.unlabelled:
        console.print(
            f"{scored.unlabelled:,} true nuclei have no class: they count where classes do not matter, and what is "
            "predicted there is false for its class.",
            highlight=False,
        )
