from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.cases.labels import Targets, load_hierarchy, read_task, targets
from cryostat.core.errors import InputError


def see(values: Any, **facts: Any) -> Targets:
    return targets(read_task("t", facts, Path(), "cohort.toml"), pd.DataFrame({"t": values}), "cohort.csv")


def test_certain_unlabelled_dropped_and_partial() -> None:
    seen = see(
        ["SEGA", "diffuse midline", None, "MYB/MYBL1-altered", "mixed glioma", "IDH-wildtype HGG", "gbm", "glioma NOS"],
        preset="corebt6",
    )
    assert seen.y.tolist() == [5, 4, -1, -1, -1, 0, 0, -1]
    assert seen.unlabelled.tolist() == [False, False, True, False, False, False, False, True]
    assert seen.dropped.tolist() == [False, False, False, True, False, False, False, False]
    assert seen.partial.tolist() == [False, False, False, False, True, False, False, False]
    assert seen.allowed[2].all()
    assert seen.allowed[4].tolist() == [False, True, True, False, False, False]
    assert [seen.task.leaves[i] for i in np.flatnonzero(seen.possible[4])] == [
        "astrocytoma, IDH-mutant", "oligodendroglioma",
    ]  # fmt: skip
    assert seen.reasons == (
        "",
        "",
        "no label",
        "'MYB/MYBL1-altered' is of no class of the task",
        "'mixed glioma' may be IDH-mutant astrocytoma or oligodendroglial",
        "",
        "",
        "'glioma NOS' says nothing",
    )
    assert seen.counts() == {
        "IDH-wildtype HGG": 2, "IDH-mutant astrocytoma": 0, "oligodendroglial": 0, "circumscribed astrocytic": 0,
        "midline H3-altered": 1, "glioneuronal": 1,
    }  # fmt: skip


def test_a_label_that_may_be_dropped_is_not_certain() -> None:
    seen = see(["low-grade", "high-grade"], preset="who_grade_234")
    assert seen.y.tolist() == [-1, -1]
    assert seen.allowed.tolist() == [[True, False, False], [False, True, True]]
    assert seen.reasons == ("'low-grade' may be 2, or of no class of the task", "'high-grade' may be 3 or 4")


def test_a_coarse_label_is_certain_in_a_coarse_task() -> None:
    assert see(["LGG", "IV", 3, "2.0", "3-4", 1.0], preset="lgg_hgg").y.tolist() == [0, 1, 1, 0, 1, 0]


@pytest.mark.parametrize("kind", ["string", "category", "object"])
def test_columns_of_any_kind(kind: str) -> None:
    column = pd.Series(["1", None, "4"]).astype(kind)
    assert see(column, preset="lgg_hgg").y.tolist() == [0, -1, 1]


def test_columns_of_numbers() -> None:
    assert see(pd.Series([1, None, 4], dtype="Int64"), preset="lgg_hgg").y.tolist() == [0, -1, 1]
    assert see([1.0, np.nan, 4.0], preset="lgg_hgg").y.tolist() == [0, -1, 1]
    assert see([True, False], classes=["false", "true"]).y.tolist() == [1, 0]


def test_an_unknown_label_is_told_with_the_nearest() -> None:
    with pytest.raises(
        InputError, match=r"column 't' holds.*'oligodendrogloma' \(2×, first in row 2\).*'oligodendroglioma'"
    ):
        see(["gbm", "oligodendrogloma", "oligodendrogloma"], preset="corebt8")


def test_a_missing_column_is_told() -> None:
    task = read_task("t", {"column": "grad", "classes": ["a", "b"]}, Path(), "cohort.toml")
    with pytest.raises(InputError, match=r"no column 'grad'.*'grade'"):
        targets(task, pd.DataFrame({"grade": ["a"]}), "cohort.csv")


LEAVES = [leaf.name for leaf in load_hierarchy("corebt").leaves]
VALUES = st.lists(st.sampled_from([*LEAVES, "", "IDH-mutant glioma", "glioneuronal", "mixed glioma"]), max_size=12)


@given(VALUES, st.sampled_from(["corebt4_top", "corebt4_other", "corebt6", "corebt8", "subtype20"]))
def test_every_patient_is_of_exactly_one_kind(values: list[str], preset: str) -> None:
    seen = see(values, preset=preset)
    kinds = np.stack([seen.certain, seen.unlabelled, seen.dropped, seen.partial])
    assert (kinds.sum(0) == 1).all()
    assert [bool(reason) for reason in seen.reasons] == (~seen.certain).tolist()
    assert seen.allowed[seen.certain].sum(1).tolist() == [1] * int(seen.certain.sum())
    assert seen.allowed[np.flatnonzero(seen.certain), seen.y[seen.certain]].all()


def test_tcga_glioma(shared: Path) -> None:
    table = pd.read_csv(shared / "data/tcga_glioma/cohort.csv", dtype=str)
    mixed = {"mixed glioma": ["astrocytoma", "oligodendroglioma"]}
    family = targets(read_task("family", {"partial": mixed}, Path(), "m"), table, "cohort.csv")
    assert family.counts() == {"astrocytoma": 125, "glioblastoma": 229, "oligodendroglioma": 121}
    assert family.partial.sum() == 86
    grade = targets(read_task("who_grade", {"preset": "who_grade_234"}, Path(), "m"), table, "cohort.csv")
    assert grade.counts() == {"2": 107, "3": 139, "4": 229}
    assert grade.unlabelled.sum() == 86
