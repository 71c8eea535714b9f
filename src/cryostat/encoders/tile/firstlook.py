"""What the first layer of a network sees of an image: whether it is normalised once, twice, or for 0 to 255."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from cryostat.encoders.card import EncoderCard
from cryostat.encoders.tile.base import TileEncoder

TOLERANCE = 0.1
"""Deviation of gain and offset that resizing within the network may bring."""

BYTE = 255.0


@dataclass(frozen=True)
class FirstLook:
    """The affine change from the image as Cryostat normalises it to what the first layer over three channels gets.

    Attributes:
        gain: Factor of each channel; 1 when the network leaves the image as it is.
        offset: What is added to each channel; 0 when the network leaves the image as it is.
        lowest: Smallest number that the layer sees.
        highest: Largest.
    """

    gain: tuple[float, ...]
    offset: tuple[float, ...]
    lowest: float
    highest: float

    @property
    def unchanged(self) -> bool:
        """The network leaves the image as it is."""
        return max(abs(gain - 1) for gain in self.gain) < TOLERANCE and max(map(abs, self.offset)) < TOLERANCE


def first_look(encoder: TileEncoder, image: Tensor) -> FirstLook | None:
    """What the first convolution over three channels gets of an image (1, 3, S, S) in 0 … 1; None without one."""
    seen: list[Tensor] = []

    def keep(_layer: nn.Module, inputs: tuple[Any, ...]) -> None:
        if not seen and inputs and isinstance(inputs[0], Tensor):
            seen.append(inputs[0].detach().float().cpu())

    layers = [m for m in encoder.module.modules() if isinstance(m, nn.Conv2d) and m.in_channels == 3]
    handles = [layer.register_forward_pre_hook(keep) for layer in layers]
    try:
        encoder.encode(image)
    finally:
        for handle in handles:
            handle.remove()
    if not seen or seen[0].ndim != 4:
        return None
    card = encoder.card
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (card.mean, card.std))
    return _affine((image.cpu() - mean) / std, seen[0])


def _affine(given: Tensor, seen: Tensor) -> FirstLook:
    """From the channels' means and spreads, which resizing leaves about as they are."""
    (mean_a, std_a), (mean_b, std_b) = _moments(given), _moments(seen)
    gain = std_b / np.maximum(std_a, 1e-9)
    offset = mean_b - gain * mean_a
    lowest, highest = float(seen.min()), float(seen.max())
    return FirstLook(tuple(gain.tolist()), tuple(offset.tolist()), lowest, highest)


def _moments(images: Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    channels = images.transpose(0, 1).flatten(1).double()
    return channels.mean(1).numpy(), channels.std(1).numpy()


def faults_of(card: EncoderCard, look: FirstLook | None) -> tuple[str, str] | None:
    """What is wrong with the normalisation, and the remedy; None when nothing is seen to be."""
    if max(*card.mean, *card.std) > 1.0 + TOLERANCE:
        problem = f"mean {card.mean[0]:g}, std {card.std[0]:g} are those of images in 0 to 255"
        return problem, "Divide mean and std by 255 in the card: images come in 0 to 1"
    if look is None or look.unchanged:
        return None
    if max(look.gain) < 2 / BYTE:
        problem = "the network divides by 255, as if images came in 0 to 255"
        return problem, "Take the division out of the network: images come in 0 to 1"
    if any(card.mean) or set(card.std) != {1.0}:
        problem = "the network normalises the image once more"
        return problem, "State mean=(0, 0, 0), std=(1, 1, 1), or take the normalisation out of the network"
    return None
