"""Label hierarchies: levels from coarse to fine, as an editable TOML file."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

from cryostat.cases.labels.names import fold, suggestion
from cryostat.core.errors import InputError
from cryostat.core.files import read_toml

KEYS = ("name", "about", "source", "levels", "partial", "unknown")
"""Keys of a hierarchy beside its levels."""

SHIPPED = ("corebt", "who-grade")
"""Hierarchies that ship, each a file of that name beside this module."""


@dataclass(frozen=True)
class Node:
    """A label of any level.

    Attributes:
        name: What it is called; unique in its hierarchy.
        level: Index of its level, 0 the coarsest.
        parent: Name of the coarser label it belongs to, None at the top.
        count: Patients that have exactly this label, where the source tells.
        synonyms: Other ways to write it.
    """

    name: str
    level: int
    parent: str | None = None
    count: int | None = None
    synonyms: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hierarchy:
    """A tree of labels.

    Attributes:
        name: What it is called.
        levels: Names of the levels, coarse to fine.
        nodes: All labels.
        where: File it came from, for messages.
        about: A sentence on it.
        source: Where it comes from.
        partial: Values that stand for several labels, to the names of those.
        unknown: Values that say nothing.
    """

    name: str
    levels: tuple[str, ...]
    nodes: tuple[Node, ...]
    where: str = ""
    about: str = ""
    source: str = ""
    partial: Mapping[str, tuple[str, ...]] = field(default_factory=dict, hash=False)
    unknown: tuple[str, ...] = ()

    @cached_property
    def leaves(self) -> tuple[Node, ...]:
        """Labels with none below them, in the order of the tree."""
        return tuple(self.nodes[i] for root in self._children.get(None, ()) for i in self._ends(root))

    @cached_property
    def _children(self) -> dict[str | None, list[int]]:
        below: dict[str | None, list[int]] = {}
        for i, node in enumerate(self.nodes):
            below.setdefault(node.parent, []).append(i)
        return below

    def _ends(self, number: int) -> list[int]:
        below = self._children.get(self.nodes[number].name)
        return [end for child in below for end in self._ends(child)] if below else [number]

    @cached_property
    def _known(self) -> dict[str, Node]:
        return {fold(text): node for node in self.nodes for text in (node.name, *node.synonyms)}

    def known_names(self) -> tuple[str, ...]:
        """Every way to write a label, synonyms and partial labels too."""
        return (*(text for node in self.nodes for text in (node.name, *node.synonyms)), *self.partial)

    def find(self, name: str) -> Node:
        """A label by its name or a synonym, whatever its case.

        Raises:
            InputError: There is none; the message has the nearest names.
        """
        node = self._known.get(fold(name))
        if node is None:
            known = suggestion(name, self.known_names())
            raise InputError(f"has no label {name!r}", where=self._place, remedy=f"Correct the name: {known}")
        return node

    @property
    def _place(self) -> str:
        return self.where or f"hierarchy {self.name}"

    def level(self, name: str | None) -> int:
        """Index of a level by its name; None is the finest."""
        if name is None:
            return len(self.levels) - 1
        if name not in self.levels:
            raise InputError(
                f"has no level {name!r}", where=self._place, remedy=f"Choose one of: {', '.join(self.levels)}"
            )
        return self.levels.index(name)

    def below(self, name: str) -> tuple[int, ...]:
        """Indices into `leaves` of a label and all below it."""
        ends = {self.nodes[i].name for i in self._ends(self.nodes.index(self.find(name)))}
        return tuple(i for i, leaf in enumerate(self.leaves) if leaf.name in ends)

    def chain(self, leaf: Node) -> tuple[Node, ...]:
        """A label and those it belongs to, coarse to fine."""
        above = () if leaf.parent is None else self.chain(self.find(leaf.parent))
        return (*above, leaf)

    def values(self) -> dict[str, tuple[int, ...]]:
        """Each value that may stand in a table, folded, to the leaves it may mean."""
        meant = {text: self.below(node.name) for text, node in self._known.items()}
        for value, names in self.partial.items():
            meant[fold(value)] = tuple(sorted({leaf for name in names for leaf in self.below(name)}))
        return meant


def flat_hierarchy(
    name: str,
    labels: Sequence[str],
    where: str,
    counts: Mapping[str, int] | None = None,
) -> Hierarchy:
    """A hierarchy of one level."""
    counted = counts or {}
    nodes = tuple(Node(label, 0, count=counted.get(label)) for label in labels)
    return checked(Hierarchy(name, ("label",), nodes, where))


def hierarchy_names() -> tuple[str, ...]:
    """Hierarchies that ship."""
    return SHIPPED


def load_hierarchy(name: str, root: Path | None = None) -> Hierarchy:
    """A hierarchy that ships, by name, or one from a TOML file under `root`.

    Raises:
        InputError: There is none of that name, or the file is not a hierarchy.
    """
    if name in SHIPPED:
        return _shipped(name)
    path = Path(name) if root is None else root / name
    if path.suffix.lower() != ".toml":
        known = suggestion(name, SHIPPED)
        raise InputError(f"there is no hierarchy {name!r}", remedy=f"Name a .toml file, or one that ships: {known}")
    return parse_hierarchy(read_toml(path), str(path))


@cache
def _shipped(name: str) -> Hierarchy:
    text = files(__package__).joinpath(f"{name}.toml").read_text(encoding="utf-8")
    return parse_hierarchy(tomllib.loads(text), f"hierarchy {name}")


def parse_hierarchy(facts: Mapping[str, Any], where: str) -> Hierarchy:
    """A hierarchy from the content of its file.

    Raises:
        InputError: A level is missing, a label is defined twice, or has a parent that is not of a coarser level.
    """
    levels = _texts(facts.get("levels"), "levels", where)
    if not levels:
        raise InputError("names no level", where=where, remedy='Write levels = ["coarse", "fine"] and a table for each')
    for key in facts:
        if key not in (*KEYS, *levels):
            raise InputError(
                f"has the entry {key!r}, which is no level",
                where=where,
                remedy=f"Add it to levels, or use one of {KEYS}",
            )
    nodes = tuple(node for depth, level in enumerate(levels) for node in _level(facts.get(level), depth, level, where))
    partial = facts.get("partial", {})
    if not isinstance(partial, Mapping):
        raise InputError(
            "partial is not a table", where=where, remedy='Write [partial] and "value" = ["label", "label"]'
        )
    return checked(
        Hierarchy(
            name=str(facts.get("name", Path(where).stem)),
            levels=levels,
            nodes=nodes,
            where=where,
            about=str(facts.get("about", "")),
            source=str(facts.get("source", "")),
            partial={value: _texts(names, f"partial {value!r}", where) for value, names in partial.items()},
            unknown=_texts(facts.get("unknown", []), "unknown", where),
        )
    )


def _level(table: Any, depth: int, level: str, where: str) -> list[Node]:
    if not isinstance(table, Mapping) or not table:
        raise InputError(f"has no table [{level}]", where=where, remedy=f"Add [{level}] with a line a label")
    return [_node(str(name), facts, depth, where) for name, facts in table.items()]


def _node(name: str, facts: Any, depth: int, where: str) -> Node:
    shape = f'Write {name!r} = {{ parent = "…", count = 1, synonyms = ["…"] }}, each of the three optional'
    if not isinstance(facts, Mapping) or set(facts) - {"parent", "count", "synonyms"}:
        raise InputError(f"the label {name!r} is not understood", where=where, remedy=shape)
    count, parent = facts.get("count"), facts.get("parent")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 0):
        raise InputError(f"the label {name!r} has the count {count!r}", where=where, remedy=shape)
    if parent is not None and not isinstance(parent, str):
        raise InputError(f"the label {name!r} has the parent {parent!r}", where=where, remedy=shape)
    return Node(name, depth, parent, count, _texts(facts.get("synonyms", []), f"synonyms of {name!r}", where))


def _texts(value: Any, what: str, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise InputError(f"{what} is not a list of names", where=where, remedy=f'Write {what} = ["…", "…"]')
    return tuple(value)


def checked(hierarchy: Hierarchy) -> Hierarchy:
    """The hierarchy, if every name is used once and every parent is a coarser label."""
    place = hierarchy.where or hierarchy.name
    _check_names(hierarchy, place)
    _check_parents(hierarchy, place)
    for names in hierarchy.partial.values():
        for name in names:
            hierarchy.find(name)
    return hierarchy


def _check_names(hierarchy: Hierarchy, place: str) -> None:
    seen: dict[str, str] = {}
    named = [(text, f"the label {node.name!r}") for node in hierarchy.nodes for text in {node.name, *node.synonyms}]
    named += [(value, "a partial label") for value in hierarchy.partial]
    for text, owner in named:
        if not fold(text):
            raise InputError("has a label without a name", where=place, remedy="Name each label")
        if fold(text) in seen:
            raise InputError(
                f"{text!r} names {seen[fold(text)]} and {owner}",
                where=place,
                remedy="Give each label names of its own; case and blanks do not count",
            )
        seen[fold(text)] = owner


def _check_parents(hierarchy: Hierarchy, place: str) -> None:
    level_of = {node.name: node.level for node in hierarchy.nodes}
    for node in hierarchy.nodes:
        coarser = [name for name, level in level_of.items() if level < node.level]
        if node.parent is not None and node.parent not in coarser:
            raise InputError(
                f"the parent {node.parent!r} of {node.name!r} is no label of a coarser level",
                where=place,
                remedy=f"Correct it: {suggestion(node.parent, coarser)}" if coarser else "Leave the parent out",
            )
