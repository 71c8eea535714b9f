from __future__ import annotations

import math

import torch

from cryostat.cells.augmentation.stain import HED_TO_RGB, hed_to_rgb, jitter, rgb_to_hed


def test_round_trip() -> None:
    images = torch.rand(2, 3, 9, 7, generator=torch.Generator().manual_seed(0)) * 0.99 + 0.01
    torch.testing.assert_close(hed_to_rgb(rgb_to_hed(images)), images, atol=1e-5, rtol=0)


def test_pure_haematoxylin_by_hand() -> None:
    """An amount a of one stain leaves exp(a · row · ln 1e-6) of the light."""
    stains = torch.zeros(1, 3, 1, 1)
    stains[0, 0] = 0.1
    expected = [math.exp(0.1 * absorbed * math.log(1e-6)) for absorbed in HED_TO_RGB[0]]
    torch.testing.assert_close(hed_to_rgb(stains).flatten(), torch.tensor(expected))


def test_white_has_no_stain_and_black_is_finite() -> None:
    assert not rgb_to_hed(torch.ones(1, 3, 1, 1)).any()
    assert rgb_to_hed(torch.zeros(1, 3, 1, 1)).isfinite().all()


def test_jitter_changes_stains_as_told_and_stays_in_range() -> None:
    images = torch.full((2, 3, 2, 2), 0.5)
    gain, shift = torch.ones(2, 3), torch.zeros(2, 3)
    gain[1, 0], shift[1, 1] = 1.02, 0.01
    out = jitter(images, gain, shift)
    assert torch.equal(out[0], images[0])
    before, after = rgb_to_hed(images)[1, :, 0, 0], rgb_to_hed(out)[1, :, 0, 0]
    torch.testing.assert_close(after, before * torch.tensor([1.02, 1, 1]) + torch.tensor([0, 0.01, 0]))
    extreme = jitter(torch.rand(1, 3, 4, 4), torch.full((1, 3), 1.5), torch.full((1, 3), -0.5))
    assert extreme.min() >= 0
    assert extreme.max() <= 1


def test_jitter_is_to_stains_and_back() -> None:
    chance = torch.Generator().manual_seed(0)
    images = torch.rand(5, 3, 6, 6, generator=chance)
    gain, shift = 1 + 0.1 * torch.rand(5, 3, generator=chance), 0.1 * torch.rand(5, 3, generator=chance) - 0.05
    expected = hed_to_rgb(rgb_to_hed(images) * gain[:, :, None, None] + shift[:, :, None, None])
    torch.testing.assert_close(jitter(images, gain, shift), expected, atol=1e-5, rtol=0)
