from __future__ import annotations

from pathlib import Path

import pytest

from cryostat.cases.labels import hierarchy_names, load_hierarchy
from cryostat.core.errors import InputError

TREE = """
name = "small"
levels = ["family", "type"]
unknown = ["NOS"]
[family]
glioma = {}
meningioma = { count = 7 }
[type]
astrocytoma = { parent = "glioma", count = 12, synonyms = ["astro"] }
oligodendroglioma = { parent = "glioma", count = 5 }
[partial]
"mixed glioma" = ["astrocytoma", "oligodendroglioma"]
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    (tmp_path / "small.toml").write_text(TREE)
    return tmp_path


def test_leaves_are_the_labels_with_none_below(tree: Path) -> None:
    small = load_hierarchy("small.toml", tree)
    assert [leaf.name for leaf in small.leaves] == ["astrocytoma", "oligodendroglioma", "meningioma"]
    assert small.below("glioma") == (0, 1)
    assert small.below("ASTRO") == (0,)
    assert small.values() == {
        "glioma": (0, 1), "meningioma": (2,), "astrocytoma": (0,), "astro": (0,), "oligodendroglioma": (1,),
        "mixed glioma": (0, 1),
    }  # fmt: skip


def test_core_bt_has_the_papers_numbers() -> None:
    corebt = load_hierarchy("corebt")
    by_class = {
        node.name: sum(corebt.leaves[i].count or 0 for i in corebt.below(node.name))
        for node in corebt.nodes
        if node.level == 0
    }
    assert list(by_class.values()) == [176, 71, 31, 13, 9, 6, 1, 3]
    assert sum(by_class.values()) == 310
    assert [leaf.count for leaf in corebt.leaves] == [
        153, 17, 1, 1, 4, 71, 30, 1, 8, 3, 2, 8, 1, 3, 2, 1, 1, 1, 1, 1,
    ]  # fmt: skip


def test_all_that_ship_load() -> None:
    assert [load_hierarchy(name).name for name in hierarchy_names()] == list(hierarchy_names())


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ('parent = "glioma", count = 5', 'parent = "gliona"', "no label of a coarser level.*'glioma'"),
        ('parent = "glioma", count = 5', 'parent = "astrocytoma"', "no label of a coarser level"),
        ('["astro"]', '["Glioma"]', "'Glioma' names the label 'glioma' and the label 'astrocytoma'"),
        ("count = 12", "count = -1", "'astrocytoma' has the count -1"),
        ("count = 12", "number = 12", "the label 'astrocytoma' is not understood"),
        ('["astrocytoma", "oligodendroglioma"]', '["astrocitoma"]', "no label 'astrocitoma'.*nearest.*'astrocytoma'"),
        ('"mixed glioma" =', '"glioma" =', "'glioma' names the label 'glioma' and a partial label"),
        ('levels = ["family", "type"]', "levels = []", "names no level"),
        ('levels = ["family", "type"]', 'levels = ["family", "type", "grade"]', r"no table \[grade\]"),
        ('levels = ["family", "type"]', 'levels = ["family"]', "entry 'type', which is no level"),
        ('["NOS"]', '"NOS"', "unknown is not a list of names"),
        ("[partial]", "partial = 3\n[parts]", "Correct that line|no level"),
        ("levels", "levels = [", "not valid TOML"),
    ],
)
def test_a_malformed_file_is_told(tmp_path: Path, before: str, after: str, message: str) -> None:
    assert before in TREE
    (tmp_path / "small.toml").write_text(TREE.replace(before, after, 1))
    with pytest.raises(InputError, match=message):
        load_hierarchy("small.toml", tmp_path)


def test_an_unknown_hierarchy_is_told() -> None:
    with pytest.raises(InputError, match=r"no hierarchy 'corbt'.*'corebt'"):
        load_hierarchy("corbt")
    with pytest.raises(InputError, match="does not exist"):
        load_hierarchy("nowhere.toml", Path("/nowhere"))


def test_an_unknown_level_is_told() -> None:
    with pytest.raises(InputError, match=r"no level 'level2'.*level1, subtype"):
        load_hierarchy("corebt").level("level2")
