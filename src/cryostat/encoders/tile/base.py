"""The one interface of tile encoders. Normalisation is sealed here, so that no encoder can forget it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, final

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryostat.core.errors import EncoderError
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.weights import weights_sha256


class TileEncoder(ABC):
    """A frozen encoder of image tiles.

    Subclasses set `card` and `module`, and write `_maps`; everything else is done here.

    Attributes:
        card: Its facts.
        module: The network; in eval mode, gradients off.
        device: Where it runs.
        precision: Arithmetic in use: `fp32`, `bf16` or `fp16` (autocast).
    """

    card: EncoderCard
    module: nn.Module
    device: torch.device = torch.device("cpu")
    precision: str = "fp32"

    @property
    def learns_from_pixels(self) -> bool:
        """True when `prepare` must be shown unlabelled images of the dataset before encoding."""
        return False

    def prepare(self, images: Iterable[NDArray[Any]]) -> None:
        """Show unlabelled (H, W, 3) images in 0 to 1 to an encoder that adapts to the dataset's pixels."""

    @abstractmethod
    def identity(self) -> Mapping[str, Any]:
        """All that determines its output: name, hash of the weights, settings, code version of this part, precision."""

    def weights_hash(self) -> str:
        """Hex SHA-256 of all tensors as they are now; equal before and after a run, if the encoder was frozen."""
        return weights_sha256(self.module)

    @abstractmethod
    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Maps of normalised images (N, 3, S, S): layer name to (N, g, g, width), g tokens across, any float type."""

    def to(self, device: torch.device | str) -> TileEncoder:
        """Move to a device."""
        self.device = torch.device(device)
        self.module.to(self.device)
        return self

    @final
    @torch.no_grad()
    def encode(self, images: Tensor, layers: Sequence[str] = ("final",)) -> dict[str, Tensor]:
        """Patch-token maps of a batch, without gradients; otherwise as `encode_with_gradients`."""
        return self.encode_with_gradients(images, layers)

    @final
    def encode_with_gradients(self, images: Tensor, layers: Sequence[str] = ("final",)) -> dict[str, Tensor]:
        """Patch-token maps of a batch, through which gradients reach the parameters of an encoder that is tuned.

        Args:
            images: (N, 3, S, S) float in 0 to 1, S a multiple of the patch size.
            layers: Names from `card.layers()`.

        Returns:
            Layer name to (N, g, g, width) float32 on the encoder's device, g = `card.tokens_across(S)`.

        Raises:
            EncoderError: A layer is unknown, the size does not fit, or the encoder breaks its contract.
        """
        self._check_request(images, layers)
        mean = torch.tensor(self.card.mean, device=self.device).view(1, 3, 1, 1)
        std = torch.tensor(self.card.std, device=self.device).view(1, 3, 1, 1)
        normalised = (images.to(self.device, torch.float32) - mean) / std
        half = self.precision != "fp32"
        # Uncached: weights that a pass without gradients had cast would cut the gradients of a later pass.
        with torch.autocast(self.device.type, _DTYPES.get(self.precision), enabled=half, cache_enabled=False):
            maps = self._maps(normalised, layers)
        return {layer: self._checked(maps[layer], images.shape[-1]).float() for layer in layers}

    def _check_request(self, images: Tensor, layers: Sequence[str]) -> None:
        card, size = self.card, images.shape[-1]
        if unknown := [layer for layer in layers if layer not in card.layers()]:
            raise EncoderError(
                f"{card.name} has no layer {unknown[0]!r}",
                remedy=f"Choose from block-1 … block-{card.depth}, final",
            )
        fits = size % card.patch_size == 0 if card.flexible_size else size == card.input_size
        if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != size or not fits:
            wanted = f"a multiple of {card.patch_size}" if card.flexible_size else str(card.input_size)
            raise EncoderError(
                f"{card.name} cannot encode images of shape {tuple(images.shape)}",
                remedy=f"Supply (N, 3, S, S), S {wanted}",
            )

    def _checked(self, maps: Tensor, size: int) -> Tensor:
        side = self.card.tokens_across(size)
        expected = (side, side, self.card.width)
        if tuple(maps.shape[1:]) != expected:
            raise EncoderError(
                f"{self.card.name} returned maps of shape {tuple(maps.shape[1:])}, its card says {expected}",
                remedy="Correct patch_size, width or prefix_tokens in the card",
            )
        return maps


_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def images_to_unit(images: NDArray[Any]) -> NDArray[np.float32]:
    """8- and 16-bit images to 0 … 1 by the range of their type (not by their own maximum)."""
    return images.astype(np.float32) / np.float32(np.iinfo(images.dtype).max)
