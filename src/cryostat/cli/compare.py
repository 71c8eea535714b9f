"""`cryostat compare`: which differences between runs are more than chance."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from cryostat.core.home import Home
    from cryostat.results.records import FoundRuns


@click.command()
@click.argument("runs", nargs=-1, metavar="[RUN RUN]")
@click.option("--dataset", multiple=True, help="Only this dataset; may be given several times, as all filters may.")
@click.option("--encoder", multiple=True, help="Only this encoder.")
@click.option("--head", multiple=True, help="Only this head.")
@click.option("--split", multiple=True, help="Only this split, or family of folds (5fold).")
@click.option("--protocol", multiple=True, help="Only this protocol.")
@click.option("--every-pair", is_flag=True, help="Compare each with each, not all with the best.")
@click.option(
    "--shift", nargs=2, metavar="BASE SPLIT", help="What each encoder and head loses from one split to another."
)
@click.option("--per-class", is_flag=True, help="With --shift: the change of each class too.")
@click.option("--json", type=click.Path(path_type=Path), help="Also write what was compared to this JSON file.")
@click.pass_obj
def command(
    home: Home,
    /,
    runs: Sequence[str],
    every_pair: bool,
    shift: tuple[str, str] | None,
    per_class: bool,
    json: Path | None,
    **filters: tuple[str, ...],
) -> None:
    """Compare two runs, or all that filters leave, on the same nuclei.

    Differences have 95 % intervals from resampled patients (else fields of view) and p-values from exchanging the two
    models' predictions patient by patient, after Holm's correction over the table.
    """
    from cryostat.cli.tables import wide_console
    from cryostat.core.errors import SettingError
    from cryostat.results.records import CELLS, find_runs

    console = wide_console()
    if runs:
        if len(runs) != 2 or shift or any(filters.values()):
            raise SettingError("compare takes two runs, or filters", remedy="Name two runs and nothing else")
        written: Any = _two_runs(console, home, *runs)
    else:
        found = find_runs(home, benchmark=CELLS, **{name: values or None for name, values in filters.items()})
        written = _shifts(console, found, shift, per_class) if shift else _rows(console, found, every_pair)
    if json is not None:
        from cryostat.core.files import write_json

        write_json(json, written)
        console.print(f"Written: [cyan]{json}[/]")


def _two_runs(console: Console, home: Home, first: str, second: str) -> Any:
    from cryostat.cli.compare_tables import print_comparison
    from cryostat.cli.results import find_run
    from cryostat.results.comparison import compare_runs

    one, two = find_run(home, first), find_run(home, second)
    found = compare_runs([one], [two])
    print_comparison(console, one.run_id, two.run_id, found)
    return {"first": one.run_id, "second": two.run_id, **found.to_dict()}


def _rows(console: Console, found: FoundRuns, every: bool) -> Any:
    from cryostat.cli.case_results import print_remarks
    from cryostat.cli.compare_tables import pair_facts, print_pairs
    from cryostat.results.pairing import comparable_rows, pairs

    blocks, unreadable = comparable_rows(found.records)
    if not blocks:
        console.print("No two finished rows of runs stand on the same nuclei. See: cryostat results", markup=False)
    written = []
    for block in blocks:
        compared = pairs(block, every=every)
        print_pairs(console, block, compared)
        written += [pair_facts(pair) for pair in compared]
    print_remarks(console, (*found.broken, *unreadable))
    return written


def _shifts(console: Console, found: FoundRuns, splits: tuple[str, str], per_class: bool) -> Any:
    from cryostat.cli.case_results import print_remarks
    from cryostat.cli.compare_tables import row_facts
    from cryostat.cli.shift_tables import print_shifts
    from cryostat.results.pairing import shifted_rows

    rows, unreadable = shifted_rows(found.records, *splits)
    print_shifts(console, rows, per_class)
    print_remarks(console, (*found.broken, *unreadable))
    return [{"base": row_facts(r.base), "shifted": row_facts(r.shifted), **r.shift.to_dict()} for r in rows]
