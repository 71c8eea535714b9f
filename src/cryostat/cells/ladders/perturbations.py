"""The perturbations, as data: what each does to a field, and how strongly at each step."""

from __future__ import annotations

import inspect
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from cryostat.cells.augmentation import stain
from cryostat.core.errors import SettingError
from cryostat.core.identity import digest, sources_version

Pixels = NDArray[np.float32]
"""(H, W, 3) in 0 … 1."""


@dataclass(frozen=True)
class Field:
    """What a perturbation may know of the field that it changes.

    Attributes:
        fov_id: Its name, which seeds all chance.
        mpp: µm per pixel, as it is seen.
    """

    fov_id: str
    mpp: float


@dataclass(frozen=True)
class Perturbation:
    """One way in which pixels get worse.

    Attributes:
        name: Name on the command line and in tables.
        about: One line.
        unit: Of the amounts, as it is written behind them.
        neutral: The amount that would change nothing; that of step 0.
        amounts: Those of the steps 1, 2, …, from mild to strong.
        change: Changes a field by an amount; None where only the scale is wrong.
    """

    name: str
    about: str
    unit: str
    neutral: float
    amounts: tuple[float, ...]
    change: Callable[[Pixels, float, Field], Pixels] | None = None

    def of(self, pixels: Pixels, amount: float, field: Field) -> Pixels:
        """A field at an amount; the very pixels where the amount is neutral."""
        if amount == self.neutral or self.change is None:
            return pixels
        return self.change(pixels, amount, field)

    def magnification(self, amount: float) -> float:
        """By how much a field is larger than it should be, along each side."""
        return amount if self.change is None else 1.0

    def facts(self, step: int) -> dict[str, Any]:
        """All that determines the pixels at a step."""
        return {"name": self.name, "amount": self.amounts[step - 1], "code": _code()}


def restained(pixels: Pixels, amount: float, field: Field) -> Pixels:
    """Haematoxylin and eosin multiplied by an amount, in optical density; what is neither stays."""
    images = torch.from_numpy(np.ascontiguousarray(pixels.transpose(2, 0, 1)))[None]
    changed = stain.jitter(images, torch.tensor([[amount, amount, 1.0]]), torch.zeros(1, 3))
    return np.ascontiguousarray(changed[0].numpy().transpose(1, 2, 0))


def blurred(pixels: Pixels, amount: float, field: Field) -> Pixels:
    """A Gaussian blur of a standard deviation of so many µm."""
    sigma = amount / field.mpp
    blurry: Pixels = gaussian_filter(pixels, (sigma, sigma, 0), mode="nearest", truncate=4.0)
    return blurry


def compressed(pixels: Pixels, amount: float, field: Field) -> Pixels:
    """Through JPEG of a quality, colours at half the resolution as scanners store them."""
    buffer = io.BytesIO()
    Image.fromarray(np.round(pixels * 255).astype(np.uint8)).save(buffer, "JPEG", quality=round(amount), subsampling=2)
    stored: Pixels = np.asarray(Image.open(buffer), np.float32) / np.float32(255)
    return stored


def darkened(pixels: Pixels, amount: float, field: Field) -> Pixels:
    """Intensities multiplied by an amount: less light, or a shorter exposure."""
    darker: Pixels = np.clip(pixels * np.float32(amount), 0, 1)
    return darker


def noisy(pixels: Pixels, amount: float, field: Field) -> Pixels:
    """Gaussian noise of a standard deviation, drawn anew for each pixel and colour; one pattern at all steps."""
    draw = np.random.default_rng(int(digest({"noise of": field.fov_id}), 16))
    noise = draw.standard_normal(pixels.shape, np.float32)
    grainy: Pixels = np.clip(pixels + np.float32(amount) * noise, 0, 1)
    return grainy


_ALL = (
    Perturbation(
        "stain",
        "Faded: optical density of H and E",
        "×",
        1.0,
        (0.85, 0.7, 0.55, 0.4, 0.25),
        restained,
    ),
    Perturbation(
        "overstain",
        "Overstained: optical density of H and E",
        "×",
        1.0,
        (1.25, 1.5, 2.0, 2.5, 3.0),
        restained,
    ),
    Perturbation("blur", "Out of focus: Gaussian blur", " µm", 0.0, (0.25, 0.5, 1.0, 2.0, 3.0), blurred),
    Perturbation("jpeg", "Compressed: JPEG quality", "", 100.0, (80, 60, 40, 20, 10), compressed),
    Perturbation("brightness", "Dark: intensities", "×", 1.0, (0.9, 0.8, 0.7, 0.6, 0.5), darkened),
    Perturbation("noise", "Noisy: sd of Gaussian noise", "", 0.0, (0.02, 0.04, 0.08, 0.12, 0.2), noisy),
    Perturbation("scale", "Wrong µm per pixel: apparent size", "×", 1.0, (0.9, 0.8, 0.7, 0.6, 0.5)),
)

PERTURBATIONS: Mapping[str, Perturbation] = {one.name: one for one in _ALL}


@cache
def _code() -> str:
    """Version of what is done to pixels; the steps themselves are part of the facts."""
    parts = (restained, blurred, compressed, darkened, noisy, stain)
    return sources_version(*(inspect.getsource(part) for part in parts))


def find_perturbation(name: str) -> Perturbation:
    """A perturbation by name.

    Raises:
        SettingError: There is none of that name.
    """
    if name not in PERTURBATIONS:
        raise SettingError(f"there is no perturbation {name!r}", remedy=f"Choose one of: {', '.join(PERTURBATIONS)}")
    return PERTURBATIONS[name]
