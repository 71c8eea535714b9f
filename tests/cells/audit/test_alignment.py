from __future__ import annotations

import numpy as np
import pytest

from cryostat.cells.audit.alignment import TURNS, fit
from cryostat.cells.audit.thumbnails import absorbance, coverage


@pytest.fixture(scope="module")
def planes(tissue):
    drawn = tissue(1)
    return absorbance(drawn.image, 0.5), coverage(drawn.instances, 0.5)


def test_thumbnails_measure_a_micrometre_a_pixel_and_keep_the_share_of_cover():
    instances = np.zeros((40, 60), int)
    instances[:20, :30] = 3
    cover = coverage(instances, 0.5)
    assert cover.shape == (20, 30)
    assert cover.mean() == 0.25
    assert cover[:10, :15].min() == 1
    assert coverage(instances, 2.0).shape == (40, 60)


def test_red_absorbance_is_log_10_of_the_red_channel():
    image = np.zeros((4, 4, 3), np.uint8)
    image[..., 0] = 99
    assert absorbance(image, 1.0) == pytest.approx(-2)


def test_a_true_mask_fits(planes):
    lie = fit(*planes)
    assert lie.given > 0.7
    assert lie.better_turn is None
    assert lie.better_shift is None
    assert not lie.unrelated


@pytest.mark.parametrize("name", TURNS)
def test_a_turned_mask_is_recognised_by_its_inverse(planes, name):
    dark, cover = planes
    turned = TURNS[name](cover)
    inverse = fit(dark, turned).better_turn
    assert np.array_equal(TURNS[inverse](turned), cover)


def test_an_oblong_field_is_not_tried_transposed(planes):
    dark, cover = planes
    lie = fit(dark[:150], cover[:150])
    assert set(lie.turns) == {"flipped top to bottom", "mirrored left to right", "turned by 180°"}


def test_a_moved_mask_is_told_where_to_move(planes):
    dark, cover = planes
    lie = fit(dark, np.roll(cover, (-6, 4), (0, 1)))
    assert lie.better_shift == (6, -4)
    assert lie.better_turn is None


def test_a_mask_of_another_field_is_unrelated(tissue, planes):
    lie = fit(planes[0], coverage(tissue(2).instances, 0.5))
    assert lie.unrelated
    assert lie.better_turn is None


def test_blank_planes_have_no_fit(planes):
    assert fit(np.zeros_like(planes[0]), planes[1]) is None
    assert fit(planes[0], np.zeros_like(planes[1])) is None
