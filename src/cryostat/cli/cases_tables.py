"""What `cryostat cases check` prints."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from cryostat.cli.cases_values import values_table
from cryostat.cli.tables import wide_console

if TYPE_CHECKING:
    from rich.console import Console

    from cryostat.cases.cohort import CohortReport
    from cryostat.cases.cohort.report import TaskCounts
    from cryostat.cases.evidence import Problem

STYLE = {"error": "bold red", "warning": "yellow", "note": "cyan"}
BAR = 24
"""Characters of the longest bar."""
MOST_PATTERNS = 8
"""Patterns that stand side by side; those of fewer patients are added up in one column."""
MOST_PROBLEMS = 12
MOST_VALUES = 16


def _table(title: str) -> Table:
    return Table(title=Text(title), title_justify="left", title_style="bold", header_style="dim", box=None)


def print_report(report: CohortReport) -> None:
    """The cohort, who has what, its tasks, sites and groups, its problems and findings, and the verdict."""
    console = wide_console()
    console.print(Text.assemble((report.cohort, "bold"), f"  {report.patients:,} patients"))
    if report.about:
        console.print(Text(report.about, style="dim"))
    console.print()
    values = [values_table(report.values)] if report.values else []
    for table in (_modalities(report), *values, _patterns(report), *([_classes(report)] if report.tasks else [])):
        console.print(table)
        console.print()
    _print_values(console, report)
    _print_problems(console, report.problems)
    for finding in report.findings:
        console.print(Text.assemble((f"{finding.severity:<8}", STYLE[finding.severity]), finding.what))
        remedy = f"→ {finding.remedy}" if finding.remedy else ""
        for text, style in ((finding.where, "dim"), (remedy, "green")):
            if text:
                console.print(Padding(Text(text, style=style), (0, 0, 0, 8)))
    console.print(_verdict(report))


def _modalities(report: CohortReport) -> Table:
    table = _table("Modalities")
    table.add_column("modality", no_wrap=True)
    for name in ("patients", "share", "files"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("from", overflow="fold")
    for counts in report.modalities:
        series = "".join(f"\n{name}: {patients:,}" for name, patients in counts.series.items())
        table.add_row(
            Text(counts.name, style="cyan"),
            f"{counts.patients:,}",
            f"{counts.patients / report.patients:.0%}",
            f"{counts.files:,}" if counts.files else "–",
            Text(counts.source + series),
        )
    return table


def _patterns(report: CohortReport) -> Table:
    """The UpSet plot as a table: a row a pattern, a dot a modality."""
    table = _table("Who has what")
    for counts in report.modalities:
        table.add_column(Text(counts.name), justify="center", no_wrap=True)
    table.add_column("patients", justify="right")
    table.add_column("share", justify="right")
    table.add_column("", no_wrap=True)
    longest = max(pattern.patients for pattern in report.patterns)
    for pattern in report.patterns:
        dots = [_dot(counts.name in pattern.modalities) for counts in report.modalities]
        bar = "█" * max(1, round(BAR * pattern.patients / longest))
        share = f"{pattern.patients / report.patients:.1%}"
        table.add_row(*dots, f"{pattern.patients:,}", share, Text(bar, style="cyan" if pattern.modalities else "red"))
    return table


def _dot(there: bool) -> Text:
    return Text("●") if there else Text("·", style="dim")


def _classes(report: CohortReport) -> Table:
    """A row a class of each task, a column a pattern."""
    table = _table("Patients of each class, by what they have")
    table.add_column("task and class", overflow="fold")
    table.add_column("all", justify="right")
    names = ["\n".join(pattern.modalities) or "nothing" for pattern in report.patterns]
    for name in names if len(names) <= MOST_PATTERNS else [*names[: MOST_PATTERNS - 1], "others"]:
        table.add_column(Text(name), justify="right")
    for task in report.tasks:
        table.add_row(Text.assemble((task.name, "cyan"), " (ordered)" if task.ordinal else ""))
        for label, numbers, style in _rows(task):
            if sum(numbers) or not style:
                table.add_row(Text(f"  {label}"), f"{sum(numbers):,}", *map(_count, _shown(numbers)), style=style)
    return table


def _shown(numbers: Sequence[int]) -> list[int]:
    """As many columns as are shown, those beyond added up in the last."""
    if len(numbers) <= MOST_PATTERNS:
        return list(numbers)
    return [*numbers[: MOST_PATTERNS - 1], sum(numbers[MOST_PATTERNS - 1 :])]


def _rows(task: TaskCounts) -> Iterator[tuple[str, Sequence[int], str]]:
    """Label, patients of each pattern, and style of each row."""
    for number, name in enumerate(task.classes):
        yield name, [row[number] for row in task.counts], ""
    yield "several classes possible", task.partial, "dim"
    yield "no label", task.unlabelled, "dim"
    yield "of no class", task.dropped, "dim"


def _count(number: int) -> str:
    return f"{number:,}" if number else "·"


def _print_values(console: Console, report: CohortReport) -> None:
    """Sites, parts of the split and groups, a line each."""
    lines = {"sites": report.sites, "split": report.parts, **report.groups}
    for name, counts in lines.items():
        if counts:
            many = f"{len(counts)}: " if len(counts) > MOST_VALUES else ""
            console.print(Text.assemble((f"{name}  ", "bold"), many, _listed(counts)), soft_wrap=False)
    console.print()


def _listed(counts: Mapping[str, int]) -> str:
    shown = [f"{value or 'unknown'} {number:,}" for value, number in list(counts.items())[:MOST_VALUES]]
    rest = list(counts.values())[MOST_VALUES:]
    return ", ".join(shown) + (f", and {len(rest)} more with {rest[0]:,} or fewer patients" if rest else "")


def _print_problems(console: Console, problems: Sequence[Problem]) -> None:
    """Problems of one kind on a line, with the first patients."""
    if not problems:
        return
    kinds: dict[tuple[str, str], list[Problem]] = {}
    for problem in problems:
        kinds.setdefault((problem.modality, problem.reason), []).append(problem)
    table = _table("Cannot be used")
    columns = (("modality", "left"), ("why", "left"), ("files or rows", "right"), ("patients", "left"))
    for name, justify in (*columns, ("so that", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    frequent = sorted(kinds.items(), key=lambda item: -len(item[1]))
    for (modality, reason), found in frequent[:MOST_PROBLEMS]:
        where = f" ({found[0].where})" if len(found) == 1 else ""
        table.add_row(modality, Text(reason + where), f"{len(found):,}", Text(_patients(found)), Text(_remains(found)))
    console.print(table)
    if len(frequent) > MOST_PROBLEMS:
        rest = sum(len(found) for _, found in frequent[MOST_PROBLEMS:])
        console.print(Text(f"and {rest:,} more, each for another reason; --json FILE writes all", style="dim"))
    console.print()


def _patients(problems: Sequence[Problem]) -> str:
    names = list(dict.fromkeys(problem.patient_id for problem in problems))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _remains(problems: Sequence[Problem]) -> str:
    """What becomes of the patients."""
    missing = len({problem.patient_id for problem in problems if not problem.remain})
    others = {problem.patient_id: problem for problem in problems if problem.remain}
    parts = [f"{_several(missing, 'patient lacks', 'patients lack')} it"] if missing else []
    if len(others) == 1:
        (one,) = others.values()
        parts.append(f"{one.patient_id} has {one.remain} of {one.files} files")
    elif others:
        parts.append(f"{len(others):,} have the rest of their files")
    return ", ".join(parts)


def _several(number: int, one: str, more: str) -> str:
    return f"{number:,} {one if number == 1 else more}"


def _verdict(report: CohortReport) -> Text:
    errors = sum(finding.severity == "error" for finding in report.findings)
    warnings = sum(finding.severity == "warning" for finding in report.findings)
    parts = (
        _several(len(report.problems), "file or row cannot be used", "files or rows cannot be used"),
        _several(errors, "error", "errors"),
        _several(warnings, "warning", "warnings"),
    )
    how = "embeddings were read" if report.read else "files were looked at, not decoded"
    return Text(f"{report.cohort}: {', '.join(parts)}; {how}", style="green" if report.passed else "bold red")
