"""Prov-GigaPath's slide encoder: which state of its network, and how pooled, is the slide's vector."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor

from cryostat.core.errors import EncoderError, SettingError
from cryostat.core.identity import code_version
from cryostat.encoders.slide import attention, dilated, longnet, positions
from cryostat.encoders.slide.base import SlideEncoder, require_order
from cryostat.encoders.slide.card import SlideCard
from cryostat.encoders.slide.coordinates import MPP, TileCoordinates, grid_cells
from cryostat.encoders.slide.longnet import GigaPathNetwork
from cryostat.encoders.weights import weights_sha256

READINGS: Mapping[str, str] = MappingProxyType(
    {
        "last-state": "the last layer's state, pooled, then the output norm: the public pipeline's last_layer_embed",
        "encoder-norm": "as last-state with the encoder's own last norm before pooling: the plain forward call, which "
        "fine-tuning uses",
        "penultimate": "the state before the last layer, pooled, then the output norm: layer 11 of TRIDENT and of the "
        "published heads",
    }
)
"""The three vectors in use under the name of final layer. They differ much and never mix."""

POOLINGS = ("mean", "cls")
"""The mean of the tiles' tokens without the class token, or the class token."""


def states(depth: int) -> list[str]:
    """Names of the states of a network: as the tiles enter the first layer, and after each."""
    return [f"state-{i}" for i in range(depth + 1)]


def require_sense(card: SlideCard, network: GigaPathNetwork, layer: str, pooling: str) -> None:
    """Check a card and choices against a network, which may be on the meta device.

    Raises:
        SettingError: There is no such layer or pooling.
        EncoderError: The card does not describe the network.
    """
    settings = network.settings
    if pooling not in POOLINGS:
        raise SettingError(f"{card.name} has no pooling {pooling!r}", remedy=f"Choose one of: {', '.join(POOLINGS)}")
    if layer not in READINGS and layer not in states(settings.depth):
        raise SettingError(
            f"{card.name} has no layer {layer!r}",
            remedy=f"Choose one of {', '.join(READINGS)}, or state-0 … state-{settings.depth}",
        )
    facts = {"width_in": settings.width_in, "width_out": settings.width, "tile_px": settings.tile_px, "mpp": MPP}
    facts |= {"parameters": sum(p.numel() for p in network.parameters())} if card.parameters else {}
    for name, value in facts.items():
        if getattr(card, name) != value:
            raise EncoderError(
                f"the card of {card.name} says {name} = {getattr(card, name)}, the network has {value}",
                remedy="Correct [card] or [longnet]",
            )


class GigaPathSlideEncoder(SlideEncoder):
    """LongNet over tiles.

    Args:
        card: Its facts, checked against the network.
        network: The network, frozen.
        layer: One of `READINGS`, or `state-0` (as it enters the first layer) … `state-<depth>`.
        pooling: One of `POOLINGS`.
        order: One of `ORDERS`. Sequences are cut into segments, so that the order of tiles matters slightly.

    Raises:
        SettingError: A setting is unknown.
        EncoderError: The card does not describe the network.
    """

    def __init__(
        self,
        card: SlideCard,
        network: GigaPathNetwork,
        *,
        layer: str = "last-state",
        pooling: str = "mean",
        order: str = "row-major",
    ) -> None:
        require_sense(card, network, layer, pooling)
        self.card, self.module, self.network = card, network, network
        self.layer, self.pooling, self.order = layer, pooling, require_order(order)
        self._weights = weights_sha256(network)

    def identity(self) -> Mapping[str, Any]:
        """Name, hash of the weights, architecture with its segment lengths, reading, pooling, order, code version."""
        settings = self.network.settings
        return {
            "encoder": self.card.name,
            "weights": self._weights,
            "longnet": vars(settings) | {"segments": settings.segments},
            "layer": self.layer,
            "pooling": self.pooling,
            "order": self.order,
            "code": code_version(attention, dilated, positions, longnet, GigaPathSlideEncoder),
            "precision": "fp32",
        }

    def _embed(self, tiles: Tensor, where: TileCoordinates | None) -> dict[str, Tensor]:
        settings, network = self.network.settings, self.network
        cells = torch.from_numpy(grid_cells(_known(where), settings.tile_px, settings.grid))
        names = states(settings.depth)
        found = {}
        with torch.autocast(self.device.type, enabled=False):
            for name, tokens in zip(names, network.states(tiles, cells), strict=True):
                found[name] = network.norm(self._pool(tokens))
            found["encoder-norm"] = network.norm(self._pool(network.normed(tokens)))
        return found | {"last-state": found[names[-1]], "penultimate": found[names[-2]]}

    def _pool(self, tokens: Tensor) -> Tensor:
        return tokens[1:].mean(0) if self.pooling == "mean" else tokens[0].clone()


def _known(where: TileCoordinates | None) -> TileCoordinates:
    if where is None:
        raise TypeError("the base class lets no slide through without coordinates that are needed")
    return where
