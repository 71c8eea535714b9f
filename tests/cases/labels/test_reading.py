from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from cryostat.cases.labels import Task, load_hierarchy, preset_about, preset_names, read_task, resolve
from cryostat.core.errors import InputError

SIZES = {
    "corebt4_top": [176, 71, 31, 13],
    "corebt4_other": [176, 71, 31, 32],
    "corebt6": [176, 71, 31, 13, 9, 6],
    "corebt8": [176, 71, 31, 13, 9, 6, 1, 3],
}


def read(**facts: Any) -> Task:
    return read_task("tumour", facts, Path(), "cohort.toml")


@pytest.mark.parametrize(("preset", "sizes"), SIZES.items())
def test_readings_of_core_bt_have_the_sizes_of_its_table(preset: str, sizes: list[int]) -> None:
    task = read(preset=preset)
    counts = [leaf.count or 0 for leaf in load_hierarchy("corebt").leaves]
    found = [sum(n for n, of in zip(counts, task.leaf_class, strict=True) if of == c) for c in range(len(task.classes))]
    assert found == sizes
    assert 310 - sum(sizes) == sum(counts[task.leaves.index(name)] for name in task.dropped)


def test_grades() -> None:
    assert read(preset="who_grade_234").classes == ("2", "3", "4")
    assert read(preset="who_grade_234").dropped == ("1",)
    assert read(preset="who_grade_low34").leaf_class == (0, 0, 1, 2)
    assert read(preset="lgg_hgg").classes == ("low-grade", "high-grade")
    assert read(preset="lgg_hgg").leaf_class == (0, 0, 1, 1)
    assert read(preset="lgg_hgg").ordinal


def test_presets_say_what_they_are_and_give_way_to_the_task() -> None:
    assert all(preset_about(name) for name in preset_names())
    task = read(preset="corebt8", min_count=50, column="diagnosis", about="two classes")
    assert (task.classes, task.column, task.about) == (
        ("IDH-wildtype HGG", "IDH-mutant astrocytoma"), "diagnosis", "two classes",
    )  # fmt: skip


def test_a_flat_task_keeps_its_order_and_is_flat() -> None:
    task = read(classes=["wildtype", "mutant"])
    assert (task.column, task.classes, task.leaves, task.leaf_class) == (
        "tumour", ("wildtype", "mutant"), ("wildtype", "mutant"), (0, 1),
    )  # fmt: skip
    assert task.flat
    assert not task.dropped


def test_merge_and_drop_of_a_flat_task() -> None:
    task = read(classes=["low", "high"], merge={"low": [1, 2], "high": [3, 4]}, drop=["5"])
    assert task.leaves == ("1", "2", "3", "4", "5")
    assert task.leaf_class == (0, 0, 1, 1, -1)
    assert task.values["low"] == (0, 1)
    assert not task.flat


def test_merge_takes_labels_of_any_level() -> None:
    task = read(
        hierarchy="corebt",
        level="level1",
        merge={"rest": ["SEGA", "midline H3-altered"]},
        drop=["rare IDH-wildtype HGG"],
    )
    named = dict(zip(task.leaves, task.leaf_class, strict=True))
    assert task.classes[named["SEGA"]] == task.classes[named["H3-3A mutant"]] == "rest"
    assert task.classes[named["RGNT"]] == "glioneuronal"
    assert named["rare IDH-wildtype HGG"] == -1


def test_classes_of_a_hierarchy_in_another_order() -> None:
    task = read(hierarchy="who-grade", level="lgg_hgg", classes=["HIGH-grade", "low-grade"])
    assert task.classes == ("high-grade", "low-grade")


def test_classes_found_in_the_table() -> None:
    table = pd.DataFrame({"tumour": ["b", "a", "B", None, "mixed", "b", "?"]})
    task = read(partial={"mixed": ["a", "b"]}, unknown=["?"])
    assert task.classes == ()
    settled = resolve(task, table, "cohort.csv")
    assert settled.classes == ("a", "b")
    assert settled.values["mixed"] == (0, 1)
    assert resolve(settled, table.iloc[:0], "cohort.csv") is settled


def test_min_count_counts_the_table_where_the_hierarchy_does_not() -> None:
    table = pd.DataFrame({"tumour": ["a"] * 5 + ["b"] * 4 + ["c", "d", "d"]})
    assert resolve(read(min_count=4), table, "t").dropped == ("c", "d")
    merged = resolve(read(min_count=4, rare="rare"), table, "t")
    assert merged.classes == ("a", "b", "rare")
    assert merged.leaf_class == (0, 1, 2, 2)


def test_a_hierarchy_from_a_file_beside_the_manifest(tmp_path: Path) -> None:
    (tmp_path / "tree.toml").write_text('levels = ["type"]\n[type]\na = {}\nb = { synonyms = ["bee"] }\n')
    task = read_task("t", {"hierarchy": "tree.toml", "synonyms": {"a": ["ay"]}}, tmp_path, "cohort.toml")
    assert task.values == {"a": (0,), "b": (1,), "bee": (1,), "ay": (0,)}


def test_identity_changes_with_what_a_value_means() -> None:
    plain, more = read(classes=["a", "b"]), read(classes=["a", "b"], synonyms={"a": ["c"]})
    assert plain.facts() != more.facts()
    assert plain.facts() == read(classes=["a", "b"], about="another sentence").facts()


BAD: list[tuple[Mapping[str, Any], str]] = [
    ({"colum": "x"}, r"\[tasks.tumour\]: has the entry 'colum'.*'column'"),
    ({"preset": "corebt5"}, "no preset 'corebt5'.*'corebt"),
    ({"preset": 4}, "preset is 4"),
    ({"hierarchy": "corebt", "level": "fine"}, "no level 'fine'"),
    ({"level": "level1"}, "names a level, but no hierarchy"),
    ({"classes": ["a"]}, "leaves 1 class"),
    ({"classes": ["a", "A"]}, "lists '[aA]' twice"),
    ({"classes": "a"}, "classes is not a list of names"),
    ({"classes": ["a", True]}, "classes is not a list of names"),
    ({"classes": ["a", "b"], "ordinal": "yes"}, "ordinal is 'yes'"),
    ({"classes": ["a", "b"], "min_count": -1}, "min_count is -1"),
    ({"classes": ["a", "b"], "merge": ["a"]}, "merge is not a table"),
    ({"classes": ["a", "b"], "partial": {"c": ["d"]}}, "no label 'd'"),
    ({"classes": ["a", "b"], "synonyms": {"a": ["b"]}}, "'b' is already a label"),
    ({"classes": ["a", "b"], "unknown": ["b"]}, "'b' is a label and unknown"),
    ({"hierarchy": "corebt", "level": "level1", "classes": ["x"]}, "lists the class 'x', which there is not"),
    ({"hierarchy": "who-grade", "classes": ["1", "2"]}, "leaves out '3', '4'"),
    ({"hierarchy": "who-grade", "merge": {"x": ["1", "2"], "y": ["2"]}}, "merges '2' into both 'x' and 'y'"),
    ({"hierarchy": "who-grade", "drop": ["low-grade", "3"]}, "leaves 1 class"),
    ({"hierarchy": "who-grade", "drop": ["5"]}, "no label '5'"),
]  # fmt: skip


@pytest.mark.parametrize(("facts", "message"), BAD)
def test_a_malformed_task_is_told(facts: Mapping[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(**facts)
