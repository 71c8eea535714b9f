"""Runs of cases as tables: methods down, subsets of the modalities across."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

    from cryostat.results.cases.scores import CaseScores
    from cryostat.results.records import BrokenRun, RunRecord

NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "auroc": "AUROC",
    "auprc": "AUPRC",
    "log_loss": "log-loss",
    "ece": "ECE",
}
"""Metrics as readers write them, where that is not the name with blanks."""

SHOWN = ("balanced_accuracy", "macro_f1", "accuracy", "auroc", "quadratic_kappa", "log_loss", "ece")
"""Metrics of a single run's tables."""


def print_listing(
    console: Console,
    records: Iterable[RunRecord],
    *,
    metric: str = "balanced_accuracy",
    population: str = "having",
    published: bool = False,
) -> tuple[BrokenRun, ...]:
    """Print one metric of all runs of cases, a table for each cohort, task, rules and ablation.

    Args:
        console: Where to.
        records: The runs.
        metric: Name of the metric.
        population: As of `list_cases`.
        published: Also what was published of these cohorts and tasks, below ours.

    Returns:
        The runs that could not be read.
    """
    from cryostat.cases.published import published_cases
    from cryostat.results.cases.listing import BLOCK, list_cases

    records = list(records)
    frame, broken = list_cases(records, metric=metric, population=population)
    theirs = published_cases(frame if published else frame.iloc[:0], metric)
    for labels, rows in frame.groupby([*BLOCK, "ablation"], sort=False, dropna=False):
        shared = dict(zip([*BLOCK, "ablation"], labels, strict=True))
        alike = theirs[
            (theirs[(same := ["cohort", "task", "ablation"])] == [shared[name] for name in same]).all(axis=1)
        ]
        console.print(_table(labels, rows, alike, metric, population))
    _print_flags(console, records)
    return broken


def print_case(console: Console, record: RunRecord) -> None:
    """Print every subset of one run on every population, and its confusion matrix with everything offered."""
    from rich import box
    from rich.table import Table

    scores = record.case_scores()
    for population in dict.fromkeys(arm.population for arm in scores.arms):
        arms = [arm for arm in scores.arms if arm.population == population]
        title = f"{population.replace('+', ' + ')} · n {arms[0].n} ({_supports(scores.classes, arms[0].supports)})"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("ablation", "offered"):
            table.add_column(column)
        metrics = [name for name in SHOWN if name in arms[0].metrics]
        for name in metrics:
            table.add_column(NAMES.get(name, name.replace("_", " ")), justify="right")
        for arm in arms:
            table.add_row(arm.ablation, arm.offered, *(_figure(vars(arm.metrics[m]) | {"n": 0}, 0) for m in metrics))
        console.print(table)
    console.print("All offered, everybody: patients by true (rows) and predicted class, mean of repeats and seeds")
    console.print(_confusion(scores))
    _print_flags(console, [record])


def _supports(classes: Sequence[str], supports: Sequence[int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in zip(classes, supports, strict=True))


def _confusion(scores: CaseScores) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    arm = scores.of()
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("")
    for name in scores.classes:
        table.add_column(Text(name), justify="right")
    replicates = max(1, sum(map(sum, arm.confusion)) / max(1, arm.n))
    for i, name in enumerate(scores.classes):
        cells = [f"{count / replicates:.1f}".removesuffix(".0") for count in arm.confusion[i]]
        table.add_row(Text(name), *(Text(c, style="bold green" if i == j else "") for j, c in enumerate(cells)))
    return table


def print_remarks(console: Console, broken: Sequence[BrokenRun]) -> None:
    """Name the run folders that could not be read."""
    if broken:
        console.print(f"[red]{len(broken)} run folder{'s' if len(broken) > 1 else ''} could not be read:[/]")
    for run in broken:
        console.print(f"  {run.folder.name}: {run.reason}", markup=False, highlight=False)


def _table(labels: tuple[Any, ...], rows: pd.DataFrame, theirs: pd.DataFrame, metric: str, population: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from cryostat.cases.published import footnote

    cohort, task, protocol, split, _, ablation = labels
    title = Text.assemble((f"{cohort} · {task}", "bold"), f" · {NAMES.get(metric, metric.replace('_', ' '))}")
    title.append(f" · {protocol} · {split}" + (f" · ablation {ablation}" if ablation != "full" else ""))
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("method", overflow="fold")
    offers = rows.drop_duplicates("offered")[["offered", "n"]].to_dict("records")
    for offer in offers:
        table.add_column(Text(f"{offer['offered'].replace('+', ' + ')}\nn {offer['n']}"), justify="right")
    for group, style in ((rows, ""), (theirs, "dim italic")):
        for _, run in group.groupby("run_id", sort=False):
            by_offer = {row["offered"]: row for row in run.to_dict("records")}
            name = Text(run["method"].iloc[0])
            if variant := run["variant"].iloc[0]:
                name.append(f"\n{variant}", style="dim")
            cells = (_figure(by_offer.get(offer["offered"]), offer["n"]) for offer in offers)
            table.add_row(name, *cells, style=style)
        table.add_section()
    table.caption = "\n".join([_caption(rows, population), *([footnote(theirs)] if len(theirs) else [])])
    table.caption_justify = "left"
    return table


def _figure(row: dict[str, Any] | None, n: int) -> Any:
    from rich.text import Text

    if row is None or row["value"] is None or row["value"] != row["value"]:
        return Text("–", style="dim")
    value = Text(f"{row['value']:.3f}")
    if row["n"] != n:
        value.append(f" (n {row['n']})")
    if row["low"] is not None and row["low"] == row["low"]:
        value.append(f"\n{row['low']:.2f}–{row['high']:.2f}", style="dim")
    return value


def _caption(rows: pd.DataFrame, population: str) -> str:
    who = {
        "having": "each subset on the patients who have all of it",
        "all": "all patients, each shown what it has of the subset",
    }.get(population, f"the same patients everywhere: those with {population.replace('+', ' and ')}")
    return f"{who}; below each figure its 95 % interval over patients"


def _print_flags(console: Console, records: Sequence[RunRecord]) -> None:
    """What a reader must know, once each, with the runs that it is true of."""
    said: dict[str, list[str]] = {}
    for record in records:
        for flag in record.case_scores().flags:
            said.setdefault(f"{record.settings['task']}: {flag.about}", []).append(record.settings["method"])
    for about, methods in said.items():
        console.print("[yellow]note[/] ", end="")
        console.print(f"{about} ({', '.join(dict.fromkeys(methods))})", markup=False, highlight=False)
