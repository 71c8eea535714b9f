"""The patients of a simulated cohort: who they are, what of them is there, and their evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cases.simulated.model import Floats, Model
from cryostat.cases.simulated.settings import Settings
from cryostat.cases.simulated.states import scaled_counts, state_table

SITES = {"A": 0.4, "B": 0.3, "C": 0.2, "D": 0.1}
"""Hospitals and their shares; they change nothing in the evidence."""

TEST_SHARE = 0.3
"""Share of the patients with all modalities that the column `split` sets apart for testing."""

SLIDE_DEVIATION = 0.5
"""Deviation of one slide's embedding from the mean over the patient's slides."""


@dataclass(frozen=True, eq=False)
class Patients:
    """n patients.

    Attributes:
        ids: Their ids.
        state: (n,) index into `states()`.
        present: (n, M) bool: who has which modality.
        signals: (n, M, axes) what the embeddings tell, of those that are absent too.
        embeddings: For each modality (n, d), of those that are absent too.
        slides: For each patient (k, d) embeddings of the slides, whose mean is the embedding; k = 0 without slides.
        about: Columns `site`, `sex`, `split`, `subtype` and `who_grade`.
    """

    ids: tuple[str, ...]
    state: NDArray[np.int64]
    present: NDArray[np.bool_]
    signals: Floats
    embeddings: Mapping[str, Floats]
    slides: tuple[Floats, ...]
    about: pd.DataFrame


def draw_patients(model: Model) -> Patients:
    """The patients that a model's settings determine."""
    settings = model.settings
    rng = np.random.default_rng([settings.seed, 2])
    state = rng.permutation(np.repeat(np.arange(len(model.prior)), scaled_counts(settings.patients)))
    present = _present(rng, state, settings)
    signals = model.signals(rng, state)
    embeddings = model.embed(rng, signals)
    width = len(str(settings.patients))
    return Patients(
        ids=tuple(f"SIM-{number:0{width}d}" for number in range(1, len(state) + 1)),
        state=state,
        present=present,
        signals=signals,
        embeddings=embeddings,
        slides=_slides(rng, embeddings["wsi"], present[:, 1], settings.slides),
        about=_about(rng, state, present),
    )


def spread(
    rng: np.random.Generator, state: NDArray[np.int64], among: NDArray[np.bool_], number: int
) -> NDArray[np.bool_]:
    """(n,) bool: `number` of the patients `among`, of each state in proportion (within one patient)."""
    ranked = np.flatnonzero(among)[np.argsort(state[among] + rng.random(among.sum()), kind="stable")]
    steps = (np.arange(len(ranked) + 1) + rng.random()) * (number / max(len(ranked), 1))
    chosen = np.zeros(len(state), bool)
    chosen[ranked[np.diff(np.floor(steps)) > 0]] = True
    return chosen


def _present(rng: np.random.Generator, state: NDArray[np.int64], settings: Settings) -> NDArray[np.bool_]:
    """(n, 3) bool: pathology in proportion to the states, MRI for those and for others of the rest."""
    everyone = np.ones(len(state), bool)
    pathology = spread(rng, state, everyone, settings.with_pathology)
    mri = pathology | spread(rng, state, ~pathology, settings.with_mri - settings.with_pathology)
    return np.stack([mri, pathology, pathology], 1)


def _slides(rng: np.random.Generator, embeddings: Floats, present: NDArray[np.bool_], total: int) -> tuple[Floats, ...]:
    """Slides that average to the embedding: `total` of all patients, at least one of each that has any."""
    number = np.zeros(len(present), int)
    having = int(present.sum())
    if having:
        number[present] = 1 + rng.multinomial(total - having, rng.dirichlet(np.full(having, 3.0)))
    return tuple(_around(rng, centre, k) for centre, k in zip(embeddings, number, strict=True))


def _around(rng: np.random.Generator, centre: Floats, number: int) -> Floats:
    if number == 0:
        return np.zeros((0, len(centre)))
    away = SLIDE_DEVIATION * rng.standard_normal((number, len(centre)))
    return np.asarray(centre + away - away.mean(0))


def _about(rng: np.random.Generator, state: NDArray[np.int64], present: NDArray[np.bool_]) -> pd.DataFrame:
    complete = np.asarray(present.all(1))
    test = spread(rng, state, complete, int(np.ceil(TEST_SHARE * complete.sum())))
    frame = state_table().iloc[state].reset_index(drop=True)
    frame.insert(0, "site", rng.choice(list(SITES), len(state), p=list(SITES.values())))
    frame.insert(1, "sex", rng.choice(["female", "male"], len(state)))
    frame.insert(2, "split", np.where(test, "test", "train"))
    return frame
