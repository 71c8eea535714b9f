"""The heads by name: what each one is, which layers it wants, and what can be set.

Nothing here needs torch, so that the command line can list heads at once.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryostat.cells.heads.settings import (
    CellProbeSettings,
    HoverNeXtSettings,
    LeanDPTSettings,
    LinearSettings,
    ProbeTileSettings,
    TileSettings,
    parse_settings,
)
from cryostat.core.errors import SettingError
from cryostat.encoders.card import EncoderCard

BLOCKS = 4
"""Maps that a decoder reads."""


@dataclass(frozen=True)
class HeadCard:
    """What a head is.

    Attributes:
        name: Name on the command line and in tables.
        about: One line.
        kind: `dense` (logits in every pixel) or `pooled` (one feature vector a nucleus).
        reads: `final` (the last map), `blocks` (four maps, early to late) or `pixels` (no encoder at all).
        tiles: Dataclass of its settings where it is trained on tiles.
        vectors: Dataclass of its settings where it is fitted on stored feature vectors; None where it cannot be.
    """

    name: str
    about: str
    kind: str
    reads: str
    tiles: type[TileSettings]
    vectors: type[Any] | None = None

    def layers(self, card: EncoderCard, choice: str = "spread") -> tuple[str, ...]:
        """The layers of an encoder that the head reads, from early to late.

        Args:
            card: Of the encoder; one with fewer than four blocks offers its final map four times.
            choice: `spread` evenly over the blocks, or the `last` four.
        """
        if self.reads == "pixels":
            return ()
        if self.reads == "final":
            return ("final",)
        if card.depth < BLOCKS:
            return ("final",) * BLOCKS
        if choice == "last":
            return tuple(f"block-{card.depth - back}" for back in reversed(range(BLOCKS)))
        return tuple(f"block-{round(card.depth * (i + 1) / BLOCKS)}" for i in range(BLOCKS))


_CARDS = (
    HeadCard(
        "linear",
        "A 1×1 convolution on the token grid, enlarged to pixels",
        "dense",
        "final",
        TileSettings,
        LinearSettings,
    ),
    HeadCard(
        "cell-probe",
        "Features pooled over each nucleus and its surroundings",
        "pooled",
        "final",
        ProbeTileSettings,
        CellProbeSettings,
    ),
    HeadCard("unetr", "U-Net decoder on four blocks and the pixels", "dense", "blocks", TileSettings),
    HeadCard("dpt", "Dense prediction transformer's decoder at the encoder's width", "dense", "blocks", TileSettings),
    HeadCard("dpt-lean", "The same at a projected width", "dense", "blocks", LeanDPTSettings),
    HeadCard("hovernext", "ConvNeXtV2 U-Net trained end to end; no encoder", "dense", "pixels", HoverNeXtSettings),
)

HEADS: Mapping[str, HeadCard] = {card.name: card for card in _CARDS}


def head_card(name: str) -> HeadCard:
    """A head by name.

    Raises:
        SettingError: There is none of that name.
    """
    if name not in HEADS:
        raise SettingError(f"there is no head {name!r}", remedy=f"Choose one of: {', '.join(HEADS)}")
    return HEADS[name]


def head_settings(name: str, given: Mapping[str, Any] | None = None, *, on_tiles: bool = False) -> Any:
    """The settings of a head, with some given as numbers or text.

    Args:
        name: Of the head.
        given: Settings that differ from the defaults.
        on_tiles: The head is trained on tiles; a head that cannot be fitted on vectors always is.

    Raises:
        SettingError: A setting is unknown or of the wrong kind.
    """
    card = head_card(name)
    kind = card.tiles if on_tiles or card.vectors is None else card.vectors
    return parse_settings(kind, given or {}, name)
