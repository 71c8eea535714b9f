"""`cryostat data`: datasets in, looked at, checked, divided."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from cryostat.core.home import Home

OUTSIDE = click.Path(path_type=Path)


@click.group()
def command() -> None:
    """Import, list, show, audit, split and build cell datasets."""


@command.command("import")
@click.argument("format_name", metavar="FORMAT")
@click.argument("source", type=OUTSIDE)
@click.option("--name", help="Name to import under; the format's own by default.")
@click.option("--mpp", type=float, help="µm per pixel, where the format does not state it.")
@click.option("--clinical", type=OUTSIDE, help="Table with a row a patient or field; its columns become groups.")
@click.option("--classes", type=OUTSIDE, help="Class table (id,name[,color]), where the format does not know them.")
@click.option("--limit", type=click.IntRange(min=1), help="Read at most so many fields of view.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="A setting of the format.")
@click.option("--overwrite", is_flag=True, help="Replace a dataset of that name.")
@click.option("--skip-bad", is_flag=True, help="Leave out fields that cannot be read, and list them.")
@click.pass_obj
def import_(
    home: Home,
    format_name: str,
    source: Path,
    name: str | None,
    mpp: float | None,
    clinical: Path | None,
    classes: Path | None,
    limit: int | None,
    settings: Sequence[str],
    overwrite: bool,
    skip_bad: bool,
) -> None:
    """Read a released dataset from the folder SOURCE.

    FORMAT is one of lizard, pannuke, arctique, pathocell, consep, conic, generic, qupath, lmdb; `cryostat data formats`
    tells what each reads and which settings it has.
    """
    from cryostat.cells.datasets import ImportOptions, import_dataset
    from cryostat.cli.data_tables import print_dataset
    from cryostat.cli.options import key_values

    options = ImportOptions(mpp, clinical, classes, limit, key_values(settings))
    dataset = import_dataset(
        format_name, source, home, name=name, options=options, overwrite=overwrite, skip_bad=skip_bad
    )
    print_dataset(dataset)


@command.command()
def formats() -> None:
    """List the formats that can be imported, and their settings."""
    from cryostat.cli.data_tables import print_formats

    print_formats()


@command.command("list")
@click.argument("name", required=False)
@click.pass_obj
def list_(home: Home, name: str | None) -> None:
    """List the imported datasets, or tell more of the one called NAME."""
    from cryostat.cells.dataset import dataset_names, load_dataset
    from cryostat.cli.data_tables import print_dataset, print_datasets

    if name is not None:
        print_dataset(load_dataset(name, home))
    elif names := dataset_names(home):
        print_datasets([load_dataset(known, home) for known in names])
    else:
        click.echo(f"No dataset in {home.datasets} yet. Make one with: cryostat data synthetic")


@command.command()
@click.argument("name")
@click.option("--out", type=OUTSIDE, help="The PNG to write; NAME.png by default.")
@click.option("--split", "split_name", help="Show the fields of a split, and name their parts.")
@click.option("--part", type=click.Choice(["train", "valid", "test"]), help="Show this part of the split only.")
@click.option("--fov", "fovs", multiple=True, help="A field of view to show; may be given several times.")
@click.option("--limit", default=12, show_default=True, help="Show at most so many fields, evenly spaced.")
@click.option("--columns", type=int, help="Pictures a row.")
@click.option("--size", default=400, show_default=True, help="Longest side of a picture, pixels.")
@click.option("--crop", type=float, metavar="µm", help="Zoom in on a square of this side, where nuclei are densest.")
@click.option("--outlines/--no-outlines", default=True, help="Outline the nuclei.")
@click.pass_obj
def show(
    home: Home,
    name: str,
    out: Path | None,
    split_name: str | None,
    part: str | None,
    fovs: Sequence[str],
    limit: int,
    columns: int | None,
    size: int,
    crop: float | None,
    outlines: bool,
) -> None:
    """Draw a contact sheet of the dataset NAME, its nuclei outlined in the colours of their classes."""
    from cryostat.cells.dataset import load_dataset
    from cryostat.cells.show import contact_sheet

    dataset = load_dataset(name, home)
    split = dataset.split(split_name) if split_name else None
    path = contact_sheet(
        dataset,
        out or Path(f"{dataset.name}.png"),
        fovs=fovs or None,
        split=split,
        part=part,
        limit=limit,
        columns=columns,
        size=size,
        crop=crop,
        outlines=outlines,
    )
    click.echo(f"Drew {path}")


@command.command()
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print the whole report as JSON.")
@click.option("--as", "known_as", metavar="FORMAT", help="Compare with the published counts of this format.")
@click.pass_obj
@click.pass_context
def audit(ctx: click.Context, home: Home, name: str, as_json: bool, known_as: str | None) -> None:
    """Check the dataset NAME.

    Counts, published truth, patients and tissue that straddle parts, masks that do not fit. Ends with status 1 if there
    is an error.
    """
    import json

    from cryostat.cells.audit import audit as audit_dataset
    from cryostat.cells.dataset import load_dataset
    from cryostat.cli.data_tables import print_audit

    report = audit_dataset(load_dataset(name, home), known_as=known_as)
    if as_json:
        click.echo(json.dumps(report.to_dict(), indent=1, ensure_ascii=False))
    else:
        print_audit(report)
    ctx.exit(0 if report.passed else 1)


@command.command()
@click.argument("name")
@click.option("--kfold", type=int, metavar="K", help="K folds, each field tested once.")
@click.option("--holdout", metavar="70/15/15", help="Shares of train, valid and test.")
@click.option(
    "--leave-out", metavar="GROUP[=VALUE]", help="Test on one site, say (site=glas), or on each in turn (site)."
)
@click.option(
    "--shift", metavar="GROUP=A:B", help="Train on one value of a group, test on another; commas join values."
)
@click.option("--csv", "table", type=OUTSIDE, help="A published table: sample_name,train_test_val_split.")
@click.option("--split-name", help="Name of the split, or of the family of folds.")
@click.option("--seed", default=0, show_default=True, help="Seed of the deal.")
@click.option(
    "--by", metavar="GROUP", help="What stays together: patient (the default where known), fov, site, a group."
)
@click.option("--overwrite", is_flag=True, help="Replace a split of that name.")
@click.pass_obj
def split(
    home: Home,
    name: str,
    kfold: int | None,
    holdout: str | None,
    leave_out: str | None,
    shift: str | None,
    table: Path | None,
    split_name: str | None,
    seed: int,
    by: str | None,
    overwrite: bool,
) -> None:
    """Divide the dataset NAME into train, valid and test, and store the split beside it."""
    from cryostat.cells.dataset import load_dataset
    from cryostat.cells.splits.store import store_splits
    from cryostat.cli.data_tables import print_splits
    from cryostat.cli.split_options import Wish, make_splits

    dataset = load_dataset(name, home)
    asked = {"--kfold": kfold, "--holdout": holdout, "--leave-out": leave_out, "--shift": shift, "--csv": table}
    made = make_splits(dataset, asked, Wish(seed, by, split_name))
    store_splits(dataset, made, overwrite=overwrite)
    print_splits(dataset, made)


@command.command()
@click.option("--images", type=OUTSIDE, required=True, help="Folder of RGB images; names without ending are field ids.")
@click.option("--masks", type=OUTSIDE, required=True, help="Folder of instance maps under the same names.")
@click.option("--phenotypes", type=OUTSIDE, required=True, help="Phenotype of each cell: a table, or a folder of them.")
@click.option("--name", required=True, help="Name of the dataset.")
@click.option("--mpp", type=float, required=True, help="µm per pixel.")
@click.option("--merge", type=OUTSIDE, help="Table phenotype,class: which phenotypes make which class.")
@click.option("--patients", type=OUTSIDE, help="Table with the patient, site and groups of each field.")
@click.option("--exclude", type=OUTSIDE, help="Table of fields to leave out, as the quality report proposes.")
@click.option("--overwrite", is_flag=True, help="Replace a dataset of that name.")
@click.pass_obj
def build(
    home: Home,
    images: Path,
    masks: Path,
    phenotypes: Path,
    name: str,
    mpp: float,
    merge: Path | None,
    patients: Path | None,
    exclude: Path | None,
    overwrite: bool,
) -> None:
    """Build a dataset from instance masks and a table of each cell's phenotype, with a quality report."""
    from cryostat.cells.building import build_dataset
    from cryostat.cli.data_tables import print_build

    report = build_dataset(
        images,
        masks,
        phenotypes,
        home,
        name=name,
        merge=merge,
        patients=patients,
        mpp=mpp,
        exclude=exclude,
        overwrite=overwrite,
    )
    print_build(report)


@command.command()
@click.option("--name", default="synthetic", show_default=True, help="Name of the dataset.")
@click.option("--hospitals", default=3, show_default=True, help="Hospitals, each with its own stain.")
@click.option("--patients", default=4, show_default=True, help="Patients of each hospital.")
@click.option("--fields", default=2, show_default=True, help="Fields of view of each patient.")
@click.option("--size", default=512, show_default=True, help="Side of a field, pixels.")
@click.option("--seed", default=0, show_default=True, help="The same seed makes the same tissue.")
@click.option("--overwrite", is_flag=True, help="Replace a dataset of that name.")
@click.pass_obj
def synthetic(
    home: Home, name: str, hospitals: int, patients: int, fields: int, size: int, seed: int, overwrite: bool
) -> None:
    """Make synthetic tissue: H&E-like fields with exact nuclei and classes, from several hospitals."""
    from cryostat.cells.synthetic import make_dataset
    from cryostat.cli.data_tables import print_dataset

    dataset = make_dataset(
        home,
        name=name,
        hospitals=hospitals,
        patients=patients,
        fields=fields,
        size=size,
        seed=seed,
        overwrite=overwrite,
    )
    print_dataset(dataset)
