"""Robustness: how scores fall as the pixels of the test part get worse, with the same clusters at every step."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.core.errors import InputError
from cryostat.core.progress import track
from cryostat.results.evidence import Evidence, draws_for, gather
from cryostat.results.intervals import score_intervals, weights, with_nan, without_nan
from cryostat.results.kept import kept
from cryostat.results.ladder_files import LADDER, Rung, has_ladder, ladder_tallies, perturbations_in
from cryostat.results.records import BrokenRun, RunRecord
from cryostat.results.tables import LABELS, summarise
from cryostat.results.tallies import Tallies, pooled
from cryostat.results.uncertainty import LEVEL, Estimate, Estimates, jackknife_interval

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Step:
    """One step of a curve; step 0 is untouched.

    Attributes:
        step: Its number.
        amount: How strong the perturbation is.
        macro_f1: Mean over seeds, with its interval.
        drop: Less that of step 0, with its interval; below 0 is a loss.
    """

    step: int
    amount: float
    macro_f1: Estimate
    drop: Estimate


@dataclass(frozen=True)
class Robustness:
    """How one encoder and head fares under one perturbation.

    Attributes:
        perturbation: Its name.
        about: One line.
        unit: Of the amounts.
        steps: From untouched to strong.
        area: Mean over the perturbed steps of macro F1 relative to step 0, with its interval: 1 loses nothing.
        seeds: How many.
        cells: Cells scored at each step.
        clusters: How many clusters were resampled.
        kind: What a cluster is: `patient`, `field`, `patient or field`.
    """

    perturbation: str
    about: str
    unit: str
    steps: tuple[Step, ...]
    area: Estimate
    seeds: int
    cells: int
    clusters: int
    kind: str

    @property
    def amounts(self) -> tuple[float, ...]:
        """How strong the perturbation is at each step."""
        return tuple(step.amount for step in self.steps)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON; what is undefined is None."""
        plain: dict[str, Any] = without_nan(asdict(self))
        return plain

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Robustness:
        """The inverse of `to_dict`."""
        plain: dict[str, Any] = with_nan(facts)
        steps = tuple(
            Step(**{**step, "macro_f1": Estimate(**step["macro_f1"]), "drop": Estimate(**step["drop"])})
            for step in plain["steps"]
        )
        return cls(**{**plain, "steps": steps, "area": Estimate(**plain["area"])})


@dataclass(frozen=True, eq=False)
class LadderRow:
    """One encoder and head: the row of the table of results, and a curve for each perturbation.

    Attributes:
        facts: The row as `tables.summarise` makes it.
        curves: Perturbation to what was found.
        lacking: Perturbations that some of its runs lack, with the reason.
    """

    facts: Mapping[str, Any]
    curves: Mapping[str, Robustness]
    lacking: Mapping[str, str]


def robustness(
    steps: Sequence[Evidence],
    rungs: Sequence[tuple[int, float]],
    *,
    perturbation: str = "",
    about: str = "",
    unit: str = "",
    draws: int | None = None,
    seed: int = 0,
) -> Robustness:
    """The curve of one row under one perturbation; all steps on the same resamples of the same nuclei.

    Args:
        steps: Evidence of step 0 (untouched) and of each further step.
        rungs: Number and amount of each.
        perturbation: Its name.
        about: One line.
        unit: Of the amounts.
        draws: How many resamples; by default `draws_for` the number of clusters.
        seed: Of the resamples.
    """
    base = steps[0]
    drawn = weights(base.size, draws or draws_for(base.size), seed)
    value = np.array([one.total()[0] for one in steps])
    resampled = np.stack([one.score(drawn @ one.statistics)[..., 0] for one in steps], 1)
    left_out = np.stack([one.left_out()[:, 0] for one in steps], 1)
    effective = float(base.effective[0])

    def estimated(derived: Any, bounds: tuple[float, float]) -> Estimates:
        parts = (derived(part) for part in (value[None], resampled, left_out))
        measured, draw, without = parts
        return jackknife_interval(measured[0], draw, without, effective, level=LEVEL, bounds=bounds)

    scores = [score_intervals(one, drawn, seed=seed).at(0) for one in steps]
    drops = estimated(lambda m: m - m[:, :1], (-1.0, 1.0))
    area = estimated(_relative, (0.0, math.inf))
    return Robustness(
        perturbation=perturbation,
        about=about,
        unit=unit,
        steps=tuple(Step(*rung, scores[i], drops.at(i)) for i, rung in enumerate(rungs)),
        area=area.at(0),
        seeds=base.seeds,
        cells=base.cells,
        clusters=base.size,
        kind=base.kind,
    )


def _relative(macro: Floats) -> Floats:
    """(n, 1) mean over the perturbed steps of macro F1 over that of step 0; NaN where that is 0."""
    untouched = macro[:, :1]
    mean = macro[:, 1:].mean(1, keepdims=True)
    share: Floats = np.divide(mean, untouched, out=np.full_like(mean, np.nan), where=untouched > 0)
    return share


