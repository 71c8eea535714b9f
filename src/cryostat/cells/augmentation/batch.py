"""Augmentation of a batch, on the device it lies on, each image by a generator of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from cryostat.cells.augmentation.geometry import elastic_displacement, flip, resample, source_grid, source_matrices
from cryostat.cells.augmentation.settings import Augmentations, Elastic
from cryostat.cells.augmentation.stain import jitter
from cryostat.core.errors import SettingError

CHANCES = 14
"""Numbers in 0 to 1 that decide on one image."""

SEEDS = 2**62
"""Seeds are below this."""


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
    noise_seed: Tensor

    def of(self, members: Tensor | slice) -> _Draws:
        """Those of some members of the batch."""
        return _Draws(*(part[members] for part in self))


def augment(images: Tensor, masks: Tensor, settings: Augmentations, generator: Generator) -> tuple[Tensor, Tensor]:
    """Flip, turn, scale, shift, bend and restain a batch; images and masks move together.

    What leaves an image where it is, leaves it exactly so. On a GPU a generator of the CPU gives the same flips,
    angles and stains as on the CPU, but other elastic noise.

    Args:
        images: (N, 3, S, S) float RGB 0–1.
        masks: (N, S, S), or (N, M, S, S) for several at once; integers below 2²⁴.
        settings: What to do.
        generator: Source of all chance, on any device.

    Returns:
        Images and masks of the same shapes, types and device; 0 where they come from outside the field.

    Raises:
        SettingError: The shapes do not belong together, or the fields are not square.
    """
    seeds = torch.randint(SEEDS, (len(images),), generator=generator, device=generator.device).tolist()
    return augment_each(images, masks, settings, [Generator().manual_seed(seed) for seed in seeds])


def augment_each(
    images: Tensor, masks: Tensor, settings: Augmentations, generators: Sequence[Generator]
) -> tuple[Tensor, Tensor]:
    """`augment` with a generator for each image: what becomes of it is the same to the bit in whatever batch it is.

    Args:
        images: As for `augment`.
        masks: As for `augment`.
        settings: What to do.
        generators: N generators of the CPU; each is drawn from as often whatever the settings.

    Returns:
        As `augment`.

    Raises:
        SettingError: As `augment`, or the generators are not as many as the images, or not of the CPU.
    """
    _must_match(images, masks, generators)
    layers = masks if masks.ndim == 4 else masks[:, None]
    with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
        draws = _draw(settings, generators)
        # One at a time, an image stays in a CPU's cache, and no rounding depends on its place in the batch.
        step = 1 if images.device.type == "cpu" else max(1, len(images))
        parts = [slice(start, start + step) for start in range(0, len(images), step)]
        done = [_augment(images[part], layers[part], draws.of(part), settings) for part in parts]
    if not done:
        return images, masks
    return torch.cat([seen for seen, _ in done]), torch.cat([moved for _, moved in done]).reshape(masks.shape)


def _augment(images: Tensor, layers: Tensor, draws: _Draws, settings: Augmentations) -> tuple[Tensor, Tensor]:
    on_device = _Draws(*(part.to(images.device) for part in draws))
    if settings.flip_horizontal or settings.flip_vertical:
        images = flip(images, on_device.horizontal, on_device.vertical)
        layers = flip(layers, on_device.horizontal, on_device.vertical)
    images, layers = _warp(images, layers, draws, settings)
    if settings.stain_gain or settings.shift_of_stains:
        images = jitter(images, on_device.gain, on_device.stain_shift)
    return images, layers


def _draw(settings: Augmentations, generators: Sequence[Generator]) -> _Draws:
    """All chances of a batch, on the CPU."""
    rows = [torch.rand(CHANCES, generator=generator) for generator in generators]
    seeds = [int(torch.randint(SEEDS, (), generator=generator)) for generator in generators]
    shares = torch.stack(rows) if rows else torch.empty(0, CHANCES)

    def between(least: float, most: float, share: Tensor) -> Tensor:
        return least + (most - least) * share

    return _Draws(
        horizontal=shares[:, 0] < settings.flip_horizontal,
        vertical=shares[:, 1] < settings.flip_vertical,
        affine=shares[:, 2] < settings.affine,
        degrees=between(*settings.rotation, shares[:, 3]),
        scale=between(*settings.scale, shares[:, 4]),
        shift=between(-1, 1, shares[:, 5:7]) * torch.tensor(settings.shifts),
        elastic=shares[:, 7] < settings.elastic,
        gain=1 + between(-1, 1, shares[:, 8:11]) * settings.stain_gain,
        stain_shift=between(-1, 1, shares[:, 11:14]) * settings.shift_of_stains,
        noise_seed=torch.tensor(seeds, dtype=torch.int64),
    )


def _warp(images: Tensor, layers: Tensor, draws: _Draws, settings: Augmentations) -> tuple[Tensor, Tensor]:
    """Affine and elastic maps in one resampling; members with neither are not touched."""
    members = (draws.affine | draws.elastic).nonzero().squeeze(1)
    if not len(members):
        return images, layers
    chosen, device = draws.of(members), images.device
    affine = chosen.affine.to(device)
    matrices = source_matrices(
        torch.where(affine, chosen.degrees.to(device), 0),
        torch.where(affine, chosen.scale.to(device), 1),
        torch.where(affine[:, None], chosen.shift.to(device), 0),
    )
    grid = source_grid(matrices, _displacement(chosen, images, settings.elastic_form))
    if len(members) == len(images):
        return resample(images, layers, grid)
    at = members.to(device)
    seen, nearest = resample(images[at], layers[at], grid)
    return images.index_copy(0, at, seen), layers.index_copy(0, at, nearest)


def _displacement(draws: _Draws, images: Tensor, form: Elastic) -> Tensor:
    """(n, S, S, 2) elastic displacement of each member drawn for; 0 for those that do not bend."""
    side, device = images.shape[-1], images.device
    out = torch.zeros(len(draws.elastic), side, side, 2, device=device)
    for number, (bends, seed) in enumerate(zip(draws.elastic.tolist(), draws.noise_seed.tolist(), strict=True)):
        if bends:
            chance = Generator(device).manual_seed(seed)
            noise = 2 * torch.rand(1, 2, side, side, generator=chance, device=device) - 1
            out[number] = elastic_displacement(noise, form)[0]
    return out


def _must_match(images: Tensor, masks: Tensor, generators: Sequence[Generator]) -> None:
    square = images.ndim == 4 and images.shape[1] == 3 and images.shape[2] == images.shape[3]
    if not square or masks.ndim not in (3, 4) or (len(masks), *masks.shape[-2:]) != (len(images), *images.shape[2:]):
        raise SettingError(
            f"images {tuple(images.shape)} and masks {tuple(masks.shape)} cannot be augmented together",
            remedy="Give images as (N, 3, S, S) and masks as (N, S, S) or (N, M, S, S)",
        )
    if len(generators) != len(images) or any(g.device.type != "cpu" for g in generators):
        raise SettingError(
            f"{len(generators)} generators do not fit {len(images)} images, or are not of the CPU",
            remedy="Give a generator of the CPU for each image",
        )
