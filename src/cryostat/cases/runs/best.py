"""The best possible on a simulated cohort, as a method among others: the exact posterior of each patient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from cryostat.cases.evaluation.evaluate import Evaluation
from cryostat.cases.evaluation.splits import Split
from cryostat.cases.labels import Targets
from cryostat.cases.methods.base import Fitted, Lesson, Method
from cryostat.cases.simulated import Simulated, load_simulated
from cryostat.core.errors import SettingError
from cryostat.results.cases.subsets import all_subsets, subset_members, subset_name


class BestPossible(Method):
    """What no method can exceed but by luck; it learns nothing."""

    name = "best-possible"
    about = "The exact posterior of a simulated cohort, which no method can exceed but by luck"

    def fit(self, lesson: Lesson, choice: Mapping[str, Any]) -> Fitted:
        """Refuse.

        Raises:
            SettingError: Always.
        """
        raise SettingError(
            f"{self.name} is known of simulated cohorts alone", remedy="Make one with: cryostat cases simulate -o DIR"
        )


@dataclass(frozen=True, eq=False)
class Question:
    """Who is asked about what.

    Attributes:
        folder: Folder of the simulated cohort.
        patients: Ids, in the order of the targets.
        modalities: Those used, in the order of the cohort.
        targets: Labels.
        splits: Who is tested; nobody is trained.
        decision: `balanced` or `argmax`.
    """

    folder: Path
    patients: Sequence[str]
    modalities: Sequence[str]
    targets: Targets
    splits: Sequence[Split]
    decision: str


def best_possible(asked: Question) -> Evaluation:
    """Predictions of the exact posterior for all test patients under every subset.

    Raises:
        CryostatError: The folder holds no simulated cohort.
    """
    made = load_simulated(asked.folder)
    frames = [_under(made, asked, subset_members(offered)) for offered in all_subsets(asked.modalities)]
    return Evaluation(pd.concat(frames, ignore_index=True), {"remarks": ["the exact posterior: nothing was learnt"]})


def _under(made: Simulated, asked: Question, offered: Sequence[str]) -> pd.DataFrame:
    """All test patients under one subset."""
    order = {patient: i for i, patient in enumerate(made.patients.ids)}
    rows = np.array([order[patient] for patient in asked.patients])
    task, classes = asked.targets.task.name, np.array(asked.targets.task.classes, object)
    p, prior = made.posterior(task, offered)[rows], made.posterior(task, ())[0]
    chosen = (p / prior if asked.decision == "balanced" else p).argmax(1)
    has = [(name, made.patients.present[rows, made.model.modalities.index(name)]) for name in offered]
    facts = {
        "patient_id": np.array(asked.patients, object),
        "seed": 0,
        "ablation": "full",
        "offered": subset_name(offered),
        "seen": [subset_name([name for name, there in has if there[i]]) for i in range(len(rows))],
        "y_true": classes[asked.targets.y],
        "y_pred": classes[chosen],
    }
    frame = pd.DataFrame(facts | {f"p_{name}": p[:, c] for c, name in enumerate(classes)})
    return pd.concat([frame.iloc[s.test].assign(repeat=s.repeat, fold=s.fold) for s in asked.splits], ignore_index=True)
