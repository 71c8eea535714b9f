"""A head with what it needs around it: centred features and normalised pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cryostat.cells.training.common import Standardiser
from cryostat.encoders.card import EncoderCard

DECODED_PATCH = 16
"""Side in px of a token for which the published decoders were made."""


class DenseModel(nn.Module):
    """Token maps and pixels to logits in every pixel.

    Args:
        head: Takes (N, C, h, w) maps and the (N, 3, S, S) normalised image.
        layers: The maps it takes, in order; a layer may occur several times.
        card: Of the encoder, for the normalisation of the image; a head that takes no maps sees it as it is.
        standardisers: Of each layer.
        gathered: Neighbouring tokens along a side that are laid into one; see `tokens_gathered`.
    """

    def __init__(
        self,
        head: nn.Module,
        layers: Sequence[str],
        card: EncoderCard,
        standardisers: Mapping[str, Standardiser],
        gathered: int = 1,
    ) -> None:
        super().__init__()
        self.head, self.layers, self.gathered = head, tuple(layers), gathered
        self.standardise = nn.ModuleDict(
            {_key(layer): Centred(standardisers[layer]) for layer in dict.fromkeys(layers)}
        )
        mean, std = (card.mean, card.std) if self.layers else ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
        self.register_buffer("image_mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("image_std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    image_mean: Tensor
    image_std: Tensor

    def forward(self, maps: Mapping[str, Tensor], images: Tensor) -> Tensor:
        """Logits.

        Args:
            maps: Layer to (N, h, w, C) features.
            images: (N, 3, S, S) in 0 … 1.

        Returns:
            (N, K, S, S).
        """
        logits: Tensor = self.head(self.centred(maps), (images - self.image_mean) / self.image_std)
        return logits

    def centred(self, maps: Mapping[str, Tensor]) -> list[Tensor]:
        """The head's (N, C, h, w) maps."""
        ready = {layer: self._ready(layer, maps[layer]) for layer in set(self.layers)}
        return [ready[layer] for layer in self.layers]

    def _ready(self, layer: str, tokens: Tensor) -> Tensor:
        planes: Tensor = self.standardise[_key(layer)](tokens).permute(0, 3, 1, 2)
        return F.pixel_unshuffle(planes, self.gathered) if self.gathered > 1 else planes


def tokens_gathered(patch: float, tile_size: int) -> int:
    """How many tokens along a side a decoder reads as one.

    The published decoders enlarge sixteenfold: on tokens finer than that they would paint tiles of several times their
    size. Neighbouring tokens are laid into one instead, and nothing of them is lost.

    Args:
        patch: Side of a token in px.
        tile_size: Side of a tile in px.
    """
    side = round(tile_size / patch)
    return next(count for count in range(max(1, int(DECODED_PATCH // patch)), 0, -1) if side % count == 0)


class Centred(nn.Module):
    """Centres and scales (…, C) features, in single precision."""

    def __init__(self, standardiser: Standardiser) -> None:
        super().__init__()
        self.register_buffer("mean", torch.from_numpy(standardiser.mean))
        self.register_buffer("scale", torch.from_numpy(standardiser.scale))

    mean: Tensor
    scale: Tensor

    def forward(self, features: Tensor) -> Tensor:
        """(…, C) to (…, C)."""
        return (features.float() - self.mean) * self.scale


def _key(layer: str) -> str:
    return layer.replace(".", "_")
