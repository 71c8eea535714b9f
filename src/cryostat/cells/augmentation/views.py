"""The fixed views of a bank: turned, mirrored and restained in ways that never change."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cryostat.cells.augmentation.settings import STANDARD, Augmentations
from cryostat.cells.augmentation.stain import jitter
from cryostat.core.errors import SettingError

Triple = tuple[float, float, float]


@dataclass(frozen=True)
class View:
    """One way to look at every image; plain data, so that it can be part of a store's identity.

    Attributes:
        quarter_turns: Turns by 90° counter-clockwise, 0 to 3.
        mirrored: Whether left and right are exchanged before turning.
        gain: Factor of haematoxylin, eosin and DAB.
        shift: Added to each of them.
    """

    quarter_turns: int = 0
    mirrored: bool = False
    gain: Triple = (1.0, 1.0, 1.0)
    shift: Triple = (0.0, 0.0, 0.0)

    def of_images(self, images: Tensor) -> Tensor:
        """(N, 3, H, W) RGB 0–1 as seen in this view."""
        counts = (len(images), 3)
        gain = torch.tensor(self.gain, device=images.device).expand(counts)
        shift = torch.tensor(self.shift, device=images.device).expand(counts)
        return jitter(self.of_masks(images), gain, shift)

    def of_masks(self, masks: Tensor) -> Tensor:
        """(…, H, W) masks or maps, turned and mirrored exactly as the images are."""
        turned = masks.flip(-1) if self.mirrored else masks
        return torch.rot90(turned, self.quarter_turns, (-2, -1))


def views(count: int, seed: int = 0, settings: Augmentations = STANDARD) -> tuple[View, ...]:
    """The first views of a bank: view 0 is the image itself; views i and i + 8 are turned alike and stained apart.

    A longer bank begins with the shorter one of the same seed.

    Args:
        count: How many, 1 or more.
        seed: Of the stains.
        settings: How far stains vary; nothing else of it is used.

    Raises:
        SettingError: Fewer than one view.
    """
    if count < 1:
        raise SettingError(f"a bank of {count} views is empty", remedy="Ask for at least one view")
    return tuple(_view(number, seed, settings) for number in range(count))


def _view(number: int, seed: int, settings: Augmentations) -> View:
    if number == 0:
        return View()
    chance = np.random.default_rng((seed, number))
    gain, shift = chance.uniform(-1, 1, (2, 3)) * [[settings.stain_gain], [settings.shift_of_stains]]
    return View(number % 4, number % 8 >= 4, _triple(1 + gain), _triple(shift))


def _triple(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> Triple:
    first, second, third = (float(value) for value in values)
    return first, second, third
