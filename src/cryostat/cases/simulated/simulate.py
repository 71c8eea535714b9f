"""Make a simulated cohort, and find it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cryostat.cases.labels import Task, read_task
from cryostat.cases.simulated.bayes import BayesRow, bayes_tables
from cryostat.cases.simulated.model import Floats, Model
from cryostat.cases.simulated.patients import Patients, draw_patients
from cryostat.cases.simulated.settings import Settings
from cryostat.cases.simulated.writing import MANIFEST, TASKS, write_patients
from cryostat.core.errors import InputError, SettingError, StoreError
from cryostat.core.files import read_json, write_json
from cryostat.core.identity import differences

RECORD = "bayes.json"
"""Name of the record in the folder: settings, and the best possible on every subset."""

VERSION = 1
"""Of the generative model; cohorts of another version are not this one's."""


@dataclass(frozen=True, eq=False)
class Simulated:
    """A simulated cohort.

    Attributes:
        folder: Where it lies.
        model: What it was drawn from.
        bayes: For each task of the manifest the best possible on every subset of the modalities.
    """

    folder: Path
    model: Model
    bayes: Mapping[str, tuple[BayesRow, ...]]

    @property
    def manifest(self) -> Path:
        """The cohort's manifest."""
        return self.folder / MANIFEST

    @cached_property
    def patients(self) -> Patients:
        """The patients, with all that the files do not tell."""
        return draw_patients(self.model)

    @cached_property
    def tasks(self) -> dict[str, Task]:
        """The tasks of the manifest."""
        return simulated_tasks()

    def task(self, name: str) -> Task:
        """A task of the manifest.

        Raises:
            SettingError: There is none of that name.
        """
        if name not in self.tasks:
            raise SettingError(f"there is no task {name!r}", remedy=f"Choose one of: {', '.join(self.tasks)}")
        return self.tasks[name]

    def best(self, task: str, offered: Sequence[str]) -> BayesRow:
        """The best possible in a task when some modalities are offered and there."""
        wanted = tuple(self.model.modalities[m] for m in self.model.index(offered))
        self.task(task)
        return next(row for row in self.bayes[task] if row.offered == wanted)

    def posterior(self, task: str, offered: Sequence[str]) -> Floats:
        """Exact probabilities of each patient of the cohort.

        Args:
            task: Name of a task of the manifest.
            offered: Modalities that may be looked at; of each patient those that are there.

        Returns:
            (n, C) in the order of `patients.ids`, given that the patient is of a class of the task; the prior for those
            without any of what is offered.
        """
        seen = self.patients.present.copy()
        seen[:, [m for m in range(seen.shape[1]) if m not in self.model.index(offered)]] = False
        p = np.zeros((len(seen), len(self.task(task).classes)))
        for pattern in np.unique(seen, axis=0):
            rows = (seen == pattern).all(1)
            subset = [name for name, there in zip(self.model.modalities, pattern, strict=True) if there]
            states = self.model.log_states(self.patients.signals[rows], subset)
            p[rows] = np.exp(self.model.log_classes(states, self.task(task)))
        return p


def simulated_tasks() -> dict[str, Task]:
    """The tasks of every simulated cohort."""
    return {name: read_task(name, facts, Path(), "the simulated cohort") for name, facts in TASKS.items()}


def simulate(
    folder: Path,
    *,
    seed: int = 0,
    patients: int = 310,
    mri: int = -1,
    pathology: int = -1,
    correlation: float = 0.3,
    nuisance: float = 0.5,
    draws: int = 100_000,
) -> Simulated:
    """Write a simulated cohort with the best possible figures beside it; see the package for the model.

    Args:
        folder: Where; made if need be. One that holds the same cohort already is left as it is.
        seed: Of everything drawn.
        patients: All patients; 310 have exactly the numbers of CoRe-BT's table.
        mri: Those with MRI; −1: the same share as in CoRe-BT.
        pathology: Those of them with slides and report; −1: the same share as in CoRe-BT.
        correlation: Of the noise of two modalities.
        nuisance: Deviation of the widest axis that says nothing.
        draws: Patients drawn for the best possible figures.

    Raises:
        SettingError: A setting is impossible.
        InputError: The folder holds something else.
    """
    settings = Settings(seed, patients, mri, pathology, correlation, nuisance)
    if draws < 1000:
        raise SettingError(f"{draws} draws are too few", remedy="Draw 1000 or more")
    if (folder / RECORD).exists():
        return _same(folder, settings, draws)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError("is not an empty folder", where=folder, remedy="Name a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    model = Model(settings)
    made = Simulated(folder, model, bayes_tables(model, simulated_tasks(), draws=draws))
    write_patients(folder, model, made.patients)
    write_json(folder / RECORD, _record(made, draws))
    return made


def load_simulated(folder: Path) -> Simulated:
    """A simulated cohort from its folder.

    Raises:
        InputError: The folder holds none, or one of another version.
        StoreError: It cannot be drawn again here exactly as it was.
    """
    record = read_json(folder / RECORD)
    if not isinstance(record, dict) or record.get("version") != VERSION:
        raise InputError(
            "is not the record of a cohort simulated by this version",
            where=folder / RECORD,
            remedy="Simulate the cohort again into a new folder",
        )
    try:
        bayes = {
            name: tuple(BayesRow.from_dict(row) for row in task["subsets"]) for name, task in record["tasks"].items()
        }
        made = Simulated(folder, Model(Settings(**record["settings"])), bayes)
        known = np.array(record["first_patient"], float)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"is damaged ({error})", where=folder / RECORD, remedy="Simulate the cohort again") from error
    if known.shape != made.patients.signals[0].shape or not np.allclose(known, made.patients.signals[0], atol=1e-6):
        raise StoreError(
            "was drawn by another random generator than the one installed",
            where=folder,
            remedy="Simulate the cohort again into a new folder",
        )
    return made


def _same(folder: Path, settings: Settings, draws: int) -> Simulated:
    found = load_simulated(folder)
    drawn = read_json(folder / RECORD)["draws"]
    unlike = differences(settings.facts() | {"draws": draws}, found.model.settings.facts() | {"draws": drawn})
    if unlike:
        raise InputError(
            f"holds another simulated cohort; asked for / there: {', '.join(unlike)}",
            where=folder,
            remedy="Name a new folder, or give the same settings",
        )
    return found


def _record(made: Simulated, draws: int) -> dict[str, Any]:
    """All that is written to the record."""
    return {
        "about": "The best that any method can reach on each subset of the modalities; error: of the Monte Carlo.",
        "version": VERSION,
        "settings": made.model.settings.facts(),
        "draws": draws,
        "first_patient": made.patients.signals[0].tolist(),
        "tasks": {
            name: {"classes": list(task.classes), "subsets": [row.to_dict() for row in made.bayes[name]]}
            for name, task in made.tasks.items()
        },
    }
