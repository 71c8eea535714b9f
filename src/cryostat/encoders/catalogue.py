"""Tile encoders' cards on disk, and how to build what they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryostat.encoders.card import EncoderCard
from cryostat.encoders.reading import CardFolder, normalised

__all__ = ["CARDS", "WAYS", "Recipe", "card_of", "normalised", "read_recipe", "shipped"]

WAYS = {"builtin": "factory", "timm": "model", "hf": "model_type", "conch": "trunk", "musk": "scales"}
"""Sections of a card file that say how to build the encoder, and the key that each must have.

A further way is a line here and one in `registry.LOADERS`.
"""

CARDS = CardFolder(EncoderCard, Path(__file__).parent / "cards", WAYS)


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


def shipped() -> Mapping[str, Path]:
    """Name to file of the cards that come with Cryostat."""
    return CARDS.shipped


def read_recipe(path: Path) -> Recipe:
    """Read one card file.

    Raises:
        InputError: The file is missing or not TOML.
        SettingError: A field is unknown, missing or of the wrong type, or the file does not say how to build it.
    """
    return Recipe(*CARDS.read(path))


card_of = CARDS.card_of
"""A card made of its fields, each of them checked."""
