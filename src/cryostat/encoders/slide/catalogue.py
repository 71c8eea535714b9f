"""Slide encoders' cards on disk: one TOML file an encoder, read without loading any framework."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryostat.core.errors import SettingError
from cryostat.core.files import read_toml
from cryostat.encoders.slide.card import SlideCard

FOLDER = Path(__file__).parent / "cards"
"""The cards that come with Cryostat."""

WAYS = ("pooling", "longnet")
"""Sections that say how to build an encoder: a rule of pooling by name, or the settings of a LongNet."""

_TYPES: Mapping[str, tuple[type[Any], ...]] = {"str": (str,), "int": (int,), "float": (int, float), "bool": (bool,)}


@dataclass(frozen=True)
class SlideRecipe:
    """How to build a slide encoder.

    Attributes:
        card: Its facts.
        way: One of `WAYS`.
        settings: That section of the file.
    """

    card: SlideCard
    way: str
    settings: Mapping[str, Any]


@lru_cache(maxsize=1)
def shipped() -> Mapping[str, Path]:
    """Name to file of the cards that come with Cryostat."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"), key=lambda path: path.stem)}


def read_recipe(path: Path) -> SlideRecipe:
    """Read one card file.

    Raises:
        InputError: The file is missing or not TOML.
        SettingError: A section or field is unknown, missing or of the wrong type.
    """
    content = read_toml(path)
    ways = [way for way in WAYS if isinstance(content.get(way), dict)]
    if unknown := sorted(set(content) - {"card", *WAYS}):
        raise wrong_card(path, f"has an unknown section [{unknown[0]}]")
    if not isinstance(content.get("card"), dict) or len(ways) != 1:
        raise wrong_card(path, f"needs a section [card] and one of {', '.join(f'[{way}]' for way in WAYS)}")
    facts = checked_fields(SlideCard, content["card"], path, "card")
    return SlideRecipe(SlideCard(**facts), ways[0], content[ways[0]])


def checked_fields(kind: type[Any], table: Mapping[str, Any], path: Path | str, section: str) -> dict[str, Any]:
    """A section as arguments of a dataclass, lists as tuples.

    Raises:
        SettingError: A field is unknown, missing or of the wrong type.
    """
    known = {f.name: f for f in fields(kind)}
    if unknown := sorted(set(table) - set(known)):
        raise wrong_card(path, f"[{section}] has an unknown field {unknown[0]!r}")
    if lacking := [name for name, f in known.items() if f.default is MISSING and name not in table]:
        raise wrong_card(path, f"[{section}] lacks {lacking[0]!r}")
    facts = {name: tuple(value) if isinstance(value, list) else value for name, value in table.items()}
    for name, value in facts.items():
        if not _fits(value, str(known[name].type)):
            raise wrong_card(path, f"[{section}] {name} = {value!r} is not {known[name].type}")
    return facts


def _fits(value: Any, annotation: str) -> bool:
    """Whether a value is of the type named; numbers must be positive."""
    kind = annotation.split(" |")[0]
    if kind.startswith("tuple["):
        inner = kind.removeprefix("tuple[").split(",")[0]
        return isinstance(value, tuple) and all(_fits(item, inner) for item in value)
    if isinstance(value, bool):
        return kind == "bool"
    return isinstance(value, _TYPES[kind]) and (kind == "str" or bool(value > 0))


def wrong_card(path: Path | str, problem: str) -> SettingError:
    """The error for a card file that cannot be used."""
    return SettingError(problem, where=path, remedy="Compare it with a card of cryostat/encoders/slide/cards")
