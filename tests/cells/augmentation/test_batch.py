from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from torch import Generator, Tensor

from cryostat.cells.augmentation import NONE, PUBLISHED, STANDARD, Augmentations, augment, augment_each
from cryostat.cells.augmentation.geometry import elastic_displacement
from cryostat.cells.augmentation.settings import Elastic
from cryostat.core.errors import SettingError

SIDE = 32


def batch(count: int = 4, side: int = SIDE) -> tuple[Tensor, Tensor]:
    chance = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, side, side, generator=chance), torch.randint(
        0, 7, (count, side, side), generator=chance, dtype=torch.uint8
    )


def run(images: Tensor, masks: Tensor, settings: Augmentations, seed: int = 0) -> tuple[Tensor, Tensor]:
    return augment(images, masks, settings, torch.Generator().manual_seed(seed))


def test_no_augmentation_changes_nothing() -> None:
    images, masks = batch()
    out, labels = run(images, masks, NONE)
    assert torch.equal(out, images)
    assert torch.equal(labels, masks)
    assert labels.dtype == masks.dtype


def test_an_affine_that_does_nothing_changes_nothing_to_see() -> None:
    images, masks = batch()
    out, labels = run(images, masks, replace(NONE, affine=1, rotation=(0, 0), scale=(1, 1), shift=0))
    torch.testing.assert_close(out, images, atol=1e-5, rtol=0)
    assert torch.equal(labels, masks)


@pytest.mark.parametrize(("name", "axis"), [("flip_horizontal", -1), ("flip_vertical", -2)])
def test_flips_are_exact(name: str, axis: int) -> None:
    images, masks = batch()
    out, labels = run(images, masks, replace(NONE, **{name: 1.0}))
    assert torch.equal(out, images.flip(axis))
    assert torch.equal(labels, masks.flip(axis))


@pytest.mark.parametrize("side", [32, 31, 224])
@pytest.mark.parametrize("turns", [1, 2, 3])
def test_quarter_turns_are_counter_clockwise(turns: int, side: int) -> None:
    images, masks = batch(2, side)
    angle = 90.0 * turns
    out, labels = run(images, masks, replace(NONE, affine=1, rotation=(angle, angle), scale=(1, 1), shift=0))
    torch.testing.assert_close(out, torch.rot90(images, turns, (2, 3)), atol=2e-4, rtol=0)
    assert torch.equal(labels, torch.rot90(masks, turns, (1, 2)))


def planted(count: int, row: int, column: int, side: int = 64) -> tuple[Tensor, Tensor]:
    """A bright 5 × 5 dot of class 3 on nothing."""
    images, masks = torch.zeros(count, 3, side, side), torch.zeros(count, side, side, dtype=torch.long)
    images[:, :, row - 2 : row + 3, column - 2 : column + 3] = 1
    masks[:, row - 2 : row + 3, column - 2 : column + 3] = 3
    return images, masks


def centre(weights: Tensor) -> Tensor:
    """(N, 2) centre of mass as row and column of (N, S, S)."""
    rows = torch.arange(weights.shape[1], dtype=torch.float32)
    mass = weights.sum((1, 2))
    return torch.stack([(weights.sum(2) @ rows) / mass, (weights.sum(1) @ rows) / mass], 1)


def test_image_and_mask_move_together() -> None:
    images, masks = planted(32, 24, 36)
    out, labels = run(images, masks, replace(STANDARD, stain_gain=0, stain_shift=0, affine=1, elastic=1))
    assert set(labels.unique().tolist()) == {0, 3}
    seen = (labels == 3).flatten(1).any(1)
    assert seen.sum() > 16
    apart = centre(out[seen].mean(1)) - centre((labels[seen] == 3).float())
    assert apart.abs().max() < 0.7
    assert (centre(out[seen].mean(1)) - torch.tensor([24.0, 36.0])).norm(dim=1).max() > 5


