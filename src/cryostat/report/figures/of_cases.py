"""Figures of finished runs of cases: which there are, and the tables that they are drawn from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import pandas as pd

from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import safe_name
from cryostat.report.figures.calibration import calibration_figure
from cryostat.report.figures.contribution import contributions_figure
from cryostat.report.figures.curves import abstention_figure, missing_rate_figure, waiting_figure
from cryostat.report.figures.lattice import lattice_figure, methods_figure
from cryostat.report.figures.study import Drawing
from cryostat.report.figures.style import number, signed
from cryostat.results.cases.certainty import abstention, reliability
from cryostat.results.cases.contribution import contributions
from cryostat.results.cases.listing import BLOCK, list_cases
from cryostat.results.cases.missing_rate import missing_rate_curve
from cryostat.results.cases.panel import FULL
from cryostat.results.cases.scores import CaseScores
from cryostat.results.cases.subsets import all_subsets, subset_members, subset_name
from cryostat.results.cases.waiting import wait_for
from cryostat.results.records import CASES, BrokenRun, RunRecord

METRIC, WORDS = "balanced_accuracy", "balanced accuracy"
"""What figures of cases show."""

MOST_METHODS = 8
"""Methods in one figure: the best by the mean over the lattice."""


@dataclass(frozen=True, eq=False)
class Fit:
    """One method on one cohort and task.

    Attributes:
        label: The method, and its variant where there are several.
        record: Its newest run.
    """

    label: str
    record: RunRecord = field(repr=False)

    @cached_property
    def scores(self) -> CaseScores:
        """Its scores."""
        return self.record.case_scores()

    @cached_property
    def frame(self) -> pd.DataFrame:
        """Its predictions."""
        return self.record.predictions()

    @property
    def of(self) -> tuple[pd.DataFrame, tuple[str, ...], tuple[str, ...]]:
        """Predictions, classes and modalities: what the tables of results are made from."""
        return self.frame, self.scores.classes, self.scores.modalities


def case_drawings(records: Iterable[RunRecord]) -> tuple[list[Drawing], tuple[BrokenRun, ...]]:
    """The figures that runs of cases allow, and the runs that could not be read."""
    by_id = {record.run_id: record for record in records if record.benchmark == CASES}
    frame, broken = list_cases(by_id.values(), metric=METRIC)
    frame = frame[frame["ablation"] == FULL]
    drawn: list[Drawing] = []
    for labels, rows in frame.groupby(list(BLOCK), sort=False, dropna=False):
        drawn += _of_block([str(label) for label in labels], _labelled(rows), by_id)
    return drawn, tuple(broken)


def _labelled(rows: pd.DataFrame) -> pd.DataFrame:
    """Of runs of one method and variant the newest; labels tell variants apart."""
    latest = rows.sort_values("created", kind="stable").drop_duplicates(["method", "variant"], keep="last")
    kept = rows[rows["run_id"].isin(latest["run_id"])]
    labels = kept["method"] + kept["variant"].map(lambda variant: f" ({variant})" if variant else "")
    return kept.assign(series=labels)


def _of_block(labels: Sequence[str], rows: pd.DataFrame, records: dict[str, RunRecord]) -> Iterator[Drawing]:
    cohort, task, protocol, split, modalities = labels
    best = rows.groupby("series", sort=False)["value"].mean().sort_values(ascending=False, kind="stable")
    chosen = list(best.index[:MOST_METHODS])
    shown = rows[rows["series"].isin(chosen)].sort_values("series", key=lambda s: s.map(chosen.index), kind="stable")
    fits = [Fit(label, records[shown.loc[shown["series"] == label, "run_id"].iloc[0]]) for label in chosen]
    name = safe_name("-".join((cohort, task, modalities, protocol, split)))
    title = f"{cohort}, {task}"
    yield Drawing(f"{name}-lattice", partial(_lattice, shown, fits, title))
    yield Drawing(f"{name}-methods", partial(_methods, shown, fits, title))
    yield Drawing(f"{name}-missing-rate", partial(_missing_rate, fits, title))
    yield Drawing(f"{name}-abstention", partial(_abstention, fits, title))
    yield Drawing(f"{name}-contributions", partial(_contributions, fits[0], title))
    yield Drawing(f"{name}-calibration", partial(_calibration, fits[0], title))
    for now, later in _waits(fits[0].scores.modalities):
        awaited = later.removeprefix(f"{now}+")
        yield Drawing(safe_name(f"{name}-waiting-for-{awaited}"), partial(_waiting, fits[0], now, later, title))


def _waits(modalities: Sequence[str]) -> list[tuple[str, str]]:
    """Modalities as they arrive, in the order of the cohort: each awaited with all before it there."""
    there = [subset_name(modalities[: i + 1]) for i in range(len(modalities))]
    return list(pairwise(there))


def replicates(scores: CaseScores) -> str:
    """`mean of 2 repeats × 3 seeds`, as far as there are several."""
    counts = [f"{n} {what}" for n, what in ((scores.repeats, "repeats"), (scores.seeds, "seeds")) if n > 1]
    return f"; means of {' × '.join(counts)}" if counts else ""


def _lattice(rows: pd.DataFrame, fits: Sequence[Fit], title: str) -> Any:
    scores = fits[0].scores
    note = (
        "Each subset on the n patients who have all of it; points: balanced accuracy; bars: 95 % intervals, patients "
        f"resampled{replicates(scores)}."
    )
    return lattice_figure(
        rows, scores.modalities, metric=WORDS, chance=1 / len(scores.classes), title=f"{title}: modalities", note=note
    )


def _methods(rows: pd.DataFrame, fits: Sequence[Fit], title: str) -> Any:
    note = (
        f"Balanced accuracy of each subset on the patients who have all of it{replicates(fits[0].scores)}. "
        "Bold: the highest of a column, which need not be told apart from others."
    )
    small = "Small: 95 % intervals, patients resampled."
    modalities = fits[0].scores.modalities
    return methods_figure(rows, modalities, metric=WORDS, title=f"{title}: methods", note=note, small=small)


def _stacked(fits: Sequence[Fit], make: Any, **asked: Any) -> pd.DataFrame:
    """One table of several methods; those without what it takes are left out, unless none has it."""
    parts, refused = [], None
    for fit in fits:
        try:
            parts.append(make(*fit.of, **asked).assign(series=fit.label))
        except (InputError, SettingError) as error:
            refused = error
    if not parts and refused is not None:
        raise refused
    return pd.concat(parts, ignore_index=True)


def _missing_rate(fits: Sequence[Fit], title: str) -> Any:
    table = _stacked(fits, missing_rate_curve, metrics=(METRIC,))
    note = (
        f"Expected over all subsets, each modality missing independently; the {int(table['n'].iloc[0])} patients "
        "who have all; bands or thin lines: 95 % intervals, patients resampled."
    )
    return missing_rate_figure(table, metric=WORDS, title=f"{title}: missing modalities", note=note)


def _abstention(fits: Sequence[Fit], title: str) -> Any:
    table = _stacked(fits, abstention)
    note = (
        f"{fits[0].scores.patients} patients, everything offered; certainty by entropy; bands or thin lines: 95 % "
        "intervals, patients resampled."
    )
    return abstention_figure(
        table[table["metric"] == "accuracy"], metric="accuracy", title=f"{title}: answering where certain", note=note
    )


def _contributions(fit: Fit, title: str) -> Any:
    found = contributions(*fit.of, metric=METRIC)
    note = (
        f"{fit.label}. Bars: Shapley values on the {found.n} patients who have every modality; lines: 95 % intervals, "
        "patients resampled. first, last: the gain when it comes first, and when it comes last."
    )
    return contributions_figure(found, metric=WORDS, title=f"{title}: what each modality adds", note=note)


def _calibration(fit: Fit, title: str) -> Any:
    note = (
        f"{fit.label}, everything offered, {fit.scores.patients} patients; bars: 95 % intervals, patients "
        f"resampled{replicates(fit.scores)}."
    )
    return calibration_figure(reliability(*fit.of), title=f"{title}: calibration", note=note)


def joined(names: Sequence[str]) -> str:
    """`mri, wsi and report`."""
    return " and ".join(part for part in (", ".join(names[:-1]), *names[-1:]) if part)


def _waiting(fit: Fit, now: str, later: str, title: str) -> Any:
    if later not in all_subsets(fit.scores.modalities):
        raise SettingError(f"there is no subset {later!r}", remedy="Choose modalities of the cohort")
    found = wait_for(*fit.of, now=now, later=later)
    gain, awaited = found.gain[METRIC], later.removeprefix(f"{now}+")
    note = (
        f"{fit.label}, the {found.n} patients who have {joined(subset_members(later))}; band: 95 % interval, patients "
        f"resampled. Gain when all wait: {signed(gain.value)} [{number(gain.low)}, {number(gain.high)}]."
    )
    return waiting_figure(found, column=METRIC, metric=WORDS, title=f"{title}: waiting for {awaited}", note=note)
