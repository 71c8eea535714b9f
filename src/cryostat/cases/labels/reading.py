"""Tasks from the facts of a manifest, and presets."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from importlib.resources import files
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cryostat.cases.labels.hierarchy import Hierarchy, flat_hierarchy, load_hierarchy
from cryostat.cases.labels.names import fold, in_order, suggestion
from cryostat.cases.labels.rules import Rules, classify
from cryostat.cases.labels.task import Draft, Task, label_column
from cryostat.core.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

KEYS = {
    "column": "column of the table that holds the label (default: the task's name)",
    "about": "a sentence on the task",
    "preset": "a reading that ships; other entries are laid over it",
    "hierarchy": "a label hierarchy: one that ships, or a TOML file",
    "level": "level of the hierarchy whose labels are the classes (default: the finest)",
    "classes": "the classes in order (default without a hierarchy: the values found, sorted)",
    "ordinal": "the classes are ordered from low to high",
    "merge": "new class to the labels that become it",
    "drop": "labels that are of no class",
    "min_count": "classes with fewer patients are dropped",
    "rare": "class into which those with too few patients are merged instead",
    "partial": "values that leave several labels open, to those labels",
    "synonyms": "labels to other ways to write them",
    "unknown": "values that say nothing",
}
"""What a task of a manifest may say."""

Facts = Mapping[str, Any]


def preset_names() -> tuple[str, ...]:
    """Readings that ship."""
    return tuple(_presets())


def preset_about(name: str) -> str:
    """What a preset asks, in a sentence."""
    return str(_preset(name, "preset")["about"])


def read_task(name: str, facts: Facts, root: Path, where: str | PathLike[str]) -> Task:
    """A task from its table in a manifest.

    Args:
        name: What it is called.
        facts: Entries of `[tasks.NAME]`, those of `KEYS`.
        root: Folder under which a hierarchy file lies.
        where: The manifest, for messages.

    Returns:
        The task; its classes are empty until `resolve` where only the table tells them.

    Raises:
        InputError: An entry is unknown or malformed, or names a label, level, preset or file that does not exist.
    """
    place = f"{where} [tasks.{name}]"
    _check_keys(facts, place)
    preset = _text(facts, "preset", place)
    said = {**(_preset(preset, place) if preset else {}), **facts}
    rules = _rules(said, place)
    task = Task(
        name=name,
        column=_text(said, "column", place) or name,
        classes=(),
        ordinal=_flag(said, "ordinal", place),
        about=_text(said, "about", place),
        unknown=tuple(fold(value) for value in _names(said, "unknown", place)),
    )
    hierarchy = _hierarchy(name, said, rules, root, place)
    if hierarchy is None or (rules.min_count and any(leaf.count is None for leaf in hierarchy.leaves)):
        return replace(task, draft=Draft(hierarchy, rules))
    return _settled(task, hierarchy, rules, [leaf.count or 0 for leaf in hierarchy.leaves], place)


def resolve(task: Task, table: pd.DataFrame, where: str | PathLike[str]) -> Task:
    """The task with its classes settled by the table, where it left them open.

    Raises:
        InputError: The table lacks the column, or fewer than two classes remain.
    """
    if task.draft is None:
        return task
    place = f"{where} [tasks.{task.name}]"
    found = Counter(str(value).strip() for value in label_column(task, table, where) if fold(value))
    rules = task.draft.rules
    hierarchy = task.draft.hierarchy or flat_hierarchy(task.name, _labels_found(task, rules, found), place)
    values = _values(hierarchy, rules, place)
    counts = [0] * len(hierarchy.leaves)
    for text, number in found.items():
        meant = values.get(fold(text), ())
        if len(meant) == 1:
            counts[meant[0]] += number
    return _settled(replace(task, draft=None), hierarchy, rules, counts, place)


def _labels_found(task: Task, rules: Rules, found: Mapping[str, int]) -> tuple[str, ...]:
    """The values of a column that are labels; of forms that fold to the same the most frequent."""
    written = (*rules.partial, *(text for texts in rules.synonyms.values() for text in texts))
    passed = {fold(text) for text in written} | set(task.unknown)
    forms: dict[str, str] = {}
    for text in sorted(found, key=lambda text: (-found[text], text)):
        if fold(text) not in passed:
            forms.setdefault(fold(text), text)
    return in_order(forms.values())


def _settled(task: Task, hierarchy: Hierarchy, rules: Rules, counts: Sequence[int], place: str) -> Task:
    classes, leaf_class = classify(hierarchy, rules, counts, place)
    values = _values(hierarchy, rules, place)
    for number, name in enumerate(classes):
        values.setdefault(fold(name), tuple(i for i, of in enumerate(leaf_class) if of == number))
    if clash := next((text for text in task.unknown if text in values), None):
        raise InputError(f"{clash!r} is a label and unknown", where=place, remedy="Take it out of unknown")
    return replace(
        task,
        classes=classes,
        leaves=tuple(leaf.name for leaf in hierarchy.leaves),
        leaf_class=leaf_class,
        values=values,
        unknown=(*task.unknown, *(fold(text) for text in hierarchy.unknown if fold(text) not in values)),
    )


def _values(hierarchy: Hierarchy, rules: Rules, place: str) -> dict[str, tuple[int, ...]]:
    """What each value may mean, the task's own synonyms and partial labels with those of the hierarchy."""
    values = hierarchy.values()
    own = {text: (label,) for label, texts in rules.synonyms.items() for text in texts} | dict(rules.partial)
    for text, names in own.items():
        meant = tuple(sorted({leaf for name in names for leaf in hierarchy.below(name)}))
        if values.setdefault(fold(text), meant) != meant:
            raise InputError(
                f"{text!r} is already a label that means something else",
                where=place,
                remedy="Take it out of partial or synonyms",
            )
    return values