def ladder_rows(
    records: Iterable[RunRecord], perturbations: Sequence[str] = ()
) -> tuple[list[LadderRow], tuple[BrokenRun, ...]]:
    """The curves of all rows of results that have climbed, folds pooled, seeds averaged.

    Args:
        records: Runs, with their folders; those without a ladder are passed over where no run of their row has one.
        perturbations: Only these; all by default.

    Returns:
        Rows in the order of the table of results; and the runs that could not be read.
    """
    by_id = {record.run_id: record for record in records}
    frame, broken = summarise(by_id.values())
    rows, unreadable = [], []
    for facts in track(frame.to_dict("records"), "ladders"):
        runs = [by_id[run_id] for run_id in facts["runs"]]
        if not any(map(has_ladder, runs)):
            continue
        try:
            found = _ladder_row({str(k): v for k, v in facts.items()}, runs, perturbations)
        except InputError as error:
            folder = Path(error.where).parent if error.where else Path(runs[0].run_id)
            unreadable.append(BrokenRun(folder, f"{LADDER}: {error.problem}"))
            continue
        rows.append(found)
    return rows, (*broken, *unreadable)


def _ladder_row(facts: Mapping[str, Any], runs: Sequence[RunRecord], wanted: Sequence[str]) -> LadderRow:
    read = {record.run_id: ladder_tallies(record) for record in runs}
    curves, lacking = {}, {}
    for name in perturbations_in([ladder for ladder, _ in read.values()]):
        if wanted and name not in wanted:
            continue
        rungs = {run_id: [(r.step, r.amount) for r in ladder.of(name)] for run_id, (ladder, _) in read.items()}
        without = [run_id for run_id, own in rungs.items() if own != max(rungs.values(), key=len)]
        if without:
            lacking[name] = f"not all of its steps are there for {len(without)} of {len(runs)} runs ({without[0]} …)"
            continue
        first = next(iter(read.values()))[0].of(name)
        curves[name] = _kept_curve(runs, {key: found for key, (_, found) in read.items()}, first)
    return LadderRow(facts, curves, lacking)


def _kept_curve(
    runs: Sequence[RunRecord], tallies: Mapping[str, Mapping[tuple[str, int], Tallies]], rungs: Sequence[Rung]
) -> Robustness:
    """The curve of a row, kept in the folder of its first run."""
    name, about = rungs[0].perturbation, rungs[0].about
    numbers = [0, *(rung.step for rung in rungs)]
    steps = [_evidence(runs, [tallies[run.run_id][name, step] for run in runs]) for step in numbers]
    amounts = [float(about["neutral"]), *(float(rung.amount) for rung in rungs)]
    pairs = list(zip(numbers, amounts, strict=True))
    facts = {"what": "ladder", "perturbation": name, "about": about, "of": [one.key for one in steps], "rungs": pairs}
    made = kept(
        runs[0].folder,
        facts,
        lambda: robustness(
            steps, pairs, perturbation=name, about=str(about["about"]), unit=str(about["unit"])
        ).to_dict(),
    )
    return Robustness.from_dict(made)


def _evidence(runs: Sequence[RunRecord], tallies: Sequence[Tallies]) -> Evidence:
    """Folds of a seed pooled, seeds beside each other."""
    by_seed: dict[str, list[Tallies]] = {}
    for record, own in zip(runs, tallies, strict=True):
        by_seed.setdefault(str(record.settings.get("seed")), []).append(own)
    scores = [record.cell_scores() for record in runs]
    names = {c.id: c.name for one in scores for c in one.classes}
    return gather([pooled(own) for own in by_seed.values()], names, scores[0].class_set)


def with_equal_steps(rows: Sequence[LadderRow]) -> list[LadderRow]:
    """The rows with those curves alone that compare: of each perturbation, the steps that most rows have.

    An area over other steps would be another quantity. Curves that go, unfinished ones for instance, are told as
    lacking.
    """
    counts: dict[str, Counter[tuple[float, ...]]] = {}
    for row in rows:
        for name, curve in row.curves.items():
            counts.setdefault(name, Counter())[curve.amounts] += 1
    wanted = {name: _usual(found) for name, found in counts.items()}
    return [_only(row, wanted) for row in rows]


def _usual(counts: Counter[tuple[float, ...]]) -> tuple[float, ...]:
    """The steps that most rows have, of equals the longest."""
    return max(counts, key=lambda amounts: (counts[amounts], len(amounts)))


def _only(row: LadderRow, wanted: Mapping[str, tuple[float, ...]]) -> LadderRow:
    others = [name for name, curve in row.curves.items() if curve.amounts != wanted[name]]
    curves = {name: curve for name, curve in row.curves.items() if name not in others}
    told = dict.fromkeys(others, "its steps are not those of the other rows; finish it with: cryostat run ladder")
    return LadderRow(row.facts, curves, {**row.lacking, **told})


def ladder_table(rows: Sequence[LadderRow]) -> pd.DataFrame:
    """A row a step: labels of the row, perturbation, step, amount, macro F1, drop and area, each with its ends."""
    return pd.DataFrame(
        {
            **{name: row.facts[name] for name in (*LABELS, "variant")},
            "seeds": curve.seeds,
            "perturbation": name,
            "unit": curve.unit.strip(),
            "step": step.step,
            "amount": step.amount,
            **_ends("macro_f1", step.macro_f1),
            **_ends("drop", step.drop),
            **_ends("area", curve.area),
            "cells": curve.cells,
            "clusters": curve.clusters,
            "cluster": curve.kind,
        }
        for row in rows
        for name, curve in row.curves.items()
        for step in curve.steps
    )


def _ends(name: str, found: Estimate) -> dict[str, float]:
    return {name: found.value, f"{name}_low": found.low, f"{name}_high": found.high}
