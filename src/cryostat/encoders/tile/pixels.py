"""`none`: no encoder at all, for heads that bring their own network, and as the most trivial of floors."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from cryostat.core.identity import code_version
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.tile.base import TileEncoder


class MeanColours(TileEncoder):
    """The mean colour of each patch.

    Args:
        card: Its facts; `patch_size` sets the token.
    """

    def __init__(self, card: EncoderCard) -> None:
        self.card = card
        self.module = nn.AvgPool2d(card.patch_size).eval()

    def identity(self) -> Mapping[str, Any]:
        """Name, token size and code version: there are no weights."""
        return {
            "encoder": self.card.name,
            "patch_size": self.card.patch_size,
            "code": code_version(sys.modules[__name__], TileEncoder),
            "precision": "fp32",
        }

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        return {layer: self.module(images).permute(0, 2, 3, 1) for layer in layers}
