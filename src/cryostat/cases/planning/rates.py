"""How long methods take: from finished runs, else from a few small fits on noise, here and now."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.evaluation.evaluate import evaluate
from cryostat.cases.evaluation.preparation import Preparation
from cryostat.cases.evaluation.selection import open_settings
from cryostat.cases.evaluation.splits import Split
from cryostat.cases.evidence import Evidence, Vectors
from cryostat.cases.labels import Targets
from cryostat.cases.methods.base import Method
from cryostat.cases.protocols import CaseProtocol
from cryostat.results.records import RunRecord

TRIALS = ((1, 40), (4, 80))
"""Fits of each trial, and patients that each learns from; from both follow what a batch costs, and what a patient."""

TESTED, COLUMNS = 10, 32
"""Patients that a trial tests, and columns of noise that each modality has."""


@dataclass(frozen=True)
class Rate:
    """How long a method takes.

    Attributes:
        batch: Seconds of all fits that are done at once, whatever their number.
        patient: Seconds more for each patient that a fit learns from, preparation and prediction with it.
        basis: What it was measured on.
    """

    batch: float
    patient: float
    basis: str

    def seconds(self, batches: int, learnt: int) -> float:
        """Of fits in so many batches that learn from so many patients, all together."""
        return self.batch * batches + self.patient * learnt


def candidates(method: Method, settings: Mapping[str, Any]) -> int:
    """Settings that inner folds try on each split: one after another, the best so far known from the one before."""
    choices = [len(values) for values in open_settings(method, settings).values()]
    return sum(choices) - max(0, len(choices) - 1)


def learnt(trained: int, seeds: int, tried: int, inner: int) -> int:
    """Patients that the fits of one split learn from, all together.

    Args:
        trained: Patients to learn from.
        seeds: Of the method.
        tried: Settings that inner folds try.
        inner: Inner folds, each of which leaves out its share.
    """
    return trained * (seeds + tried * (inner - 1))


def rate_of_runs(records: Iterable[RunRecord], inner: int) -> Rate | None:
    """The median pace of finished runs of a method; None where there is none to tell.

    Args:
        records: Its runs.
        inner: Inner folds of their protocol.
    """
    paces = [pace for record in records if (pace := _pace(record, inner)) is not None]
    if not paces:
        return None
    return Rate(0.0, median(paces), f"{len(paces)} finished run{'s' * (len(paces) > 1)}")


def _pace(record: RunRecord, inner: int) -> float | None:
    splits = record.training.get("splits", [])
    seconds = sum(float(phase.get("seconds", 0)) for name, phase in record.phases.items() if name in ("fit", "score"))
    seeds = len(record.training.get("fits", [])) // max(1, len(splits))
    patients = sum(learnt(int(split["train"]), seeds, len(split.get("tried", ())), inner) for split in splits)
    return seconds / patients if patients and seconds else None


def rate_of_trial(
    method: Method,
    settings: Mapping[str, Any],
    rules: CaseProtocol,
    targets: Targets,
    present: NDArray[np.bool_],
    split: Split,
) -> Rate:
    """The pace of a few small fits on noise, of patients who have what those of a split have.

    Args:
        method: The method.
        settings: All its settings.
        rules: The protocol.
        targets: Labels of n patients.
        present: (n, M) who has what.
        split: From whose patients the fits take some.
    """
    evidence, asked = _noise(present), rules.evaluation

    def trial(fits: int, trained: int) -> tuple[int, float]:
        rows = _some(split.train, trained)
        splits = [Split(f"trial {i}", i, 0, rows, _some(split.test, TESTED)) for i in range(fits)]
        began = _now()
        evaluate(
            evidence,
            targets,
            splits,
            method,
            choice=settings,
            select=False,
            inner=asked.inner,
            ablations=asked.ablations,
            preparation=Preparation(**rules.preparation),
            decision=asked.decision,
        )
        return fits * len(rows), min(now - then for now, then in zip(_now(), began, strict=True))

    trial(*TRIALS[0])  # the first of all loads what it needs
    (few, short), (many, long) = (trial(*one) for one in TRIALS)
    patient = max(0.0, long - short) / max(1, many - few)
    return Rate(max(0.0, short - few * patient), patient, "fits on noise")


def _now() -> tuple[float, float]:
    """Seconds by the clock, and of this process: on a machine that others keep busy the second tell more."""
    return time.perf_counter(), time.process_time()


def _some(rows: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    return rows[np.linspace(0, len(rows) - 1, min(most, len(rows))).astype(np.intp)]


def _noise(present: NDArray[np.bool_]) -> Evidence:
    random = np.random.default_rng(0)
    n, count = present.shape
    modalities: dict[str, Vectors] = {}
    for place in range(count):
        values = random.standard_normal((n, COLUMNS)).astype(np.float32)
        values[~present[:, place]] = np.nan
        modalities[f"m{place}"] = Vectors(values, present[:, place])
    return Evidence(tuple(f"p{i}" for i in range(n)), modalities)


def fits_of(splits: Sequence[Split], seeds: int, tried: int, inner: int) -> tuple[int, int]:
    """Fits of a run, and patients that they learn from, all together."""
    patients = sum(learnt(len(split.train), seeds, tried, inner) for split in splits)
    return len(splits) * (seeds + tried * inner), patients
