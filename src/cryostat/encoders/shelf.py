"""All encoders that come with Cryostat, of every kind, side by side; read without any framework."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from cryostat.core.errors import SettingError
from cryostat.core.files import read_json, read_toml
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.overlap import Overlap, overlap
from cryostat.encoders.reading import normalised
from cryostat.encoders.registry import card, names
from cryostat.encoders.slide import catalogue as slides
from cryostat.encoders.slide.card import SlideCard
from cryostat.encoders.slide.registry import slide_card, slide_names
from cryostat.encoders.text.card import TEXT_CARDS, TextCard
from cryostat.encoders.volume import card as volumes
from cryostat.encoders.volume.card import VolumeCard
from cryostat.encoders.volume.registry import volume_card, volume_encoder_names

KnownCard = EncoderCard | SlideCard | VolumeCard | TextCard

Kind = Literal["tile", "slide", "volume", "text"]

KINDS: tuple[Kind, ...] = ("tile", "slide", "volume", "text")


@dataclass(frozen=True)
class Entry:
    """One encoder.

    Attributes:
        kind: What it encodes.
        card: Its card.
    """

    kind: Kind
    card: KnownCard

    @property
    def name(self) -> str:
        """Registry name."""
        return self.card.name

    @property
    def access(self) -> str:
        """Who gets its weights: `open`, `gated`, `local`, or `needs none`."""
        return self.card.access if self.card.hub_id or self.card.access == "local" else "needs none"

    @property
    def reads(self) -> str:
        """Its input: px of an image and of a token; the tile encoder it belongs to; mm of a token; tokens of a text."""
        match self.card:
            case EncoderCard():
                return f"{self.card.input_size}/{self.card.patch_size}"
            case SlideCard():
                return self.card.tile_encoder or "any"
            case VolumeCard():
                return " × ".join(f"{mm:g}" for mm in self.card.token_mm) or "whole volumes"
            case TextCard():
                return f"{self.card.max_tokens} tokens" if self.card.max_tokens else "whole texts"

    @property
    def mpp(self) -> float | None:
        """µm per pixel that it was made for; None where that does not matter, or is mixed or unknown."""
        return self.card.mpp if isinstance(self.card, EncoderCard | SlideCard) else None

    @property
    def width(self) -> int | None:
        """Channels of its output; None where its input decides."""
        return self.card.width_out if isinstance(self.card, SlideCard) else self.card.width or None

    def overlap(self, dataset: str) -> Overlap:
        """Whether it may have seen a dataset while it was trained."""
        return overlap(self.card, dataset)


def all_encoders(kind: str | None = None) -> list[Entry]:
    """All encoders, or those of one kind: those without weights first, then by name.

    Raises:
        SettingError: There is no such kind.
    """
    if kind is not None and kind not in KINDS:
        raise SettingError(f"there are no {kind!r} encoders", remedy=f"Choose one of: {', '.join(KINDS)}")
    entries = [
        *(Entry("tile", card(name)) for name in names()),
        *(Entry("slide", slide_card(name)) for name in slide_names()),
        *(Entry("volume", volume_card(name)) for name in volume_encoder_names()),
        *(Entry("text", facts) for facts in TEXT_CARDS.values()),
    ]
    chosen = [entry for entry in entries if kind in (None, entry.kind)]
    return sorted(chosen, key=lambda entry: (KINDS.index(entry.kind), entry.access != "needs none", entry.name))


def find_encoder(name: str) -> Entry:
    """One encoder by name: of any kind that comes with Cryostat, a card file, else any that `registry.card` knows.

    Raises:
        InputError: A card file is missing or not TOML.
        SettingError: There is no such encoder.
    """
    known = {entry.name: entry for entry in all_encoders()}
    if found := known.get(normalised(name)):
        return found
    match kind_of(name):
        case "slide":
            return Entry("slide", slide_card(name))
        case "volume":
            return Entry("volume", volume_card(name))
        case _:
            return Entry("tile", card(name))


def kind_of(name: str) -> Kind:
    """The kind of an encoder: that of a known name, or what a card file or a model's folder tells; else tile.

    Args:
        name: As for `registry.card`; also a folder of a language model, or `owner/model` of one on the hub.

    Raises:
        InputError: A card file is missing or not TOML, or a folder's configuration is damaged.
    """
    for entry in all_encoders():
        if entry.name == normalised(name):
            return entry.kind
    path = Path(name).expanduser()
    if name.endswith(".toml"):
        sections = set(read_toml(path))
        return next((kind for kind, ways in SECTIONS.items() if sections & set(ways)), "tile")
    if (path / "config.json").is_file():
        content = read_json(path / "config.json")
        return "text" if isinstance(content, dict) and "vocab_size" in content else "tile"
    return "text" if HUB_NAME.match(name) and not path.exists() else "tile"


SECTIONS: Mapping[Kind, Collection[str]] = {"slide": slides.CARDS.ways, "volume": volumes.CARDS.ways}
"""Kinds to the sections that only their card files have; those of tile encoders have others."""

HUB_NAME = re.compile(r"^[\w.-]+/[\w.-]+(?<!\.py)$")
"""`owner/model`."""
