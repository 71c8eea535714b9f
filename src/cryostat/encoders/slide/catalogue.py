"""Slide encoders' cards on disk, and how to build what they describe."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryostat.encoders.reading import CardFolder
from cryostat.encoders.slide.card import SlideCard

WAYS = {"pooling": "rule", "longnet": ""}
"""Sections that say how to build an encoder: a rule of pooling by name, or the settings of a LongNet."""

CARDS = CardFolder(SlideCard, Path(__file__).parent / "cards", WAYS)


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


def shipped() -> Mapping[str, Path]:
    """Name to file of the cards that come with Cryostat."""
    return CARDS.shipped


def read_recipe(path: Path) -> SlideRecipe:
    """Read one card file.

    Raises:
        InputError: The file is missing or not TOML.
        SettingError: A section or field is unknown, missing or of the wrong type.
    """
    found = SlideRecipe(*CARDS.read(path))
    if found.way == "pooling" and (unknown := sorted(set(found.settings) - {"rule"})):
        raise CARDS.wrong(path, f"[pooling] has an unknown field {unknown[0]!r}")
    return found
