"""What each perturbation does to pixels, on values that can be checked by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cryostat.cells.ladders.perturbations import PERTURBATIONS, Field, find_perturbation
from cryostat.core.errors import SettingError

HERE = Field("f1", 0.5)
CHANGING = [one for one in PERTURBATIONS.values() if one.change is not None]


def tissue(seed: int = 0, side: int = 32) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0.2, 1, (side, side, 3)).astype(np.float32)


@pytest.mark.parametrize("one", CHANGING, ids=lambda one: one.name)
def test_neutral_is_the_very_pixels_and_steps_grow(one) -> None:
    pixels = tissue()
    assert one.of(pixels, one.neutral, HERE) is pixels
    away = [float(np.abs(one.of(pixels, amount, HERE) - pixels).mean()) for amount in one.amounts]
    assert away == sorted(away)
    assert 0 < away[0] < away[-1]


@pytest.mark.parametrize("one", CHANGING, ids=lambda one: one.name)
@given(seed=st.integers(0, 50), step=st.integers(1, 5))
def test_pixels_stay_pixels_and_the_same_every_time(one, seed: int, step: int) -> None:
    pixels = tissue(seed, 16)
    before, amount = pixels.copy(), one.amounts[step - 1]
    changed = one.of(pixels, amount, HERE)
    assert changed.shape == pixels.shape
    assert changed.dtype == np.float32
    assert 0 <= changed.min() <= changed.max() <= 1
    np.testing.assert_array_equal(changed, one.of(pixels, amount, HERE))
    np.testing.assert_array_equal(pixels, before)


def test_half_the_light_is_half_of_each_value() -> None:
    np.testing.assert_array_equal(PERTURBATIONS["brightness"].of(tissue(), 0.5, HERE), tissue() * np.float32(0.5))


def test_pure_haematoxylin_at_half_its_density_is_the_root_of_its_colour() -> None:
    colour = np.exp(-np.array([0.65, 0.70, 0.29])).astype(np.float32)
    faded = PERTURBATIONS["stain"].of(np.broadcast_to(colour, (4, 4, 3)).copy(), 0.5, HERE)
    np.testing.assert_allclose(faded[0, 0], np.sqrt(colour), atol=1e-5)


def test_glass_stays_white_however_it_is_stained() -> None:
    white = np.ones((4, 4, 3), np.float32)
    for name in ("stain", "overstain"):
        np.testing.assert_allclose(PERTURBATIONS[name].of(white, 3.0, HERE), 1, atol=1e-6)


def test_blur_is_in_micrometres_and_keeps_the_light() -> None:
    point = np.zeros((65, 65, 3), np.float32)
    point[32, 32] = 1
    fine, coarse = (PERTURBATIONS["blur"].of(point, 2.0, Field("f1", mpp)) for mpp in (0.5, 1.0))
    assert fine[32, 32, 0] == pytest.approx(1 / (2 * np.pi * 4**2), rel=0.01)
    assert coarse[32, 32, 0] == pytest.approx(1 / (2 * np.pi * 2**2), rel=0.02)
    assert fine[..., 0].sum() == pytest.approx(1, abs=1e-4)


def test_noise_is_that_of_the_field_one_pattern_at_all_steps() -> None:
    grey = np.full((64, 64, 3), 0.5, np.float32)
    weak, strong = (PERTURBATIONS["noise"].of(grey, amount, HERE) - grey for amount in (0.02, 0.04))
    assert weak.std() == pytest.approx(0.02, rel=0.02)
    np.testing.assert_allclose(strong, 2 * weak, atol=1e-6)
    other = PERTURBATIONS["noise"].of(grey, 0.02, Field("f2", 0.5)) - grey
    assert abs(np.corrcoef(weak.ravel(), other.ravel())[0, 1]) < 0.05


def test_facts_tell_steps_apart_and_only_scale_magnifies() -> None:
    facts = [str(one.facts(step)) for one in PERTURBATIONS.values() for step in range(1, len(one.amounts) + 1)]
    assert len(set(facts)) == len(facts)
    assert [one.name for one in PERTURBATIONS.values() if one.magnification(0.5) != 1] == ["scale"]


def test_unknown_perturbations_are_named() -> None:
    with pytest.raises(SettingError, match=r"no perturbation 'fog'.*blur"):
        find_perturbation("fog")
