"""A head with what it needs around it: centred features and normalised pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from cryostat.cells.training.common import Standardiser
from cryostat.encoders.card import EncoderCard


class DenseModel(nn.Module):
    """Token maps and pixels to logits in every pixel.

    Args:
        head: Takes (N, C, h, w) maps and the (N, 3, S, S) normalised image.
        layers: The maps it takes, in order; a layer may occur several times.
        card: Of the encoder, for the normalisation of the image.
        standardisers: Of each layer.
    """

    def __init__(
        self, head: nn.Module, layers: Sequence[str], card: EncoderCard, standardisers: Mapping[str, Standardiser]
    ) -> None:
        super().__init__()
        self.head, self.layers = head, tuple(layers)
        self.standardise = nn.ModuleDict(
            {_key(layer): Centred(standardisers[layer]) for layer in dict.fromkeys(layers)}
        )
        self.register_buffer("image_mean", torch.tensor(card.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("image_std", torch.tensor(card.std).view(1, 3, 1, 1), persistent=False)

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
        ready = {layer: self.standardise[_key(layer)](maps[layer]).permute(0, 3, 1, 2) for layer in set(self.layers)}
        return [ready[layer] for layer in self.layers]


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
