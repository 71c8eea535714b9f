"""Encoder cards on disk: one TOML file an encoder, read without loading any framework."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from functools import lru_cache
from pathlib import Path
from typing import Any

from cryostat.core.errors import SettingError
from cryostat.core.files import read_toml
from cryostat.encoders.card import EncoderCard

FOLDER = Path(__file__).parent / "cards"
"""The cards that come with Cryostat."""

PRECISIONS = ("fp32", "bf16", "fp16")


ACCESS = ("open", "gated", "local")

WAYS = {"builtin": "factory", "timm": "model", "hf": "model_type", "conch": "trunk", "musk": "scales"}
"""Sections of a card file that say how to build the encoder, and the key that each must have.

A further way is a line here and one in `registry.LOADERS`.
"""


@dataclass(frozen=True)
class Recipe:
    """How to build an encoder: its card, and one of several ways.

    Attributes:
        card: Its facts.
        way: One of `WAYS`.
        settings: The section of that name. `builtin`: `factory` (`module:Class`, called with the card) and `seeded`
            (also with a seed). `timm`: `model`, `args` of timm's constructor. `hf`: `model_type` and `config` of
            transformers. `conch`: `trunk`, `ignored`, `positions`, `args` (see `tile/conch.py`). `musk`: `scales` (see
            `tile/musk.py`). `weights` = "random" where no trained ones exist.
    """

    card: EncoderCard
    way: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def builtin(self) -> Mapping[str, Any] | None:
        """Settings of a built-in encoder; None for others."""
        return self.settings if self.way == "builtin" else None

    @property
    def timm(self) -> Mapping[str, Any] | None:
        """Settings of a timm model; None for others."""
        return self.settings if self.way == "timm" else None

    @property
    def untrained(self) -> bool:
        """True where there are no trained weights to load."""
        return self.way == "builtin" or self.settings.get("weights") == "random"

    @property
    def brings_weights(self) -> bool:
        """True where weights need not be given: they are stated in the settings, or loaded by what builds it."""
        return bool(self.settings.get("weights") or self.settings.get("loads_weights"))


def normalised(name: str) -> str:
    """An encoder's name in lower case, with hyphens for spaces and underscores."""
    return re.sub(r"[\s_-]+", "-", name.strip().lower())


@lru_cache(maxsize=1)
def shipped() -> Mapping[str, Path]:
    """Name to file of the cards that come with Cryostat."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.toml"))}


def read_recipe(path: Path) -> Recipe:
    """Read one card file.

    Raises:
        InputError: The file is missing or not TOML.
        SettingError: A field is unknown, missing or of the wrong type, or the file does not say how to build it.
    """
    content = read_toml(path)
    ways = [way for way in WAYS if isinstance(content.get(way), dict)]
    if unknown := sorted(set(content) - {"card", *WAYS}):
        raise _wrong(path, f"has an unknown section [{unknown[0]}]")
    if not isinstance(content.get("card"), dict) or len(ways) != 1:
        raise _wrong(path, f"needs a section [card] and one of {', '.join(f'[{way}]' for way in WAYS)}")
    way = ways[0]
    if not isinstance(content[way].get(WAYS[way]), str):
        raise _wrong(path, f"[{way}] does not name its {WAYS[way]}")
    return Recipe(card_of(content["card"], path, "[card] "), way, content[way])


def card_of(table: Mapping[str, Any], path: Path, section: str = "") -> EncoderCard:
    """A card made of its fields, each of them checked.

    Args:
        table: Field to value; lists for tuples.
        path: Where they are from, for messages.
        section: The part of that file, for messages.

    Raises:
        SettingError: A field is unknown, missing, of the wrong type, or impossible.
    """
    known = {f.name: f for f in fields(EncoderCard)}
    if unknown := sorted(set(table) - set(known)):
        raise _wrong(path, f"{section}has an unknown field {unknown[0]!r}")
    if lacking := [name for name, f in known.items() if f.default is MISSING and name not in table]:
        raise _wrong(path, f"{section}lacks {lacking[0]!r}")
    facts: dict[str, Any] = {n: tuple(v) if isinstance(v, list) else v for n, v in table.items()}
    for name, value in facts.items():
        if not _fits(value, str(known[name].type)):
            raise _wrong(path, f"{section}{name} = {value!r} is not {known[name].type}")
    card = EncoderCard(**facts)
    if card.precision not in PRECISIONS:
        raise _wrong(path, f"{section}precision {card.precision!r} is not one of {', '.join(PRECISIONS)}")
    if card.access not in ACCESS:
        raise _wrong(path, f"{section}access {card.access!r} is not one of {', '.join(ACCESS)}")
    seen = card.input_size if card.enlarged_to is None else card.enlarged_to
    if min(card.input_size, seen, card.patch_size, card.width) < 1 or seen % card.patch_size:
        raise _wrong(path, f"{section}input_size is not a positive multiple of patch_size, or width is not positive")
    if card.enlarged_to is not None and card.flexible_size:
        raise _wrong(path, f"{section}has both enlarged_to and flexible_size: only images of one size are enlarged")
    return card


def _fits(value: Any, annotation: str) -> bool:
    kind = annotation.split(" |")[0]
    if kind.startswith("tuple[float"):
        return isinstance(value, tuple) and len(value) == 3 and all(_fits(v, "float") for v in value)
    if kind.startswith("tuple[str"):
        return isinstance(value, tuple) and all(isinstance(v, str) for v in value)
    if isinstance(value, bool):
        return kind == "bool"
    return isinstance(value, {"str": (str,), "int": (int,), "float": (int, float)}.get(kind, ()))


def _wrong(path: Path, problem: str) -> SettingError:
    return SettingError(problem, where=path, remedy="Compare it with a card of cryostat/encoders/cards")
