"""From the labels of a hierarchy to the classes of a task: level, merge, drop, min_count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from cryostat.cases.labels.hierarchy import Hierarchy
from cryostat.cases.labels.names import fold, suggestion
from cryostat.core.errors import InputError

Labels = list[str | None]
"""Name of the class of each leaf; None where it is dropped."""


@dataclass(frozen=True)
class Rules:
    """How labels become classes, applied in this order.

    Attributes:
        level: Level whose labels are the classes; None: the finest.
        merge: New class to the labels (of any level) that become it.
        drop: Labels, or classes by now, that are of no class.
        min_count: Classes with fewer patients are dropped; 0: none is.
        rare: Class into which those with too few are merged instead of dropped; "": none.
        order: All the classes in the order wanted; empty: as in the hierarchy.
        partial: Further values that leave several labels open, to those labels.
        synonyms: Labels to further ways to write them.
    """

    level: str | None = None
    merge: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    drop: tuple[str, ...] = ()
    min_count: int = 0
    rare: str = ""
    order: tuple[str, ...] = ()
    partial: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    synonyms: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)


def classify(
    hierarchy: Hierarchy, rules: Rules, counts: Sequence[int], where: str
) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Classes of a task, and the class of each leaf (−1: dropped).

    Args:
        hierarchy: The labels.
        rules: How they become classes.
        counts: Patients of each leaf; looked at only with `min_count`.
        where: For messages.

    Raises:
        InputError: A rule names a label that does not exist, two merge the same one, or fewer than two classes remain.
    """
    labels = _at_level(hierarchy, rules.level)
    labels = _merged(hierarchy, labels, rules.merge, where)
    labels = _dropped(hierarchy, labels, rules.drop)
    labels = _frequent(labels, counts, rules)
    classes = _ordered(labels, rules, where)
    if len(classes) < 2:
        raise InputError(
            f"leaves {len(classes)} class{'' if len(classes) == 1 else 'es'}",
            where=where,
            remedy="Loosen drop, merge or min_count until two classes remain",
        )
    place = {name: i for i, name in enumerate(classes)}
    return classes, tuple(-1 if label is None else place[label] for label in labels)


def _at_level(hierarchy: Hierarchy, level: str | None) -> Labels:
    """The label of each leaf at a level, or the leaf itself where it ends above."""
    depth = hierarchy.level(level)
    chains = [hierarchy.chain(leaf) for leaf in hierarchy.leaves]
    return [next((node.name for node in chain if node.level >= depth), chain[-1].name) for chain in chains]


def _leaves(hierarchy: Hierarchy, labels: Labels, name: str) -> list[int]:
    """Leaves of a class that has this name by now, or of a label of the hierarchy."""
    named = [i for i, label in enumerate(labels) if label is not None and fold(label) == fold(name)]
    return named or list(hierarchy.below(name))


def _merged(hierarchy: Hierarchy, labels: Labels, merge: Mapping[str, tuple[str, ...]], where: str) -> Labels:
    after, taken = list(labels), dict[int, str]()
    for group, names in merge.items():
        for leaf in (leaf for name in names for leaf in _leaves(hierarchy, labels, name)):
            if taken.setdefault(leaf, group) != group:
                raise InputError(
                    f"merges {hierarchy.leaves[leaf].name!r} into both {taken[leaf]!r} and {group!r}",
                    where=where,
                    remedy="Merge each label into one class",
                )
            after[leaf] = group
    return after


def _dropped(hierarchy: Hierarchy, labels: Labels, drop: Sequence[str]) -> Labels:
    gone = {leaf for name in drop for leaf in _leaves(hierarchy, labels, name)}
    return [None if i in gone else label for i, label in enumerate(labels)]


def _frequent(labels: Labels, counts: Sequence[int], rules: Rules) -> Labels:
    if rules.min_count <= 0:
        return labels
    total: dict[str | None, int] = {}
    for label, count in zip(labels, counts, strict=True):
        total[label] = total.get(label, 0) + count
    few = rules.rare or None
    return [few if label is not None and total[label] < rules.min_count else label for label in labels]


def _ordered(labels: Labels, rules: Rules, where: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(label for label in labels if label is not None))
    if rules.rare in found:
        found = (*(name for name in found if name != rules.rare), rules.rare)
    if not rules.order:
        return found
    by_fold = {fold(name): name for name in found}
    for name in rules.order:
        if fold(name) not in by_fold:
            known = suggestion(name, found) if found else "no class is left"
            raise InputError(
                f"lists the class {name!r}, which there is not", where=where, remedy=f"Correct it: {known}"
            )
    if missing := [name for name in found if fold(name) not in {fold(o) for o in rules.order}]:
        raise InputError(
            f"classes leaves out {', '.join(map(repr, missing))}", where=where, remedy="List each class, or drop it"
        )
    return tuple(by_fold[fold(name)] for name in rules.order)