def _hierarchy(name: str, said: Facts, rules: Rules, root: Path, place: str) -> Hierarchy | None:
    """The labels of a task; None when they are the values found."""
    if named := _text(said, "hierarchy", place):
        return load_hierarchy(named, root)
    if rules.level is not None:
        raise InputError("names a level, but no hierarchy", where=place, remedy='Add hierarchy = "FILE.toml"')
    if not rules.order:
        return None
    merged = {fold(group): names for group, names in rules.merge.items()}
    labels = [label for name in rules.order for label in merged.get(fold(name), (name,))]
    return flat_hierarchy(name, (*labels, *rules.drop), place)


def _rules(said: Facts, place: str) -> Rules:
    least = said.get("min_count", 0)
    if isinstance(least, bool) or not isinstance(least, int) or least < 0:
        raise InputError(f"min_count is {least!r}", where=place, remedy="Write a number of patients")
    return Rules(
        level=_text(said, "level", place) or None,
        merge=_lists(said, "merge", place),
        drop=_names(said, "drop", place),
        min_count=least,
        rare=_text(said, "rare", place),
        order=_names(said, "classes", place),
        partial=_lists(said, "partial", place),
        synonyms=_lists(said, "synonyms", place),
    )


@cache
def _presets() -> dict[str, dict[str, Any]]:
    return tomllib.loads(files(__package__).joinpath("presets.toml").read_text(encoding="utf-8"))


def _preset(name: str, place: str) -> dict[str, Any]:
    if name not in _presets():
        known = suggestion(name, preset_names())
        raise InputError(f"there is no preset {name!r}", where=place, remedy=f"Correct it: {known}")
    return _presets()[name]


def _check_keys(facts: Any, place: str) -> None:
    if not isinstance(facts, Mapping):
        raise InputError("is not a table", where=place, remedy='Write [tasks.NAME] and column = "…" below it')
    for key in facts:
        if key not in KEYS:
            raise InputError(f"has the entry {key!r}", where=place, remedy=f"Correct it: {suggestion(key, KEYS)}")


def _text(facts: Facts, key: str, place: str) -> str:
    value = facts.get(key, "")
    if not isinstance(value, str):
        raise InputError(f"{key} is {value!r}", where=place, remedy=f"Write a text: {KEYS[key]}")
    return value


def _flag(facts: Facts, key: str, place: str) -> bool:
    value = facts.get(key, False)
    if not isinstance(value, bool):
        raise InputError(f"{key} is {value!r}", where=place, remedy="Write true or false")
    return value


def _names(facts: Facts, key: str, place: str) -> tuple[str, ...]:
    return _listed(facts.get(key, []), key, place)


def _lists(facts: Facts, key: str, place: str) -> dict[str, tuple[str, ...]]:
    table = facts.get(key, {})
    if not isinstance(table, Mapping):
        raise InputError(f"{key} is not a table", where=place, remedy=f'Write {key} = {{ "…" = ["…", "…"] }}')
    return {str(name): _listed(names, f"{key} {name!r}", place) for name, names in table.items()}


def _listed(value: Any, what: str, place: str) -> tuple[str, ...]:
    """Names as text (a grade may be written as a number), none empty, none twice."""
    whole = isinstance(value, list) and all(isinstance(v, str | int) and not isinstance(v, bool) for v in value)
    names = tuple(str(item).strip() for item in value) if whole else ()
    if not whole or not all(names):
        raise InputError(f"{what} is not a list of names", where=place, remedy=f'Write {what} = ["…", "…"]')
    if twice := next((name for name in names if [fold(n) for n in names].count(fold(name)) > 1), None):
        raise InputError(f"{what} lists {twice!r} twice", where=place, remedy="List each name once")
    return names
