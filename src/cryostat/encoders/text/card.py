"""The card of a text encoder, and its file on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from cryostat.encoders.card import Card
from cryostat.encoders.reading import CardFolder

POOLING = ("mean", "cls")
"""From tokens to an embedding: their mean, special ones included, or the first."""


@dataclass(frozen=True)
class TextCard(Card):
    """Facts about a text encoder.

    Attributes:
        width: Channels of an embedding; 0 where training texts decide.
        max_tokens: Tokens that it reads at once, special ones included; 0 for all.
        pooling: How tokens become an embedding: one of `POOLING`; empty for none.
    """

    width: int = 0
    max_tokens: int = 0
    pooling: str = ""

    def fault(self) -> str:
        """What makes the card impossible, a clause; empty when nothing does."""
        if min(self.width, self.max_tokens) < 0:
            return "width or max_tokens is negative"
        if self.pooling not in ("", *POOLING):
            return f"pooling {self.pooling!r} is not one of {', '.join(POOLING)}"
        return super().fault()


CARDS = CardFolder(TextCard, Path(__file__).parent / "cards", {"tfidf": "", "transformer": "model_type"})

_READ = {name: CARDS.read(path) for name, path in CARDS.shipped.items()}

TEXT_CARDS: Mapping[str, TextCard] = MappingProxyType({name: card for name, (card, _, _) in _READ.items()})
"""Name to card of the text encoders that are known by name."""

SETTINGS: Mapping[str, Mapping[str, Any]] = MappingProxyType(
    {name: settings for name, (_, _, settings) in _READ.items()}
)
"""Name to how to build it: arguments of `TfIdf`, or `model_type` and `config` of a language model of transformers."""
