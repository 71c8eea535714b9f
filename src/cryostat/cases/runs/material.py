"""What the runs of one cohort share: its evidence and the labels of a task."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from cryostat.cases.cohort import Cohort, load_cohort
from cryostat.cases.embeddings import gather
from cryostat.cases.evidence import Evidence
from cryostat.cases.labels import Targets, targets
from cryostat.core.errors import SettingError
from cryostat.core.home import Home
from cryostat.core.identity import sha256_array


class Material:
    """Cohorts and their evidence, read once each.

    Args:
        home: Where embeddings made by encoders are kept.
        device: Where encoders run.
    """

    def __init__(self, home: Home, device: str = "auto") -> None:
        self._home, self._device = home, device
        self.cohort = lru_cache(maxsize=4)(load_cohort)
        self._gathered = lru_cache(maxsize=2)(self._gather)

    def _gather(self, path: Path, modalities: tuple[str, ...]) -> Evidence:
        return gather(self.cohort(path), self._home, modalities=modalities, device=self._device)

    def evidence(self, path: Path, modalities: tuple[str, ...] = ()) -> Evidence:
        """All evidence of a cohort, or that of some modalities, in the order of the cohort.

        Raises:
            SettingError: The cohort has no such modality.
            CryostatError: Nothing of it can be read.
        """
        cohort = self.cohort(path)
        if strangers := [name for name in modalities if name not in cohort.modalities]:
            raise SettingError(
                f"cohort {cohort.name} has no modality {strangers[0]!r}",
                remedy=f"Choose of: {', '.join(cohort.modalities)}",
            )
        return self._gathered(path, tuple(name for name in cohort.modalities if not modalities or name in modalities))

    def targets(self, path: Path, task: str, *, shuffled: bool = False) -> Targets:
        """The labels of a task; `shuffled` deals them out to other patients, always in the same way.

        Raises:
            SettingError: The cohort has no such task.
        """
        cohort = self.cohort(path)
        if task not in cohort.tasks:
            raise SettingError(f"cohort {cohort.name} has no task {task!r}", remedy=f"Choose of: {_list(cohort)}")
        found = targets(cohort.tasks[task], cohort.table, cohort.path)
        return _shuffled(found) if shuffled else found


def _list(cohort: Cohort) -> str:
    return ", ".join(cohort.tasks) or "none: describe one in the manifest under [tasks.NAME]"


def _shuffled(found: Targets) -> Targets:
    order = np.random.default_rng(0).permutation(len(found.y))
    return replace(
        found,
        possible=found.possible[order],
        allowed=found.allowed[order],
        y=found.y[order],
        reasons=tuple(found.reasons[i] for i in order),
    )


def identity_of_labels(found: Targets) -> Mapping[str, Any]:
    """What determines the labels of a task: its classes, and a hash of what each patient may be."""
    packed = np.packbits(found.possible, axis=1)
    return {"name": found.task.name, **found.task.facts(), "possible": sha256_array(packed)}
