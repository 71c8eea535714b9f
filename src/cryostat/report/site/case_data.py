"""Leaderboards of cases from run records: scores, the lattice, contributions, waiting, calibration."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryostat.core.errors import CryostatError, InputError
from cryostat.core.progress import track
from cryostat.report.site.data import UNKNOWN, CaseBoard, CaseRow, Curve, Offer, Share
from cryostat.report.site.published_rows import published_cases, remarks_on_cases
from cryostat.results.cases.certainty import reliability
from cryostat.results.cases.comparison import compare
from cryostat.results.cases.contribution import contributions
from cryostat.results.cases.listing import list_cases
from cryostat.results.cases.panel import FULL
from cryostat.results.cases.scores import CaseScores, MetricScore
from cryostat.results.cases.subsets import ALL_PATIENTS, NOTHING, all_subsets, subset_members, subset_name
from cryostat.results.cases.waiting import wait_for
from cryostat.results.ranking import rank
from cryostat.results.records import CASES, BrokenRun, RunRecord
from cryostat.results.uncertainty import Estimate

METRIC = "balanced_accuracy"
"""What runs are ranked by."""

BLOCK = ("cohort", "task", "protocol", "split", "modalities")
"""Settings that runs of one leaderboard share."""

DRAWS = 1000
"""Resamples behind each interval that a report works out by itself."""


def case_boards(records: Iterable[RunRecord]) -> tuple[tuple[CaseBoard, ...], tuple[BrokenRun, ...]]:
    """Leaderboards by cohort, task, protocol, split and modalities; and what cannot be read."""
    chosen = [record for record in records if record.benchmark == CASES]
    listing, broken = list_cases(chosen, metric=METRIC)
    variants = dict(zip(listing["run_id"], listing["variant"].fillna(""), strict=True))
    groups: dict[tuple[str, ...], list[tuple[RunRecord, CaseScores, pd.DataFrame]]] = {}
    faults = list(broken)
    for record in track([r for r in chosen if r.run_id in variants], "runs of cases"):
        try:
            read = (record, record.case_scores(), record.predictions())
            groups.setdefault(tuple(str(record.settings.get(name)) for name in BLOCK), []).append(read)
        except InputError as error:
            faults.append(BrokenRun(record.folder or Path(record.run_id), error.problem))
    return tuple(_board(group, variants) for group in groups.values()), tuple(faults)


def _board(group: Sequence[tuple[RunRecord, CaseScores, pd.DataFrame]], variants: dict[str, str]) -> CaseBoard:
    record, scores, _ = group[0]
    rows = [case_row(one, found, table, str(variants[one.run_id])) for one, found, table in group]
    ranked = _ranked(rows, [table for *_, table in group], scores)
    supports = scores.of().supports
    having = {arm.population: arm.n for arm in scores.arms}
    cohort, task = str(record.settings["cohort"]), str(record.settings["task"])
    return CaseBoard(
        cohort,
        task,
        str(record.settings.get("protocol")),
        str(record.settings.get("split")),
        scores.modalities,
        scores.classes,
        supports,
        scores.patients,
        {name: having.get(name, 0) for name in scores.modalities},
        tuple(sorted(ranked, key=lambda row: (row.rank or math.inf, -_or_zero(row.metrics[METRIC].value)))),
        published_cases(cohort, task),
        remarks_on_cases(cohort, task),
    )


def _or_zero(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def estimate(score: MetricScore | None) -> Estimate:
    """A metric as value and interval; unknown where it is not there."""
    if score is None or score.value is None:
        return UNKNOWN
    low, high = (math.nan if end is None else float(end) for end in (score.low, score.high))
    return Estimate(float(score.value), low, high)


def case_row(record: RunRecord, scores: CaseScores, table: pd.DataFrame, variant: str) -> CaseRow:
    """One run as plain values."""
    whole, everything = scores.of(), subset_name(scores.modalities)
    arms = {(arm.ablation, arm.offered, arm.population): arm for arm in scores.arms}
    complete = arms.get((FULL, everything, everything))
    sd = whole.metrics[METRIC].sd_repeats
    return CaseRow(
        method=str(record.settings.get("method")),
        variant=variant,
        run_id=record.run_id,
        metrics={name: estimate(score) for name, score in whole.metrics.items()},
        complete=estimate(complete.metrics.get(METRIC)) if complete else UNKNOWN,
        n_complete=complete.n if complete else 0,
        offers=_offers(scores),
        confusion=whole.confusion,
        repeats=scores.repeats,
        seeds=scores.seeds,
        sd=math.nan if sd is None else float(sd),
        flags=tuple(flag.about for flag in scores.flags),
        **_explained(scores, table),
    )


def _offers(scores: CaseScores) -> tuple[Offer, ...]:
    """Every subset on those who have all of it."""
    arms = {(arm.offered, arm.population): arm for arm in scores.arms if arm.ablation == FULL}
    found = []
    for offered in all_subsets(scores.modalities):
        arm = arms.get((offered, ALL_PATIENTS if offered == NOTHING else offered))
        if arm is not None:
            found.append(Offer(subset_members(offered), arm.n, estimate(arm.metrics.get(METRIC))))
    return tuple(found)


def _explained(scores: CaseScores, table: pd.DataFrame) -> dict[str, Any]:
    """What the predictions tell beyond the scores; what needs absent arms or probabilities stays out."""
    found: dict[str, Any] = {}
    for part in (_shares, _waiting, _calibration):
        try:
            found |= part(scores, table)
        except CryostatError:
            continue  # a run without probabilities, or of some subsets only, has no such panel
    return found


def _shares(scores: CaseScores, table: pd.DataFrame) -> dict[str, Any]:
    found = contributions(table, scores.classes, scores.modalities, metric=METRIC, draws=DRAWS)
    shares = tuple(Share(c.modality, Estimate(c.value, c.low, c.high), c.first, c.last) for c in found.modalities)
    return {"shares": shares, "contributed": (found.n, found.nothing, found.everything)}


def _waiting(scores: CaseScores, table: pd.DataFrame) -> dict[str, Any]:
    steps = [subset_name(scores.modalities[: i + 1]) for i in range(len(scores.modalities))]
    curves = []
    for now, later in pairwise(steps):
        found = wait_for(table, scores.classes, scores.modalities, now=now, later=later, draws=DRAWS)
        rows = found.curve[found.curve["metric"] == METRIC]
        points = tuple(
            (float(r.waiting), Estimate(float(r.value), float(r.low), float(r.high))) for r in rows.itertuples()
        )
        curves.append(Curve(f"{now} → {later} ({found.n} patients)", points, tuple(map(float, rows["by_chance"]))))
    return {"waiting": tuple(curves)}


def _calibration(scores: CaseScores, table: pd.DataFrame) -> dict[str, Any]:
    rows = reliability(table, scores.classes, scores.modalities, draws=DRAWS)
    bins = [
        (float(r.confidence), Estimate(float(r.accuracy), float(r.low), float(r.high)), float(r.share))
        for r in rows.itertuples()
    ]
    return {"calibration": tuple(bins)}


def _ranked(rows: Sequence[CaseRow], tables: Sequence[pd.DataFrame], scores: CaseScores) -> list[CaseRow]:
    """Rank groups by the headline metric; runs on other patients than the rest leave all without a rank."""
    if len(rows) < 2:
        return list(rows)

    def p_value(first: int, second: int) -> float:
        found = compare(tables[first], tables[second], scores.classes, scores.modalities, draws=DRAWS)
        return float(found.metrics[METRIC].p_value)

    try:
        places = rank([row.metrics[METRIC].value for row in rows], p_value)
    except InputError:
        return list(rows)
    return [replace(row, rank=place.rank, p_best=place.adjusted) for row, place in zip(rows, places, strict=True)]


def matrix_shares(matrix: Sequence[Sequence[int]]) -> list[list[float]]:
    """Each row as shares of its sum; NaN for an empty row."""
    counts = np.asarray(matrix, float)
    totals = counts.sum(1, keepdims=True)
    shares: list[list[float]] = np.divide(counts, totals, out=np.full_like(counts, np.nan), where=totals > 0).tolist()
    return shares