def test_scale_magnifies_about_the_centre() -> None:
    images, masks = torch.ones(1, 3, 64, 64), torch.zeros(1, 64, 64, dtype=torch.long)
    masks[:, 24:40, 24:40] = 1
    _, labels = run(images, masks, replace(NONE, affine=1, rotation=(0, 0), scale=(1.5, 1.5), shift=0))
    expected = torch.zeros_like(masks)
    expected[:, 20:44, 20:44] = 1
    assert torch.equal(labels, expected)


def test_outside_is_zero_in_image_and_mask() -> None:
    images, masks = torch.ones(1, 3, 32, 32), torch.ones(1, 32, 32, dtype=torch.long)
    out, labels = run(images, masks, replace(NONE, affine=1, rotation=(0, 0), scale=(0.5, 0.5), shift=0))
    assert labels.sum() == 16 * 16
    assert not out[0, :, :7].any()


def moves(settings: Augmentations) -> Tensor:
    images, masks = planted(64, 32, 32)
    return centre(run(images, masks, settings)[0].mean(1)) - 32


def test_no_horizontal_shift_is_the_published_quirk() -> None:
    shifting = replace(NONE, affine=1, rotation=(0, 0), scale=(1, 1), shift=0.1)
    free, quirk = moves(shifting).abs().amax(0), moves(replace(shifting, no_horizontal_shift=True)).abs().amax(0)
    assert free.tolist() == pytest.approx([6.4, 6.4], abs=0.8)
    assert quirk[0].item() == pytest.approx(6.4, abs=0.8)
    assert quirk[1].item() == pytest.approx(0, abs=1e-3)


def test_flat_elastic_is_the_published_quirk() -> None:
    """Columns as brightness: how far a pixel came from is read off; the published form moves it by a pixel."""
    side = 224
    columns = torch.arange(side, dtype=torch.float32).expand(8, 3, side, side) / side
    masks = torch.zeros(8, side, side, dtype=torch.long)
    spread, folds = {}, {}
    for flat in (True, False):
        out, _ = run(columns, masks, replace(NONE, elastic=1, flat_elastic=flat))
        inner = (out - columns)[:, 0, 40:-40, 40:-40] * side
        spread[flat] = inner.std().item()
        folds[flat] = (out[:, 0, 40:-40, 40:-40].diff(dim=-1) < 0).float().mean().item()
    assert spread[True] == pytest.approx(1, abs=0.25)
    assert spread[False] == pytest.approx(2.4, abs=0.4)
    assert folds[False] < 1e-3


def test_a_seed_says_everything() -> None:
    images, masks = batch()
    first, again, other = (
        run(images, masks, STANDARD, 1),
        run(images, masks, STANDARD, 1),
        run(images, masks, STANDARD, 2),
    )
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], other[0])


def test_the_global_generator_is_left_alone() -> None:
    before = torch.get_rng_state()
    run(*batch(), STANDARD)
    assert torch.equal(before, torch.get_rng_state())


def test_autocast_and_half_precision_change_nothing_but_rounding() -> None:
    images, masks = batch()
    out, labels = run(images, masks, STANDARD)
    with torch.autocast("cpu", torch.bfloat16):
        cast, cast_labels = run(images, masks, STANDARD)
    half, half_labels = run(images.bfloat16(), masks, STANDARD)
    assert torch.equal(cast, out)
    assert torch.equal(cast_labels, labels)
    assert torch.equal(half_labels, labels)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), out, atol=0.05, rtol=0)


def test_several_masks_move_as_one() -> None:
    images, masks = batch()
    _, single = run(images, masks, STANDARD)
    _, double = run(images, torch.stack([masks, masks], 1), STANDARD)
    assert torch.equal(double[:, 0], single)
    assert torch.equal(double[:, 1], single)


def own(numbers: list[int]) -> list[Generator]:
    return [Generator().manual_seed(1000 + number) for number in numbers]


@hypothesis_settings(deadline=None, max_examples=15)
@given(st.permutations(range(6)), st.integers(1, 6), st.sampled_from([15, 32, 50]))
def test_an_image_does_not_notice_its_companions(order: list[int], count: int, side: int) -> None:
    images, masks = batch(6, side)
    out, labels = augment_each(images, masks, STANDARD, own(list(range(6))))
    company = order[:count]
    some, some_labels = augment_each(images[company], masks[company], STANDARD, own(company))
    assert torch.equal(some, out[company])
    assert torch.equal(some_labels, labels[company])


