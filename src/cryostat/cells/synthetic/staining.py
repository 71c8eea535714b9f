"""From stain to pixels: Beer–Lambert absorption, and the stains and scanners of the hospitals."""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from cryostat.cells.synthetic.frame import Floats, Frame, bands
from cryostat.cells.synthetic.noise import smooth_noise

RGB = tuple[float, float, float]


@dataclass(frozen=True)
class Hospital:
    """How a hospital stains and scans.

    Attributes:
        haematoxylin: Optical density of a typical nucleus in red, green and blue.
        eosin: The same of collagen.
        red: The same of eosinophil granules and red cells.
        glass: Colour of empty glass, 0 … 255.
        blur: Width of the scanner's point spread, µm.
        noise: Standard deviation of the sensor noise, grey levels.
        jpeg: Quality of the compression, or None.
        haze: Stain that the whole section has taken up, relative to eosin 1.
        gamma: Exponent that the scanner applies to the transmitted light.
    """

    haematoxylin: RGB
    eosin: RGB
    red: RGB
    glass: RGB
    blur: float
    noise: float
    jpeg: int | None
    haze: float = 0.0
    gamma: float = 1.0


NOISE_SHIFTS = ((0, 0), (41, 13), (17, 61))
"""Pixels by which the sensor noise of red, green and blue is shifted."""

HOSPITALS = (
    # Violet and clean: a fresh progressive haematoxylin, a current scanner.
    Hospital((0.92, 1.10, 0.48), (0.09, 0.62, 0.27), (0.08, 0.72, 0.62), (245, 243, 246), 0.38, 1.6, None),
    # Strong eosin, brownish-purple nuclei, warm glass, JPEG.
    Hospital((0.70, 1.05, 0.62), (0.07, 0.74, 0.47), (0.08, 0.85, 0.86), (246, 240, 233), 0.52, 2.2, 80, haze=0.03),
    # Blue, pale eosin, soft and slightly grey.
    Hospital((0.98, 0.86, 0.34), (0.12, 0.44, 0.17), (0.11, 0.58, 0.44), (234, 236, 240), 0.68, 3.2, None, haze=0.05),
    # Over-stained thick sections, sharp scanner with contrast.
    Hospital((1.12, 1.36, 0.72), (0.16, 0.78, 0.36), (0.12, 0.88, 0.74), (238, 236, 240), 0.34, 2.0, 75, haze=0.06),
    # Faded archive slides.
    Hospital((0.55, 0.68, 0.40), (0.06, 0.38, 0.27), (0.06, 0.50, 0.52), (247, 243, 236), 0.50, 2.4, 85),
    # Magenta: alcoholic eosin, green-tinted lamp.
    Hospital((0.84, 1.14, 0.42), (0.14, 0.80, 0.22), (0.12, 0.85, 0.50), (236, 243, 236), 0.45, 2.6, 70),
)
"""Hospitals one after the other; more than these take turns, each with a shift of its own."""


@dataclass(frozen=True)
class Stain:
    """The stain of one patient's slide: a hospital's, varied.

    Attributes:
        vectors: (3, 3) optical density of haematoxylin, eosin and red (rows) in red, green and blue.
        glass: (3,) colour of empty glass.
        hospital: The rest.
    """

    vectors: Floats
    glass: Floats
    hospital: Hospital


def stain_of(hospital: int, own: np.random.Generator, slide: np.random.Generator) -> Stain:
    """The stain of a slide.

    Args:
        hospital: Number of the hospital, from 1.
        own: Random stream of the hospital.
        slide: Random stream of the patient.
    """
    base = HOSPITALS[(hospital - 1) % len(HOSPITALS)]
    vectors = np.array([base.haematoxylin, base.eosin, base.red], np.float32)
    spread = 0.03 if hospital <= len(HOSPITALS) else 0.12
    vectors *= np.exp(own.normal(0, spread, (3, 3))).astype(np.float32)
    vectors *= np.exp(slide.normal(0, 0.025, (3, 3)) + slide.normal(0, 0.09, (3, 1))).astype(np.float32)
    glass = np.minimum(np.array(base.glass) + slide.normal(0, 1, 3), 250).astype(np.float32)
    return Stain(vectors, glass, base)


def render(rng: np.random.Generator, frame: Frame, layers: list[Floats], stain: Stain) -> NDArray[np.uint8]:
    """(size, size, 3) image of a field.

    Args:
        rng: Random stream of the scan.
        frame: The field.
        layers: Haematoxylin, eosin and red, each (size, size).
        stain: Stain of the slide.
    """
    thickness = 1 + 0.03 * smooth_noise(rng, frame, 2.5, (90, 2.3))
    layers = [blurred(layer * thickness, stain.hospital.blur / frame.mpp) for layer in layers]
    noise = rng.standard_normal((frame.size + 64, frame.size + 64), dtype=np.float32)
    noise *= np.float32(stain.hospital.noise)
    image = np.empty((*frame.shape, 3), np.uint8)
    for rows in bands(frame.size):
        for c, (down, right) in enumerate(NOISE_SHIFTS):
            light = _transmitted([layer[rows] for layer in layers], stain, c)
            # One noise, shifted far from channel to channel, serves all three.
            light += noise[rows.start + down : rows.stop + down, right : right + frame.size]
            image[rows, :, c] = np.clip(light, 0, 255, out=light)
    return image if stain.hospital.jpeg is None else _compressed(image, stain.hospital.jpeg)


def _transmitted(layers: list[Floats], stain: Stain, channel: int) -> Floats:
    density = np.full_like(layers[0], -stain.hospital.haze * stain.vectors[1, channel])
    for layer, vector in zip(layers, stain.vectors, strict=True):
        density -= layer * vector[channel]
    light: Floats = np.exp(density, out=density)
    light *= stain.glass[channel]
    light += np.float32(0.5)
    return light


def blurred(layer: Floats, sigma: float) -> Floats:
    """Gaussian blur of a (h, w) layer by `sigma` px, edges repeated."""
    radius = max(int(np.ceil(2.5 * sigma)), 1)
    weights = np.exp(-0.5 * np.square(np.arange(radius + 1) / max(sigma, 1e-3))).astype(np.float32)
    weights /= weights[0] + 2 * weights[1:].sum()
    for axis in (0, 1):
        padded = np.pad(layer, [(radius, radius) if a == axis else (0, 0) for a in (0, 1)], mode="edge")
        layer = _weighted(np.moveaxis(padded, axis, 0), weights, layer.shape[axis])
        layer = np.moveaxis(layer, 0, axis)
    return layer


def _weighted(padded: Floats, weights: Floats, n: int) -> Floats:
    radius = len(weights) - 1
    total: Floats = padded[radius : radius + n] * weights[0]
    for k in range(1, radius + 1):
        pair = padded[radius - k : radius - k + n] + padded[radius + k : radius + k + n]
        pair *= weights[k]
        total += pair
    return total


def _compressed(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    with io.BytesIO() as buffer:
        Image.fromarray(image).save(buffer, "JPEG", quality=quality)
        with Image.open(buffer) as opened:
            return np.asarray(opened).copy()
