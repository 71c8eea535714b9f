"""Augmentation of a batch, on the device it lies on, from one explicit generator."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Generator, Tensor

from cryostat.cells.augmentation.geometry import elastic_displacement, flip, resample, source_grid, source_matrices
from cryostat.cells.augmentation.settings import Augmentations
from cryostat.cells.augmentation.stain import jitter
from cryostat.core.errors import SettingError


class _Draws(NamedTuple):
    """The chances of one batch, each (N,) but shift and the stains: (N, 2), (N, 3), (N, 3)."""

    horizontal: Tensor
    vertical: Tensor
    affine: Tensor
    degrees: Tensor
    scale: Tensor
    shift: Tensor
    elastic: Tensor
    gain: Tensor
    stain_shift: Tensor


def augment(images: Tensor, masks: Tensor, settings: Augmentations, generator: Generator) -> tuple[Tensor, Tensor]:
    """Flip, turn, scale, shift, bend and restain a batch; images and masks move together.

    What leaves an image where it is, leaves it exactly so. On a GPU a generator of the CPU gives the same flips,
    angles and stains as on the CPU, but other elastic noise.

    Args:
        images: (N, 3, S, S) float RGB 0–1.
        masks: (N, S, S), or (N, M, S, S) for several at once; integers below 2²⁴.
        settings: What to do.
        generator: Source of all chance.

    Returns:
        Images and masks of the same shapes, types and device; 0 where they come from outside the field.

    Raises:
        SettingError: The shapes do not belong together, or the fields are not square.
    """
    _must_match(images, masks)
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        return _augment(images, masks, settings, generator)


def _augment(images: Tensor, masks: Tensor, settings: Augmentations, generator: Generator) -> tuple[Tensor, Tensor]:
    count, side = len(images), images.shape[-1]
    draws = _Draws(*(part.to(images.device) for part in _draw(count, settings, generator)))
    layers = masks.reshape(count, -1, side, side)
    images = flip(images, draws.horizontal, draws.vertical)
    layers = flip(layers, draws.horizontal, draws.vertical)
    images, layers = _warp(images, layers, draws, settings, generator)
    return jitter(images, draws.gain, draws.stain_shift), layers.reshape(masks.shape)


def _draw(count: int, settings: Augmentations, generator: Generator) -> _Draws:
    """All chances of a batch on the generator's device; as many whatever the settings."""

    def share(*shape: int) -> Tensor:
        return torch.rand(count, *shape, generator=generator, device=generator.device)

    def between(least: float, most: float, *shape: int) -> Tensor:
        return least + (most - least) * share(*shape)

    return _Draws(
        horizontal=share() < settings.flip_horizontal,
        vertical=share() < settings.flip_vertical,
        affine=share() < settings.affine,
        degrees=between(*settings.rotation),
        scale=between(*settings.scale),
        shift=between(-1, 1, 2) * torch.tensor(settings.shifts, device=generator.device),
        elastic=share() < settings.elastic,
        gain=1 + between(-1, 1, 3) * settings.stain_gain,
        stain_shift=between(-1, 1, 3) * settings.stain_shift,
    )


def _warp(
    images: Tensor, layers: Tensor, draws: _Draws, settings: Augmentations, generator: Generator
) -> tuple[Tensor, Tensor]:
    """Affine and elastic maps in one resampling; members with neither are put back untouched."""
    if settings.affine == settings.elastic == 0:
        return images, layers
    matrices = source_matrices(
        torch.where(draws.affine, draws.degrees, 0),
        torch.where(draws.affine, draws.scale, 1),
        torch.where(draws.affine[:, None], draws.shift, 0),
    )
    displacement = _displacement(images, settings, generator) * draws.elastic[:, None, None, None]
    moved, nearest = resample(images, layers, source_grid(matrices, displacement))
    still = ~(draws.affine | draws.elastic)[:, None, None, None]
    return torch.where(still, images, moved), torch.where(still, layers, nearest)


def _displacement(images: Tensor, settings: Augmentations, generator: Generator) -> Tensor:
    """(N, S, S, 2) elastic displacement of every image, whether used or not."""
    count, side = len(images), images.shape[-1]
    if settings.elastic == 0:
        return torch.zeros(count, side, side, 2, device=images.device)
    source = _on_device(generator, images.device)
    noise = 2 * torch.rand(count, 2, side, side, generator=source, device=images.device) - 1
    return elastic_displacement(noise, settings.elastic_form)


def _on_device(generator: Generator, device: torch.device) -> Generator:
    """The generator itself, or one of the device seeded by it: noise of full size need not travel."""
    if generator.device == device:
        return generator
    seed = torch.randint(2**62, (), generator=generator, device=generator.device)
    return Generator(device).manual_seed(int(seed))


def _must_match(images: Tensor, masks: Tensor) -> None:
    square = images.ndim == 4 and images.shape[1] == 3 and images.shape[2] == images.shape[3]
    if not square or masks.ndim not in (3, 4) or (len(masks), *masks.shape[-2:]) != (len(images), *images.shape[2:]):
        raise SettingError(
            f"images {tuple(images.shape)} and masks {tuple(masks.shape)} cannot be augmented together",
            remedy="Give images as (N, 3, S, S) and masks as (N, S, S) or (N, M, S, S)",
        )
