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
@click.option("--cohort", multiple=True, help="Only this cohort, of runs of cases.")
@click.option("--task", multiple=True, help="Only this task.")
@click.option("--method", multiple=True, help="Only this method, against the single experts.")
@click.option("--metric", default="macro_f1", show_default=True, help="Of runs of cases: log_loss, auroc …")
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
    metric: str,
    every_pair: bool,
    shift: tuple[str, str] | None,
    per_class: bool,
    json: Path | None,
    **filters: tuple[str, ...],
) -> None:
    """Compare two runs, or all that filters leave, on the same nuclei or patients.

    Runs of cells are compared with the best. Of runs of cases, fusion on everything that a patient has is compared
    with the expert of each single modality, on the patients who have it; that needs a run of best-expert.

    Differences have 95 % intervals from resampled patients (else fields of view) and p-values from exchanging the two
    models' predictions patient by patient, after Holm's correction over the table.
    """
    from cryostat.cli.tables import wide_console
    from cryostat.core.errors import SettingError

    console = wide_console()
    chosen = {name: values for name, values in filters.items() if values}
    if runs:
        if len(runs) != 2 or shift or chosen:
            raise SettingError("compare takes two runs, or filters", remedy="Name two runs and nothing else")
        written: Any = _two_runs(console, home, (runs[0], runs[1]), metric)
    else:
        written = _filtered(console, home, chosen, metric, every_pair, shift, per_class)
    if json is not None:
        from cryostat.core.files import write_json

        write_json(json, written)
        console.print(f"Written: [cyan]{json}[/]")


def _two_runs(console: Console, home: Home, runs: tuple[str, str], metric: str) -> Any:
    from cryostat.cli.compare_cases import print_two
    from cryostat.cli.compare_tables import print_comparison
    from cryostat.cli.results import find_run
    from cryostat.results.comparison import compare_runs
    from cryostat.results.records import CASES

    one, two = (find_run(home, run) for run in runs)
    if CASES in (one.benchmark, two.benchmark):
        return print_two(console, one, two, metric)
    found = compare_runs([one], [two])
    print_comparison(console, one.run_id, two.run_id, found)
    return {"first": one.run_id, "second": two.run_id, **found.to_dict()}


OF_CELLS = ("dataset", "encoder", "head", "split")
OF_CASES = ("cohort", "task", "method")
"""Filters that only runs of one benchmark have."""


def _filtered(
    console: Console,
    home: Home,
    chosen: dict[str, tuple[str, ...]],
    metric: str,
    every: bool,
    splits: tuple[str, str] | None,
    per_class: bool,
) -> Any:
    """The runs of cells, and those of cases, that fit; which of them filters tell."""
    from cryostat.results.records import CASES, CELLS, find_runs

    written: list[Any] = []
    cells = not any(name in chosen for name in OF_CASES)
    cases = not splits and not any(name in chosen for name in OF_CELLS)
    if cases:
        # The experts that fusion is held against must be there, whatever method is asked for.
        wanted = {name: values for name, values in chosen.items() if name != "method"}
        found = find_runs(home, benchmark=CASES, **wanted)
        methods = chosen.get("method", ())
        written += _gains(console, found, methods, metric, silent=cells)
        cells = cells and not (found.records and not find_runs(home, benchmark=CELLS, **chosen).records)
    if cells:
        of_cells = find_runs(home, benchmark=CELLS, **chosen)
        written += _shifts(console, of_cells, splits, per_class) if splits else _rows(console, of_cells, every)
    return written


def _gains(console: Console, found: FoundRuns, methods: Sequence[str], metric: str, *, silent: bool) -> list[Any]:
    from cryostat.cli.case_results import print_remarks
    from cryostat.cli.compare_cases import print_gains
    from cryostat.results.cases.gains import EXPERTS

    wanted = [r for r in found.records if not methods or r.settings.get("method") in (*methods, EXPERTS)]
    written, unreadable = print_gains(console, wanted, metric)
    if not written and not silent:
        console.print(f"No run of fusion has one of {EXPERTS} beside it. See: cryostat results cases", markup=False)
    print_remarks(console, (*(() if silent else found.broken), *unreadable))
    return written


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
