"""Published rows of CoRe-BT as rows of a listing of our runs of cases: of its own cohort alone, and flagged."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import pandas as pd

from cryostat.cases.replication import BENCHMARK, CONFIGURATIONS, EXPERTS, MRI, PATHOLOGY, USUAL_NAMES
from cryostat.results.cases.subsets import subset_name
from cryostat.results.published import PublishedRow, PublishedTable, published
from cryostat.results.published.listing import FLAGS, RUN, flags

COHORTS = ("core-bt", "corebt")
"""Names under which the paper's cohort may have been given; the numbers of other cohorts are of other patients."""

METHODS: Mapping[str, str] = {EXPERTS: "single experts"}
"""What a row of the paper is called where it is not `core-bt`."""


def published_cases(frame: pd.DataFrame, metric: str) -> pd.DataFrame:
    """What was published of the cohorts and tasks of a listing.

    Args:
        frame: Of our runs (`results.cases.listing.list_cases`).
        metric: Its metric; of those that the paper lacks there are no rows.

    Returns:
        A frame with the columns of `frame` and `FLAGS`; `run_id` names the rows of one published model, `n` is the size
        of the test set that the table implies, and what a published row does not have is NaN. A row of which nothing is
        ablated stands under both ablations.
    """
    blocks = frame.drop_duplicates(["cohort", "task"])[["cohort", "task", "modalities"]].to_dict("records")
    rows = [row for block in blocks if _plain(block["cohort"]) in COHORTS for row in _of_task(block, metric)]
    return pd.DataFrame(rows, columns=[*frame.columns, *FLAGS])


def with_published(frame: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """A listing of our runs with published rows after them, all told apart by the column `kind`.

    Args:
        frame: Of our runs.
        rows: As `published_cases` makes them; each is kept once.
    """
    once = rows.drop_duplicates(["cohort", "run_id", "offered"])
    flagged = frame.assign(kind=RUN, **dict.fromkeys(FLAGS[1:], ""))
    return pd.concat([flagged.astype(object), once.astype(object)], ignore_index=True)


def footnote(rows: pd.DataFrame) -> str:
    """What must be known of the published rows below some runs."""
    sources = " · ".join(dict.fromkeys(rows["source"]))
    tests = ", ".join(f"{n:.0f}" for n in dict.fromkeys(rows["n"].dropna()))
    return (
        f"published: {sources}. One split and seed, no interval, so no rank; all of its test patients (as far as its "
        f"figures tell, {tests}) have MRI and pathology. What it ablates is withheld from the residual (phi_only)."
    )


def _of_task(block: Mapping[str, Any], metric: str) -> list[dict[str, Any]]:
    table = _table_of(block["task"])
    known = str(block["modalities"]).split("+")
    names = {what: next((name for name in USUAL_NAMES[what] if name in known), "") for what in (MRI, PATHOLOGY)}
    if table is None or not all(names.values()):
        return []
    ordered = sorted(names, key=lambda what: known.index(names[what]))
    return [
        _facts(row, table, block, metric, subset_name([names[w] for w in ordered if w in offered]), ablation)
        for row in table.rows
        if metric in row.metrics
        for offered in [CONFIGURATIONS[row.config].offered]
        for ablation in _ablations(row)
    ]


def _ablations(row: PublishedRow) -> tuple[str, ...]:
    """The ablations under which a row stands: one in which nothing is withheld, under all."""
    how = CONFIGURATIONS[row.config]
    return (how.ablation, "full") if how.offered == (MRI, PATHOLOGY) else (how.ablation,)


def _facts(
    row: PublishedRow, table: PublishedTable, block: Mapping[str, Any], metric: str, offered: str, ablation: str
) -> dict[str, Any]:
    model = METHODS.get(CONFIGURATIONS[row.config].run, BENCHMARK)
    return {
        "cohort": block["cohort"],
        "task": block["task"],
        "method": model,
        "variant": "published",
        "ablation": ablation,
        "offered": offered,
        "n": sum(table.test.patients) if table.test else math.nan,
        "value": row.metrics[metric],
        "run_id": f"{BENCHMARK} {table.name} {model}",
        **flags(row, table),
    }


def _table_of(task: str) -> PublishedTable | None:
    """The table of a task, however the cohort calls it."""
    tables = (table for table in published(BENCHMARK) if table.task)
    return next((t for t in tables if _plain(task) in map(_plain, (t.task, *USUAL_NAMES[t.task]))), None)


def _plain(name: object) -> str:
    return str(name).lower().replace("_", "-")
