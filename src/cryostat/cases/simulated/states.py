"""Who is in the simulated cohort: tumour type, grade and number of patients."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cases.labels import load_hierarchy

GRADES: dict[str, dict[str, int]] = {
    "glioblastoma": {"4": 153},
    "glioblastoma, recurrent": {"4": 17},
    "glioblastoma, treatment-related": {"4": 1},
    "high-grade glioma NOS": {"": 1},
    "rare IDH-wildtype HGG": {"4": 4},
    "astrocytoma, IDH-mutant": {"2": 27, "3": 24, "4": 20},
    "oligodendroglioma": {"2": 18, "3": 12},
    "oligosarcoma": {"3": 1},
    "pilocytic astrocytoma": {"1": 8},
    "circumscribed, recurrent": {"1": 3},
    "BRAF-fusion": {"1": 2},
    "diffuse midline glioma": {"4": 8},
    "H3-3A mutant": {"4": 1},
    "SEGA": {"1": 3},
    "RGNT": {"1": 2},
    "ganglioglioma": {"1": 1},
    "MYB/MYBL1-altered": {"1": 1},
    "low-grade glial NEC": {"": 1},
    "NTRK-fusion": {"": 1},
    "NF1-inactivated": {"": 1},
}
"""Patients of each sub-type of CoRe-BT's table by WHO grade, "" where there is none. The table does not tell grades:
those of a sub-type of several grades are ours, the rest follows from the diagnosis."""


@dataclass(frozen=True)
class State:
    """Patients who are alike: the same sub-type and grade.

    Attributes:
        subtype: Name in the hierarchy `corebt`.
        grade: "1" to "4", "" where there is none.
        count: Patients in CoRe-BT's 310.
        group: Index of the level-1 class.
        sibling: Place of the sub-type among those of its class, centred: −1, 0, 1 for three.
    """

    subtype: str
    grade: str
    count: int
    group: int
    sibling: float


def states() -> tuple[State, ...]:
    """The states, in the order of the hierarchy."""
    tree = load_hierarchy("corebt")
    groups = [tree.below(node.name) for node in tree.nodes if node.level == 0]
    return tuple(
        State(tree.leaves[leaf].name, grade, count, group, place - (len(leaves) - 1) / 2)
        for group, leaves in enumerate(groups)
        for place, leaf in enumerate(leaves)
        for grade, count in GRADES[tree.leaves[leaf].name].items()
    )


def state_table() -> pd.DataFrame:
    """The label columns of a cohort, a row a state: `subtype` and `who_grade`, None where there is no grade."""
    every = states()
    return pd.DataFrame({"subtype": [s.subtype for s in every], "who_grade": [s.grade or None for s in every]})


def scaled_counts(patients: int) -> NDArray[np.int64]:
    """(S,) patients of each state in a cohort of another size: proportional, by largest remainders."""
    counts = np.array([state.count for state in states()])
    exact = counts * patients / counts.sum()
    whole = np.floor(exact).astype(np.int64)
    rest = np.argsort(whole - exact, kind="stable")[: patients - whole.sum()]
    whole[rest] += 1
    return np.asarray(whole)
