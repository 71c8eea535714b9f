"""Card files of all kinds of encoders: one TOML file an encoder, read without loading any framework."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

from cryostat.core.errors import SettingError
from cryostat.core.files import read_toml
from cryostat.encoders.card import Card

AnyCard = TypeVar("AnyCard", bound=Card)

_TYPES: Mapping[str, tuple[type[Any], ...]] = {"str": (str,), "int": (int,), "float": (int, float)}


def normalised(name: str) -> str:
    """An encoder's name in lower case, with hyphens for spaces and underscores."""
    return re.sub(r"[\s_-]+", "-", name.strip().lower())


def nearest(name: str, names: Iterable[str]) -> str:
    """`Did you mean NAME? ` for the name most like an unknown one; empty where none is like it."""
    close = difflib.get_close_matches(normalised(name), list(names), 1)
    return f"Did you mean {close[0]}? " if close else ""


@dataclass(frozen=True)
class CardFolder(Generic[AnyCard]):
    """The cards of one kind of encoder.

    Attributes:
        kind: Dataclass of the card.
        folder: Where those lie that come with Cryostat.
        ways: Sections that say how to build an encoder, and the key of text that each must have; empty for none.
    """

    kind: type[AnyCard]
    folder: Path
    ways: Mapping[str, str]

    @cached_property
    def shipped(self) -> Mapping[str, Path]:
        """Name to file of the cards that come with Cryostat."""
        return {path.stem: path for path in sorted(self.folder.glob("*.toml"), key=lambda path: path.stem)}

    def read(self, path: Path) -> tuple[AnyCard, str, Mapping[str, Any]]:
        """Read one card file.

        Returns:
            The card, the section that says how to build it, and what that section holds.

        Raises:
            InputError: The file is missing or not TOML.
            SettingError: A section or field is unknown, missing, of the wrong type, or impossible.
        """
        content = read_toml(path)
        ways = [way for way in self.ways if isinstance(content.get(way), dict)]
        if unknown := sorted(set(content) - {"card", *self.ways}):
            raise self.wrong(path, f"has an unknown section [{unknown[0]}]")
        if not isinstance(content.get("card"), dict) or len(ways) != 1:
            listed = ", ".join(f"[{way}]" for way in self.ways)
            raise self.wrong(path, f"needs a section [card] and {'one of ' if len(self.ways) > 1 else ''}{listed}")
        way, key = ways[0], self.ways[ways[0]]
        if key and not isinstance(content[way].get(key), str):
            raise self.wrong(path, f"[{way}] does not name its {key}")
        return self.card_of(content["card"], path, "[card] "), way, content[way]

    def card_of(self, table: Mapping[str, Any], path: Path | str, section: str = "") -> AnyCard:
        """A card made of its fields, each of them checked.

        Args:
            table: Field to value; lists for tuples.
            path: Where they are from, for messages.
            section: The part of that file, for messages.

        Raises:
            SettingError: A field is unknown, missing, of the wrong type, or impossible.
        """
        card = self.kind(**self.checked(self.kind, table, path, section))
        if fault := card.fault():
            raise self.wrong(path, f"{section}{fault}")
        return card

    def checked(self, kind: type[Any], table: Mapping[str, Any], path: Path | str, section: str = "") -> dict[str, Any]:
        """A table as arguments of any dataclass, lists as tuples.

        Raises:
            SettingError: A field is unknown, missing or of the wrong type.
        """
        known = {f.name: f for f in fields(kind)}
        if unknown := sorted(set(table) - set(known)):
            raise self.wrong(path, f"{section}has an unknown field {unknown[0]!r}")
        if lacking := [name for name, f in known.items() if f.default is MISSING and name not in table]:
            raise self.wrong(path, f"{section}lacks {lacking[0]!r}")
        facts = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
        for name, value in facts.items():
            if not _fits(value, str(known[name].type)):
                raise self.wrong(path, f"{section}{name} = {value!r} is not {known[name].type}")
        return facts

    def wrong(self, path: Path | str, problem: str) -> SettingError:
        """The error for a card file that cannot be used."""
        package = Path(__file__).parents[1]
        examples = Path("cryostat") / self.folder.relative_to(package)
        return SettingError(problem, where=path, remedy=f"Compare it with a card of {examples.as_posix()}")


def _fits(value: Any, annotation: str) -> bool:
    """Whether a value is of the type named; numbers must be finite."""
    kind, _, rest = annotation.partition(" |")
    if value is None:
        return "None" in rest
    if kind.startswith("tuple["):
        inner = kind.removeprefix("tuple[").removesuffix("]").split(", ")
        if not isinstance(value, tuple) or (inner[-1] != "..." and len(value) != len(inner)):
            return False
        return all(_fits(item, inner[0]) for item in value)
    if isinstance(value, bool):
        return kind == "bool"
    return isinstance(value, _TYPES.get(kind, ())) and (isinstance(value, str) or math.isfinite(value))
