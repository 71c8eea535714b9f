"""Published rows beside ours: whose they are, where they stand, and what is known to be wrong with them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from cryostat.report.site.data import CellRow, ClassResult, PublishedCase
from cryostat.results.published import (
    ImpliedRow,
    PublishedRow,
    PublishedTable,
    published,
    published_benchmark,
)
from cryostat.results.published.listing import rows_with_tables
from cryostat.results.uncertainty import Estimate

CELLS, CASES = "pathocellbench", "core-bt"
"""The publications whose rows may stand beside ours."""

COHORTS = ("core-bt", "corebt")
"""Names under which the cohort of the second may have been given."""

NO_INTERVAL = "Their intervals are unknown, so they have no rank, and a difference from them may be chance."
"""What is true of all published rows."""


def published_cells(dataset: str, split: str, fractions: Iterable[float]) -> tuple[CellRow, ...]:
    """What was published of a dataset and split at those shares of its training fields, best first."""
    found = [
        _cell_row(row, table) for fraction in fractions for row, table in rows_with_tables(dataset, split, fraction)
    ]
    return tuple(sorted(found, key=lambda row: (-row.fraction, -_or_zero(row.macro_f1.value))))


def _cell_row(row: PublishedRow, table: PublishedTable) -> CellRow:
    marks = published_benchmark(CELLS).marks
    classes = [
        ClassResult(name, int(table.supports.get(name, 0)), 0, "", _bare(value))
        for name, value in row.per_class.items()
    ]
    return CellRow(
        encoder=row.encoder or row.model,
        head=row.head,
        mode="published",
        fraction=row.fraction,
        macro_f1=_bare(row.metrics.get("macro_f1")),
        accuracy=_bare(row.metrics.get("accuracy")),
        classes=tuple(classes),
        cells=sum(table.supports.values()),
        published=f"{table.title} ({table.source})",
        printed=row.model,
        marks={mark: marks.get(mark, mark) for mark in row.marks},
    )


def remarks_on_cells(rows: Sequence[CellRow]) -> tuple[str, ...]:
    """What a reader must know of the published rows of a leaderboard; nothing where it has none."""
    shown = [row for row in rows if row.published]
    if not shown:
        return ()
    paper = published_benchmark(CELLS)
    tables = "; ".join(dict.fromkeys(row.published for row in shown))
    marks = dict(sorted((mark, text) for row in shown for mark, text in row.marks.items()))
    return (
        f"printed by {paper.title}: {tables}. From {paper.source}.",
        "Other runs than ours, by their authors' own protocol, on a split that ours follows. " + NO_INTERVAL,
        *(f"Mark {mark}: {text}." for mark, text in marks.items()),
    )


def published_cases(cohort: str, task: str) -> tuple[PublishedCase, ...]:
    """What was published of a cohort and task, in the order of the paper; its own cohort alone has any."""
    if _plain(cohort) not in COHORTS:
        return ()
    table = _table_on(task)
    return tuple(_case(row, table) for row in table.rows) if table else ()


def _plain(name: str) -> str:
    return name.lower().replace("_", "-")


def _table_on(task: str) -> PublishedTable | None:
    """The table of a task, however the cohort calls it."""
    from cryostat.cases.replication import USUAL_NAMES

    tables = (table for table in published(CASES) if table.task)
    return next((t for t in tables if _plain(task) in map(_plain, (t.task, *USUAL_NAMES[t.task]))), None)


def _case(row: PublishedRow, table: PublishedTable) -> PublishedCase:
    implied = next((r for r in table.test.rows if row.config in r.configs), None) if table.test else None
    return PublishedCase(row.config, dict(row.metrics), f"{table.title} ({table.source})", _ends(implied))


def _ends(implied: ImpliedRow | None) -> tuple[float, float]:
    low, high = (implied.low, implied.high) if implied else (None, None)
    return (math.nan if low is None else low), (math.nan if high is None else high)


def remarks_on_cases(cohort: str, task: str) -> tuple[str, ...]:
    """What a reader must know of the published rows of a cohort and task; nothing where there are none."""
    rows = published_cases(cohort, task)
    table = _table_on(task) if rows else None
    if table is None:
        return ()
    paper = published_benchmark(CASES)
    known = [row for row in rows if not math.isnan(row.implied[0])]
    return (
        f"printed by {paper.title}: {rows[0].published}. From {paper.source}.",
        "Other models than ours, tested on patients whom the paper does not name. " + NO_INTERVAL,
        "What the paper calls accuracy equals its recall in every row, and is balanced accuracy.",
        *([f"The test set that the table implies: {table.test.note}"] if table.test else []),
        *(["Where an interval is called implied, the paper has none: it follows from these counts."] if known else []),
    )


def _bare(value: float | None) -> Estimate:
    return Estimate(math.nan if value is None else float(value), math.nan, math.nan)


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value
