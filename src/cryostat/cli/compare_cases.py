"""Comparisons of runs of cases as tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from cryostat.results.cases.gains import GainTable
    from cryostat.results.records import BrokenRun, RunRecord

BASIS = (
    "95 % intervals from resampled patients; p from exchanging the two predictions of each patient, Holm over a table."
)


def print_two(console: Console, first: RunRecord, second: RunRecord, metric: str) -> Any:
    """Two runs, subset by subset; what was compared, for JSON."""
    from rich.text import Text

    from cryostat.results.cases.gains import compare_two

    check_metric(metric)
    found = compare_two(first, second, metric)
    title = Text.assemble(("A ", "bold"), first.run_id, "\n", ("B ", "bold"), second.run_id, f"\n{_of(found)}")
    table = _table(title, "offered", ("patients", "A", "B", "A − B [95 %]"))
    _add_rows(table, found)
    console.print(table)
    console.print(f"Each subset on the patients who have all of it. {BASIS}", style="dim", markup=False)
    return {"first": first.run_id, "second": second.run_id, **_plain(found)}


def print_gains(console: Console, records: Iterable[RunRecord], metric: str) -> tuple[list[Any], Sequence[BrokenRun]]:
    """What fusion gains over single experts, a table a run; what was compared, for JSON, and what could not be."""
    from rich.text import Text

    from cryostat.results.cases.gains import fusion_gains

    check_metric(metric)
    tables, broken = fusion_gains(records, metric)
    for found in tables:
        facts = found.facts
        about = f" · {facts['task']} · {facts['protocol']} · {facts['split']} · {_of(found)}"
        title = Text.assemble((facts["cohort"], "bold"), about, "\n", (found.gains[0].method, "bold"), _with(found))
        table = _table(title, "against", ("patients", "all", "expert", "difference [95 %]"))
        _add_rows(table, found)
        console.print(table)
    if tables:
        console.print(
            "all: everything that a patient has; expert: the linear probe of that modality, on the patients who have "
            "it; best expert: for each patient the one that did best in training.",
            style="dim",
        )
        console.print(BASIS, style="dim", markup=False)
    return [_plain(found) for found in tables], broken


def check_metric(name: str) -> None:
    """Refuse a metric that cases do not have.

    Raises:
        SettingError: There is none of that name.
    """
    from cryostat.core.errors import SettingError
    from cryostat.results.cases.metrics import METRICS

    if name not in METRICS:
        raise SettingError(f"there is no metric {name!r}", remedy=f"Choose one of: {', '.join(METRICS)}")


def _of(found: GainTable) -> str:
    from cryostat.cli.case_results import NAMES

    return NAMES.get(found.metric, found.metric.replace("_", " "))


def _with(found: GainTable) -> str:
    return f" on {found.facts['modalities'].replace('+', ' + ')}"


def _table(title: Any, name: str, columns: Sequence[str]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="default", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(name, overflow="fold")
    for column in (*columns, "p", "p, Holm"):
        table.add_column(column, justify="right")
    return table


def _add_rows(table: Table, found: GainTable) -> None:
    from rich.text import Text

    from cryostat.cli.compare_tables import estimate, p_text, share
    from cryostat.results.uncertainty import Estimate

    for gain in found.gains:
        score = gain.score
        table.add_row(
            Text(gain.against.replace("+", " + ")),
            f"{gain.n:,}",
            share(score.first),
            share(score.second),
            estimate(Estimate(score.difference, score.low, score.high)),
            p_text(score.p_value),
            p_text(gain.adjusted),
        )


def _plain(found: GainTable) -> dict[str, Any]:
    from cryostat.results.intervals import without_nan

    plain: dict[str, Any] = without_nan(
        {**found.facts, "metric": found.metric, "comparisons": [gain.to_dict() for gain in found.gains]}
    )
    return plain
