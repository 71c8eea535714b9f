"""`cryostat results`: finished runs side by side."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from cryostat.cli.picture import command as picture
from cryostat.cli.results_cases import command as cases
from cryostat.cli.results_cases import list_runs
from cryostat.cli.results_ladder import command as ladder

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from cryostat.cli.result_views import View
    from cryostat.core.home import Home
    from cryostat.results.records import BrokenRun, RunRecord
    from cryostat.results.scores import Scores

Figures = Mapping[str, Callable[[Any], str]]
"""Heading of a column to what a row shows under it."""

GAP = 3
"""Blanks between columns."""


@click.group(invoke_without_command=True)
@click.option("--dataset", multiple=True, help="Only this dataset; may be given several times, as all filters may.")
@click.option("--encoder", multiple=True, help="Only this encoder.")
@click.option("--head", multiple=True, help="Only this head.")
@click.option("--split", multiple=True, help="Only this split, or family of folds (5fold).")
@click.option("--protocol", multiple=True, help="Only this protocol.")
@click.option(
    "--segmentation", is_flag=True, help="Runs that segment nuclei by themselves: PQ, R², detection F1, Dice."
)
@click.option("--per-class", is_flag=True, help="Add the F1 of each class (PQ with --segmentation).")
@click.option(
    "--published/--no-published",
    default=True,
    show_default=True,
    help="Rows that papers print of the same dataset, split and share of training fields, below ours.",
)
@click.option("--csv", type=click.Path(path_type=Path), help="Also write the table to this CSV file.")
@click.option("--json", type=click.Path(path_type=Path), help="Also write the table to this JSON file.")
@click.option("--markdown", type=click.Path(path_type=Path), help="Also write the table to this Markdown file.")
@click.pass_context
def command(
    context: click.Context,
    /,
    segmentation: bool,
    per_class: bool,
    published: bool,
    csv: Path | None,
    json: Path | None,
    markdown: Path | None,
    **filters: tuple[str, ...],
) -> None:
    """List and compare finished runs: means over seeds with 95 % intervals, folds pooled, best first.

    Intervals come from resampled patients, or fields of view where no patients are known. What a paired test cannot
    tell apart from the best of its group shares a rank. Published rows have neither: they are other people's runs.
    """
    if context.invoked_subcommand is None:
        from cryostat.cli import result_views

        view = result_views.segmentation() if segmentation else result_views.given_nuclei()
        shown = view if published else replace(view, published=None)
        _list(context.obj, filters, shown, per_class, {"csv": csv, "json": json, "markdown": markdown})


def _list(
    home: Home, filters: Mapping[str, tuple[str, ...]], view: View, per_class: bool, files: Mapping[str, Path | None]
) -> None:
    from cryostat.results.published.listing import with_published
    from cryostat.results.records import CASES, find_runs

    found = find_runs(home, **{name: values or None for name, values in filters.items()})
    frame, unreadable = view.summarise(found.records)
    of_cases = sum(record.benchmark == CASES for record in found.records)
    if frame.empty and of_cases:
        list_runs(home, {})
        return
    from cryostat.cli.tables import wide_console

    console = wide_console()
    if frame.empty:
        console.print(f"No finished run in [cyan]{home.runs}[/]{' that fits' if any(filters.values()) else ''}.")
        console.print(view.hint, markup=False)
    theirs = view.published(frame, encoders=filters["encoder"], heads=filters["head"]) if view.published else None
    for labels, rows in frame.groupby([*view.blocks], sort=False, dropna=False):
        console.print(*_block(labels, rows, theirs, view, per_class, console.width), sep="\n")
    _remarks(console, frame, (*found.broken, *unreadable))
    if of_cases:
        console.print(f"Besides, {of_cases} runs of cases: [cyan]cryostat results cases[/]")
    for form, path in files.items():
        if path is not None:
            view.writers[form](path, frame if theirs is None else with_published(frame, theirs))
            console.print(f"Written: [cyan]{path}[/]")


def _block(
    labels: tuple[Any, ...], ours: pd.DataFrame, theirs: pd.DataFrame | None, view: View, per_class: bool, width: int
) -> Iterator[Table | Text]:
    """The runs that compare with each other: one dataset, split, protocol and share of the training data."""
    from rich.text import Text

    from cryostat.results.published.listing import footnotes, of_block, with_published

    printed = of_block(theirs, ours) if theirs is not None else None
    rows = ours if printed is None else with_published(ours, printed)
    for i, figures in enumerate(_fitting(_shown(view.figures, rows), rows, width)):
        yield _side_by_side("" if i else _title(labels), rows, figures)
    classes = [c for c in rows.columns if per_class and c.startswith(view.by_class) and rows[c].notna().any()]
    by_class = {c.removeprefix(view.by_class): lambda row, c=c: view.class_figure(row, c) for c in classes}
    known = rows[rows[classes].notna().any(axis=1)] if classes else rows
    for figures in _fitting(by_class, known, width):
        yield _side_by_side(f"{view.by_class.strip().upper()} by class", known, figures)
    lines = [*view.caption(ours, bool(classes)), *(footnotes(printed) if printed is not None else ())]
    for line in [*lines, ""] if lines else ():
        yield Text(line, style="dim")


def _shown(figures: Figures, rows: pd.DataFrame) -> Figures:
    """The figures that some row has."""
    return {name: figure for name, figure in figures.items() if any(map(figure, rows.to_dict("records")))}


def _fitting(figures: Figures, rows: pd.DataFrame, width: int) -> Iterator[Figures]:
    """The figures in as many tables as the width asks for; each has one at least."""
    free = room = width - sum(_narrowest(name, rows) + GAP for name in _named(rows))
    some: dict[str, Callable[[Any], str]] = {}
    for name, figure in figures.items():
        needed = GAP + max(len(name), *(len(figure(row)) for row in rows.to_dict("records")))
        if some and needed > free:
            yield some
            some, free = {}, room
        some[name], free = figure, free - needed
    if some:
        yield some


def _named(rows: pd.DataFrame) -> list[str]:
    """The columns that name a row."""
    trained = [] if rows["mode"].isin(["", "cached"]).all() else ["mode"]
    return ["encoder", "head", *trained, *(name for name in ("variant", "folds") if (rows[name] != "").any())]


def _narrowest(name: str, rows: pd.DataFrame) -> int:
    """The width to which a column of names may be folded."""
    return min(int(rows[name].astype(str).str.len().max()), 6 if name == "variant" else 18)


def _side_by_side(title: Text | str, rows: pd.DataFrame, figures: Figures) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from cryostat.cli.published_texts import is_published, name_of

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in _named(rows):
        table.add_column(name, overflow="fold", min_width=_narrowest(name, rows))
    for name in figures:
        table.add_column(name, justify="right", overflow="fold", min_width=min(len(name), 6))
    records = rows.to_dict("records")
    ours = [row for row in records if not is_published(row)]
    for i, row in enumerate(records):
        cells = [*(name_of(row, name) for name in _named(rows)), *(figure(row) for figure in figures.values())]
        best = "bold" if i == 0 and len(ours) > 1 else ""
        style = "dim italic" if is_published(row) else best if row["complete"] else "dim"
        table.add_row(*map(Text, cells), style=style, end_section=i == len(ours) - 1 < len(rows) - 1)
    return table


def _title(labels: tuple[Any, ...]) -> Text:
    from rich.text import Text

    dataset, split, protocol, fraction, *match = labels
    title = Text.assemble((str(dataset), "bold"), f" · {split} · {protocol}", style="default")
    if isinstance(fraction, float | int) and fraction < 1:
        title.append(f" · {100 * fraction:.3g} % of the training fields")
    for radius in match:
        title.append(f" · centres within {radius}")
    return title


def _remarks(console: Console, frame: pd.DataFrame, broken: Sequence[BrokenRun]) -> None:
    from cryostat.cli.case_results import print_remarks

    if len(frame) and not frame["complete"].all():
        console.print("[yellow]Dim rows lack folds[/]: their scores are of the folds there are, and not comparable.")
    if len(frame) and (older := int(frame["superseded"].sum())):
        console.print(f"Older runs of the same fold and seed were passed over: {older}. The newest counts.")
    print_remarks(console, broken)


@command.command()
@click.argument("run_id")
@click.pass_obj
def show(home: Home, run_id: str) -> None:
    """Show one run: settings, scores by class, confusion matrix. Part of a RUN_ID is enough."""
    record = find_run(home, run_id)
    from cryostat.cli.case_results import print_case
    from cryostat.cli.run_facts import facts_table
    from cryostat.cli.segmentation_tables import print_segmentation
    from cryostat.cli.tables import wide_console
    from cryostat.results.records import CASES

    console = wide_console()
    console.print(f"[bold]{record.run_id}[/]  {record.created}")
    console.print(facts_table(record))
    if record.benchmark == CASES:
        print_case(console, record)
    else:
        scores, segmentation = record.cell_scores(), record.segmentation()
        print_scores(console, scores)
        _print_intervals(console, record, scores)
        console.print(_confusion(scores))
        if segmentation is not None:
            print_segmentation(console, segmentation)
    for failure in record.failures:
        console.print("failed: " + ", ".join(f"{key} {value}" for key, value in failure.items()), markup=False)
    console.print(f"Folder: [cyan]{record.folder}[/]")


def _print_intervals(console: Console, record: RunRecord, scores: Scores) -> None:
    from cryostat.cli.interval_texts import run_line
    from cryostat.results.intervals import intervals_of

    if scores.cells and (line := run_line(intervals_of([record]))):
        console.print(line, highlight=False, markup=False)


def find_run(home: Home, run_id: str) -> RunRecord:
    """The run of a name, or the only one whose name it is part of.

    Raises:
        SettingError: No run fits, or several do.
    """
    from cryostat.core.errors import SettingError
    from cryostat.core.files import safe_name
    from cryostat.results.records import RunRecord, find_runs

    if (home.runs / safe_name(run_id) / "run.json").exists():
        return RunRecord.load(home.runs / safe_name(run_id))
    fitting = [record for record in find_runs(home).records if run_id in record.run_id]
    if len(fitting) == 1:
        return fitting[0]
    names = ", ".join(record.run_id for record in fitting[:5])
    raise SettingError(
        f"{run_id!r} is part of the names of {len(fitting)} runs ({names})"
        if fitting
        else f"there is no run {run_id!r}",
        remedy="Give more of the name" if fitting else "List the runs with: cryostat results",
    )


def print_scores(console: Console, scores: Scores) -> None:
    """Print macro means and a row a class."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("class", overflow="fold")
    for name in ("precision", "recall", "F1", "cells", "predicted"):
        table.add_column(name, justify="right")
    table.add_column("")
    for c in scores.classes:
        figures = [_share(c.precision), _share(c.recall), _share(c.f1), f"{c.support:,}", f"{c.predicted:,}"]
        table.add_row(Text(c.name), *figures, Text(c.left_out), style="dim" if c.left_out else "")
    table.add_section()
    means = [_share(scores.macro_precision), _share(scores.macro_recall), _share(scores.macro_f1)]
    table.add_row(f"macro of {len(scores.counted)}", *means, f"{scores.cells:,}", "", "", style="bold")
    console.print(table)
    console.print(f"accuracy {_share(scores.accuracy)} · class set {scores.class_set}", highlight=False)
    if scores.unlabelled:
        console.print(f"{scores.unlabelled:,} cells without a true class were not scored", highlight=False)


def _confusion(scores: Scores) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    names = dict(zip(scores.confusion_ids, ["background", *(c.name for c in scores.classes)], strict=True))
    matrix = scores.confusion
    shown = [i for i in range(len(matrix)) if any(matrix[i]) or any(row[i] for row in matrix)]
    table = Table(
        title="Cells by true class (rows) and predicted class (columns, by id)",
        title_justify="left",
        box=box.SIMPLE_HEAD,
    )
    table.add_column("", overflow="fold")
    for i in shown:
        table.add_column(str(scores.confusion_ids[i]), justify="right", no_wrap=True)
    for i in shown:
        cells = [Text(f"{matrix[i][j]:,}", style="bold green" if i == j else "") for j in shown]
        table.add_row(Text(f"{scores.confusion_ids[i]} {names[scores.confusion_ids[i]]}"), *cells)
    return table


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


for subcommand in (picture, cases, ladder):
    command.add_command(subcommand)
