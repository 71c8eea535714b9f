"""`cryostat results ladder`: robustness curves of finished runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.console import Console

    from cryostat.core.home import Home
    from cryostat.results.ladders import LadderRow, Robustness


@click.command("ladder")
@click.option("--dataset", multiple=True, help="Only this dataset; may be given several times, as all filters may.")
@click.option("--encoder", multiple=True, help="Only this encoder.")
@click.option("--head", multiple=True, help="Only this head.")
@click.option("--split", multiple=True, help="Only this split, or family of folds (5fold).")
@click.option("--protocol", multiple=True, help="Only this protocol.")
@click.option("--perturbation", multiple=True, help="Only this perturbation.")
@click.option("--csv", type=click.Path(path_type=Path), help="Also write all steps to this CSV file.")
@click.option("--json", type=click.Path(path_type=Path), help="Also write all steps to this JSON file.")
@click.option(
    "--figure", type=click.Path(path_type=Path), help="Also draw the curves into this .pdf, .svg or .png file."
)
@click.pass_obj
def command(
    home: Home,
    /,
    perturbation: tuple[str, ...],
    csv: Path | None,
    json: Path | None,
    figure: Path | None,
    **filters: tuple[str, ...],
) -> None:
    """Show how macro F1 falls as the test fields get worse, one table a perturbation.

    Brackets are 95 % intervals. All steps stand on the same resampled patients or fields of view, so that losses are
    paired. Area: mean macro F1 over the perturbed steps, relative to the untouched one.
    """
    from cryostat.cli.case_results import print_remarks
    from cryostat.cli.tables import wide_console
    from cryostat.core.files import write_json
    from cryostat.results.export import write_text
    from cryostat.results.intervals import without_nan
    from cryostat.results.ladder_blocks import ladder_blocks
    from cryostat.results.ladders import ladder_table
    from cryostat.results.records import find_runs

    found = find_runs(home, **{name: values or None for name, values in filters.items()})
    blocks, broken = ladder_blocks(found.records, perturbation)
    rows = [row for block in blocks for row in block]
    console = wide_console()
    if not any(row.curves for row in rows):
        console.print(f"No ladder {'that fits ' if any(filters.values()) or perturbation else ''}in {home.runs}.")
        console.print("Climb one with: cryostat run ladder RUN…", markup=False)
    for block in blocks:
        _print_block(console, block)
        _print_lacking(console, block)
    print_remarks(console, (*found.broken, *broken))
    if csv is not None:
        write_text(csv, ladder_table(rows).to_csv(index=False))
    if json is not None:
        write_json(json, [without_nan(row) for row in ladder_table(rows).to_dict("records")])
    if figure is not None:
        _draw(blocks, figure)
    for path in (csv, json, figure):
        if path is not None:
            console.print(f"Written: [cyan]{path}[/]")


def _print_block(console: Console, rows: Sequence[LadderRow]) -> None:
    from cryostat.cli.interval_texts import PLURALS

    for name in dict.fromkeys(name for row in rows for name in row.curves):
        _print_perturbation(console, name, [row for row in rows if name in row.curves])
    curves = [curve for row in rows for curve in row.curves.values()]
    if curves:
        first = curves[0]
        console.print(
            f"{first.cells:,} cells of {first.clusters} {PLURALS[first.kind]}; loss: last step less untouched, paired.",
            style="dim",
        )
        console.print()


def _print_perturbation(console: Console, name: str, rows: Sequence[LadderRow]) -> None:
    from rich.text import Text

    from cryostat.cli.compare_tables import estimate, figures_table, share
    from cryostat.results.export import bounds

    first, facts = rows[0].curves[name], rows[0].facts
    title = Text.assemble((name, "bold"), f" · {first.about} · {facts['dataset']} · {facts['split']} · macro F1")
    steps = ["untouched", *(amount(first, step.amount) for step in first.steps[1:])]
    table = figures_table(title, ("", *steps, "loss [95 %]", "area [95 %]"))
    for row in sorted(rows, key=lambda row: -row.curves[name].area.value):
        curve = row.curves[name]
        area = f"{share(curve.area.value)} {bounds(curve.area.low, curve.area.high)}".rstrip()
        values = [share(step.macro_f1.value) for step in curve.steps]
        table.add_row(Text(label(row, rows)), *values, estimate(curve.steps[-1].drop), area)
    console.print(table)


def amount(curve: Robustness, value: float) -> str:
    """`×0.7`, `2 µm`, `quality 40`."""
    return f"×{value:g}" if curve.unit == "×" else f"{value:g}{curve.unit}"


def label(row: LadderRow, block: Sequence[LadderRow]) -> str:
    """What sets a row apart in its block."""
    varying = [name for name in ("mode", "variant") if len({str(other.facts[name]) for other in block}) > 1]
    parts = [str(row.facts[name]) for name in ("encoder", "head", *varying) if row.facts[name]]
    return " · ".join(parts if row.facts["complete"] else [*parts, f"{row.facts['folds']} folds"])


def _print_lacking(console: Console, rows: Sequence[LadderRow]) -> None:
    for row in rows:
        for name, reason in row.lacking.items():
            console.print(
                f"left out: {row.facts['encoder']} · {row.facts['head']} · {name}: {reason}",
                markup=False,
                highlight=False,
                style="yellow",
            )


def _draw(blocks: Sequence[Sequence[LadderRow]], path: Path) -> None:
    """The figure of the rows that compare.

    Raises:
        MissingExtraError: matplotlib is not installed.
        SettingError: The rows are of several blocks, or there is none.
    """
    from cryostat.core.errors import SettingError
    from cryostat.core.figures import check_ending

    check_ending(path)
    drawn = [some for block in blocks if (some := [row for row in block if row.curves])]
    if len(drawn) != 1:
        raise SettingError(
            f"{len(drawn)} groups of runs that compare cannot be one figure",
            remedy="Choose one with --dataset, --split, --protocol",
        )
    from cryostat.report.figures import save
    from cryostat.report.figures.ladders import ladder_figure, ladder_frame

    facts: Any = drawn[0][0].facts
    frame, note = ladder_frame(drawn[0])
    folds = "" if facts["complete"] else f" ({facts['folds']} folds)"
    save(ladder_figure(frame, title=f"{facts['dataset']}, {facts['split']}{folds}: robustness", note=note), path)
