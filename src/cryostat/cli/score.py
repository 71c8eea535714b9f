"""`cryostat score`: predictions that were made elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryostat.core.home import Home


@click.command()
@click.option("--dataset", required=True, help="Name of an imported dataset, or its folder.")
@click.option("--split", required=True, help="Name of a split of the dataset.")
@click.option("--part", default="test", show_default=True, help="Part of the split: train, valid or test.")
@click.option(
    "--predictions",
    required=True,
    type=click.Path(path_type=Path),
    help="Table of cells (CSV, TSV, Parquet), or folder of label maps or probability maps named after the fields.",
)
@click.option("--kind", default="auto", show_default=True, help="cells, labels, probabilities, or auto.")
@click.option(
    "--protocol",
    default="standard",
    show_default=True,
    help="standard: fixed class set, background never wins; paper-classes: floating class set, background may win.",
)
@click.option("--missing", default="refuse", show_default=True, help="Cells without a prediction: refuse, or wrong.")
@click.option(
    "--background",
    default="auto",
    show_default=True,
    help="Channel of background in probability maps: first, none, auto.",
)
@click.option("--name", default="external", show_default=True, help="What the model is called in the results.")
@click.option("--seed", type=int, help="Seed of its training, so that several become mean ± sd.")
@click.option("--fraction", type=float, help="Share of the training fields that it saw.")
@click.option("--out", type=click.Path(path_type=Path), help="Folder for the run; by default among the other runs.")
@click.pass_obj
def command(
    home: Home,
    dataset: str,
    split: str,
    part: str,
    predictions: Path,
    kind: str,
    protocol: str,
    missing: str,
    background: str,
    name: str,
    seed: int | None,
    fraction: float | None,
    out: Path | None,
) -> None:
    """Score predictions that were made elsewhere against a part of a dataset's split.

    A table has the columns fov_id, cell_id, and y_pred (class id or name) or one probability column a class
    (p_3, p_Plasma, Plasma …). Label maps hold a class id a pixel; the majority in each nucleus counts. Probability
    maps are .npy of shape (C, H, W) or (H, W, C); their mean in each nucleus counts.
    """
    from cryostat.cells.dataset import load_dataset
    from cryostat.cells.scoring.external import External, record_external, save_external, score_external
    from cryostat.cli.results import print_scores
    from cryostat.cli.tables import wide_console
    from cryostat.core.files import safe_name

    asked = External(predictions, part, kind, protocol, missing, background, name)
    tissue = load_dataset(dataset, home)
    parts = tissue.split(split)
    frame, scores = score_external(tissue, parts, asked)
    record = record_external(tissue, parts, asked, seed=seed, fraction=fraction)
    folder = out or home.runs / safe_name(record.run_id)
    save_external(folder, frame, scores, record)
    console = wide_console()
    print_scores(console, scores)
    console.print(f"Predictions, scores and record: [cyan]{folder}[/]")
