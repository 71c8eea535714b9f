"""The one interface of slide encoders. What comes in is checked here, so that no encoder can forget it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from cryostat.core.errors import EncoderError, InputError, SettingError
from cryostat.encoders.slide.card import SlideCard
from cryostat.encoders.slide.coordinates import TileCoordinates, checked_coordinates, row_major
from cryostat.encoders.weights import weights_sha256

ORDERS = ("row-major", "as-given")
"""Orders in which tiles are read: by y, then by x, so that the order in which they come does not matter; or as they
come, to repeat what other programs did."""

BLOCK = 65_536
"""Tiles looked at together when they are checked."""


@dataclass(frozen=True, eq=False)
class SlideEmbedding:
    """What a slide encoder makes of a slide.

    Attributes:
        vector: (width,) float32, the slide's embedding.
        layers: Every other that it could have been, by name; `vector` is one of them.
    """

    vector: NDArray[np.float32]
    layers: Mapping[str, NDArray[np.float32]]


class SlideEncoder(ABC):
    """A frozen encoder of the tiles of a slide.

    Subclasses set `card`, `module` and `layer`, and write `_embed`; everything else is done here.

    Attributes:
        card: Its facts.
        module: The network; in eval mode, gradients off; empty where there is nothing to learn.
        layer: Name of the layer that is the slide's vector.
        order: One of `ORDERS`.
        device: Where it runs.
    """

    card: SlideCard
    module: nn.Module
    layer: str
    order: str = "row-major"
    device: torch.device = torch.device("cpu")

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """All that determines its output: name, hash of the weights, settings, code version of this part."""

    def weights_hash(self) -> str:
        """Hex SHA-256 of all tensors as they are now; equal before and after a run, if the encoder was frozen."""
        return weights_sha256(self.module)

    @abstractmethod
    def _embed(self, tiles: Tensor, where: TileCoordinates | None) -> dict[str, Tensor]:
        """Layer name to (width,) of checked tiles (n, C), n > 0, in the order in which they are to be read."""

    def to(self, device: torch.device | str) -> SlideEncoder:
        """Move to a device."""
        self.device = torch.device(device)
        self.module.to(self.device)
        return self

    @final
    @torch.no_grad()
    def encode(
        self, tiles: Tensor | NDArray[Any], coords: TileCoordinates | ArrayLike | Tensor | None = None
    ) -> SlideEmbedding:
        """Embed one slide.

        Args:
            tiles: (n, C) features of its tiles, of any float type, on any device.
            coords: (n, 2) upper left corners, x before y, in px at 0.5 µm/px; `TileCoordinates` converts level-0 px and
                µm. May be left out where `card.needs_coordinates` is false.

        Raises:
            InputError: Tiles or coordinates are none, not finite, of another width, doubled, or off the grid.
            EncoderError: The weights give no finite vector.
        """
        features = self._checked_tiles(tiles)
        where = self._checked_coords(coords, len(features))
        if where is not None and self.order == "row-major":
            order = row_major(where.xy)
            features = features[torch.from_numpy(order).to(features.device)]
            where = TileCoordinates(where.xy[order], where.step)
        layers = {name: part.float().cpu().numpy() for name, part in self._embed(features, where).items()}
        if not np.isfinite(layers[self.layer]).all():
            raise EncoderError(
                f"{self.card.name} gave a vector that is not finite", remedy="Check its weights, and the tiles' scale"
            )
        return SlideEmbedding(layers[self.layer], layers)

    def _checked_tiles(self, tiles: Tensor | NDArray[Any]) -> Tensor:
        found = tiles.detach() if isinstance(tiles, Tensor) else _tensor(tiles)
        if found.ndim != 2 or not found.is_floating_point():
            raise InputError(
                f"tiles of shape {tuple(found.shape)} and type {found.dtype} are no table of features",
                remedy="Supply floats (n, C), one row a tile, without a batch dimension",
            )
        if len(found) == 0:
            raise InputError(
                "the slide has no tiles", remedy="Leave the slide out, and look at its tissue mask: nothing was found"
            )
        self._check_width(found.shape[1])
        finite = torch.cat([block.isfinite().all(1) for block in found.split(BLOCK)])
        if not finite.all():
            bad = (~finite).nonzero()[:, 0]
            raise InputError(
                f"the features of {len(bad)} of {len(found)} tiles are not finite (tile {bad[0]} first)",
                remedy="Encode these tiles again in fp32 or bf16 rather than fp16, or leave them out",
            )
        return found

    def _check_width(self, width: int) -> None:
        card = self.card
        if width == 0 or card.width_in not in (None, width):
            belongs = f" of {card.tile_encoder}" if card.tile_encoder else ""
            raise InputError(
                f"tiles have {width} channels, {card.name} takes {card.width_in or 'at least 1'}{belongs}",
                remedy=f"Encode the tiles with {card.tile_encoder or 'the encoder it was made for'}, "
                "or pool them with mean, which takes any",
            )

    def _checked_coords(self, coords: Any, tiles: int) -> TileCoordinates | None:
        if coords is not None:
            return checked_coordinates(coords, tiles)
        if self.card.needs_coordinates:
            raise InputError(
                f"{self.card.name} must know where the tiles lie",
                remedy=f"Supply their coordinates (n, 2), x before y, in px at {self.card.mpp} µm/px",
            )
        return None


def _tensor(tiles: Any) -> Tensor:
    try:
        array = np.asarray(tiles)
    except (ValueError, TypeError):  # rows of unequal length
        array = np.empty(0, object)
    if array.dtype.kind != "f" or array.dtype.itemsize > 8:
        raise InputError(
            f"features of type {array.dtype} are no floats", remedy="Supply float16, float32 or float64 (n, C)"
        )
    # A copy: the array may be a read-only map of a file.
    return torch.from_numpy(array.astype(array.dtype.newbyteorder("="), copy=True))


def require_order(order: str) -> str:
    """The order, if there is such a one.

    Raises:
        SettingError: There is not.
    """
    if order not in ORDERS:
        raise SettingError(f"there is no order {order!r} of tiles", remedy=f"Choose one of: {', '.join(ORDERS)}")
    return order