def test_one_generator_for_all_is_one_for_each_seeded_by_it() -> None:
    images, masks = batch()
    seeds = torch.randint(2**62, (4,), generator=Generator().manual_seed(3)).tolist()
    out, labels = augment_each(images, masks, STANDARD, [Generator().manual_seed(s) for s in seeds])
    assert torch.equal(out, run(images, masks, STANDARD, 3)[0])
    assert torch.equal(labels, run(images, masks, STANDARD, 3)[1])


def test_as_much_chance_is_used_whatever_the_settings() -> None:
    used = []
    for settings in (NONE, STANDARD, replace(STANDARD, elastic=0)):
        chance = own([0])
        augment_each(*batch(1), settings, chance)
        used.append(chance[0].get_state())
    assert torch.equal(used[0], used[1])
    assert torch.equal(used[0], used[2])


def test_the_chances_come_true_at_their_rates() -> None:
    """Of 400 images half are flipped either way: 200 ± 4 standard deviations of 10."""
    images = torch.arange(2.0).expand(400, 3, 2, 2)
    masks = torch.zeros(400, 2, 2, dtype=torch.uint8)
    out, _ = augment_each(images, masks, replace(NONE, flip_horizontal=0.5), own(list(range(400))))
    assert abs(int((out[:, 0, 0, 0] == 1).sum()) - 200) < 40


def test_an_empty_batch_stays_empty() -> None:
    images, masks = augment_each(torch.zeros(0, 3, 8, 8), torch.zeros(0, 2, 8, 8, dtype=torch.int32), STANDARD, [])
    assert images.shape == (0, 3, 8, 8)
    assert masks.shape == (0, 2, 8, 8)


def test_generators_that_do_not_fit() -> None:
    with pytest.raises(SettingError, match="3 generators do not fit 4 images"):
        augment_each(*batch(), STANDARD, own([0, 1, 2]))


def test_elastic_noise_is_smoothed_by_a_gaussian_window() -> None:
    """A single 1 among zeros becomes the window, cut off at the border."""
    form = Elastic(kernel=5, sigma=1.0, alpha=2.0)
    noise = torch.zeros(1, 2, 9, 9)
    noise[0, 0, 4, 4] = noise[0, 1, 0, 3] = 1
    found = elastic_displacement(noise, form)[0]
    bell = [math.exp(-(d**2) / 2) for d in (-2, -1, 0, 1, 2)]
    window = torch.tensor([0, 0, *bell, 0, 0]) / sum(bell)
    torch.testing.assert_close(found[..., 0], 2 * window[:, None] * window[None])
    cut = torch.tensor([*bell[2:], *[0] * 6]) / sum(bell)
    torch.testing.assert_close(found[..., 1], 2 * cut[:, None] * window.roll(-1)[None])


def test_stain_stays_in_range() -> None:
    out, _ = run(*batch(), STANDARD)
    assert out.min() >= 0
    assert out.max() <= 1


def test_quirks_are_named() -> None:
    assert STANDARD.quirks == ()
    assert PUBLISHED.quirks == ("no_horizontal_shift", "strong_stains", "flat_elastic")


@pytest.mark.parametrize("wrong", [{"affine": 1.5}, {"scale": (1.2, 0.8)}, {"rotation": (9, 0)}, {"shift": -1}])
def test_impossible_settings(wrong: dict[str, float]) -> None:
    with pytest.raises(SettingError, match=next(iter(wrong))):
        Augmentations(**wrong)


def test_shapes_that_do_not_belong_together() -> None:
    with pytest.raises(SettingError, match="cannot be augmented together"):
        run(torch.zeros(1, 3, 8, 8), torch.zeros(1, 8, 9, dtype=torch.long), NONE)
    with pytest.raises(SettingError, match="cannot be augmented together"):
        run(torch.zeros(1, 3, 8, 9), torch.zeros(1, 8, 9, dtype=torch.long), NONE)
