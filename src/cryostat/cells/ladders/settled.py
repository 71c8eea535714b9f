"""An encoder that adapts no more: perturbed pixels must meet the very encoder that the head was fitted on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor

from cryostat.encoders.tile.base import TileEncoder


class SettledEncoder(TileEncoder):
    """Another encoder as it is now; `prepare` is never asked of it.

    Args:
        encoder: Ready to encode.
    """

    def __init__(self, encoder: TileEncoder) -> None:
        self.encoder = encoder
        self.card, self.module = encoder.card, encoder.module
        self.device, self.precision = encoder.device, encoder.precision

    def identity(self) -> Mapping[str, Any]:
        """That of the encoder: its features are the same."""
        return self.encoder.identity()

    def weights_hash(self) -> str:
        """That of the encoder."""
        return self.encoder.weights_hash()

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        return self.encoder._maps(images, layers)
