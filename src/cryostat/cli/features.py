"""Features: list, show, verify and delete what is stored."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cryostat.core.home import Home

if TYPE_CHECKING:
    from rich.table import Table

    from cryostat.core.errors import StoreError
    from cryostat.features.store import FeatureStore

SECONDS_A_DAY = 86400


@click.group()
def command() -> None:
    """Features on disk: encoded once, found again by identity."""


@command.command()
@click.option("--dataset", required=True, help="Name of an imported dataset, or its folder.")
@click.option("--encoder", required=True, help="Name of an encoder.")
@click.option("--weights", help="Local weights of the encoder.")
@click.option("--precision", type=click.Choice(["fp32", "bf16", "fp16"]), help="Arithmetic of the encoder.")
@click.option("--protocol", default="standard", show_default=True, help="Rules of cutting and scaling.")
@click.option("--mpp", type=float, help="µm per pixel in place of the protocol's; 0 keeps each field's own.")
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 …")
@click.option("--batch-size", default=32, show_default=True, help="Tiles an encoder pass.")
@click.pass_obj
def extract(
    home: Home,
    dataset: str,
    encoder: str,
    weights: str | None,
    precision: str | None,
    protocol: str,
    mpp: float | None,
    device: str,
    batch_size: int,
) -> None:
    """Encode a dataset ahead of runs; resumes, and any number of processes may share the work."""
    from cryostat.cells.dataset import load_dataset
    from cryostat.cells.runs.material import encode
    from cryostat.encoders.registry import load_encoder

    loaded = load_encoder(encoder, weights=weights, device=device, precision=precision)
    tissue = load_dataset(dataset, home)
    features = encode(loaded, tissue, protocol=protocol, mpp=mpp, home=home, batch_size=batch_size)
    for store in features.stored:
        click.echo(f"{store.tiles:,} tiles in {store.folder}")
    for fov, reason in features.failures.items():
        click.echo(f"failed: {fov}: {reason}", err=True)


@command.command("list")
@click.pass_obj
def list_stores(home: Home) -> None:
    """List the stores.

    Whose features they are, of how many tiles, how many of them are stored, how many could not be read, and the size.
    """
    from cryostat.cli.tables import wide_console
    from cryostat.core.errors import StoreError
    from cryostat.features.catalogue import all_stores

    found = all_stores(home)
    if not found:
        click.echo(f"No features in {home.features} yet.")
        return
    table = _table("dataset", "encoder", "layer", "id", "tiles>", "stored>", "failed>", "size>", title="Feature stores")
    for folder, store in found.items():
        if isinstance(store, StoreError):
            table.add_row(folder.name, "[red]damaged[/]", *[""] * 6)
        else:
            table.add_row(*_row(store))
    wide_console().print(table)
    for store in found.values():
        if isinstance(store, StoreError):
            click.echo(str(store), err=True)


def _row(store: FeatureStore) -> list[str]:
    from cryostat.features.identity import label_of

    records = store.records()
    share = 100 * sum(record.rows for record in records) // max(store.tiles, 1)
    failed = sum(len(record.failures) for record in records)
    return [
        *label_of(store.identity),
        store.digest[:8],
        f"{store.tiles:,}",
        "[green]all[/]" if len(records) == store.shards else f"[yellow]{share} %[/]",
        f"[yellow]{failed}[/]" if failed else "0",
        _size(sum(record.bytes for record in records)),
    ]


@command.command()
@click.argument("store")
@click.pass_obj
def show(home: Home, store: str) -> None:
    """Show all that is known of STORE.

    Its geometry, speed, whole identity, and the tiles that could not be read. STORE is its name or any part that tells.
    """
    from rich.markup import escape

    from cryostat.cli.tables import wide_console
    from cryostat.features.catalogue import named_store

    found = named_store(home, store)
    console = wide_console()
    console.print(_facts(found))
    console.print("Identity", style="bold")
    console.print_json(json.dumps(found.identity))
    if failures := found.failures():
        table = _table("tile>", "field", "reason", title="Tiles that could not be read (their features are zeros)")
        for failure in failures:
            table.add_row(str(failure.tile), escape(failure.fov_id), escape(failure.reason))
        console.print(table)


def _facts(store: FeatureStore) -> Table:
    records = store.records()
    seconds, tiles = sum(r.seconds for r in records), sum(r.rows for r in records)
    height, width, channels = store.shape
    rows = {
        "folder": str(store.folder),
        "tiles": f"{tiles:,} stored of {store.tiles:,}",
        "features": f"{height} × {width} tokens × {channels} channels, float16",
        "shards": f"{len(records)} stored of {store.shards}, {store.shard_tiles} tiles each",
        "size": f"{_size(sum(r.bytes for r in records))} on disk, {_size(store.nbytes)} of features when complete",
        "encoded on": ", ".join(sorted({r.device for r in records if r.device})) or "–",
        "speed": f"{tiles / seconds:.1f} tiles/s" if seconds else "–",
    }
    table = _table("", "", title=store.folder.name)
    table.show_header = False
    for name, value in rows.items():
        table.add_row(f"[bold]{name}[/]", value)
    return table


@command.command()
@click.argument("store", required=False)
@click.option("--repair", is_flag=True, help="Delete damaged shards, so that the next extraction makes them anew.")
@click.option(
    "--retry-failed", is_flag=True, help="With --repair: delete also shards with tiles that could not be read."
)
@click.pass_obj
@click.pass_context
def verify(ctx: click.Context, home: Home, store: str | None, repair: bool, retry_failed: bool) -> None:
    """Compare every byte with its checksum.

    Of STORE (its name or any part that tells), or of all stores. Ends with status 1 if damage is left.
    """
    from cryostat.core.errors import SettingError, StoreError

    if retry_failed and not repair:
        raise SettingError("--retry-failed deletes shards", remedy="Say so with --repair --retry-failed")
    healthy = True
    for folder, found in _chosen(home, store).items():
        if isinstance(found, StoreError):
            click.echo(f"{folder.name}: {click.style(found.problem, fg='red')}. {found.remedy}.")
            healthy = False
            continue
        damaged = found.repair(failed=retry_failed) if repair else found.verify()
        _report(found, damaged, repaired=repair)
        healthy &= repair or not damaged
    ctx.exit(0 if healthy else 1)


def _chosen(home: Home, name: str | None) -> Mapping[Path, FeatureStore | StoreError]:
    from cryostat.features.catalogue import all_stores, named_store

    if name is None:
        return all_stores(home)
    found = named_store(home, name)
    return {found.folder: found}


def _report(store: FeatureStore, shards: Sequence[int], *, repaired: bool) -> None:
    missing = len(store.missing())
    if shards:
        names = ", ".join(store.shard_path(shard).name for shard in shards)
        state = f"deleted {names}; the next extraction makes them anew" if repaired else f"damaged: {names}"
    else:
        state = f"sound, {missing} of {store.shards} shards not stored yet" if missing else "sound"
    color = "yellow" if shards and repaired else "red" if shards else "green"
    click.echo(f"{store.folder.name}: {click.style(state, fg=color)}")


@command.command()
@click.option("--older-than", type=click.FloatRange(min=0), metavar="DAYS", help="Also stores not written for so long.")
@click.option("--yes", is_flag=True, help="Delete them; without it they are only listed.")
@click.pass_obj
def prune(home: Home, older_than: float | None, yes: bool) -> None:
    """Delete incomplete, damaged and old stores.

    Stores that a process is filling right now stay. Without --yes nothing is deleted.
    """
    from cryostat.features.catalogue import all_stores, delete_store

    now = time.time()
    doomed = {
        folder: why for folder, store in all_stores(home).items() if (why := _reason(folder, store, older_than, now))
    }
    if not doomed:
        click.echo("Nothing to delete.")
        return
    total = 0
    for folder, why in doomed.items():
        size = sum(path.stat().st_size for path in folder.iterdir())
        total += size
        if yes:
            delete_store(folder)
        click.echo(f"{'deleted' if yes else 'would delete'} {folder.name} ({why}, {_size(size)})")
    click.echo(f"{_size(total)} freed." if yes else f"{_size(total)} in all. Run the same with --yes to delete them.")


def _reason(folder: Path, store: FeatureStore | Exception, older_than: float | None, now: float) -> str | None:
    from cryostat.features.catalogue import last_written

    if isinstance(store, Exception):
        return "damaged"
    if store.in_use():
        return None
    if not store.complete:
        return "incomplete"
    days = (now - last_written(folder)) / SECONDS_A_DAY
    return f"written {days:.0f} days ago" if older_than is not None and days > older_than else None


def _table(*columns: str, title: str) -> Table:
    """A table; columns whose name ends in `>` are numbers."""
    from rich import box
    from rich.table import Table

    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", padding=(0, 1, 0, 0))
    for column in columns:
        table.add_column(column.rstrip(">"), justify="right" if column.endswith(">") else "left", overflow="fold")
    return table


def _size(count: int) -> str:
    size, unit = float(count), "B"
    for larger in ("kB", "MB", "GB", "TB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
