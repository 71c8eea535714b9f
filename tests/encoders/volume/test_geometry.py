from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cryostat.core.errors import InputError
from cryostat.encoders.volume.geometry import (
    cropped,
    nearest,
    oriented,
    resized,
    slice_axis,
    slice_axis_compat,
    spline,
)
from cryostat.encoders.volume.volume import Volume


def test_axes_point_right_posterior_inferior() -> None:
    data = np.arange(24).reshape(2, 3, 4)
    grid = oriented(Volume(data, np.diag([1.0, 2.0, 3.0, 1.0]), tumour=data * 10))
    assert np.array_equal(grid.data, data[:, ::-1, ::-1])
    assert np.array_equal(grid.masks["tumour"], data[:, ::-1, ::-1] * 10)
    assert grid.spacing.tolist() == [1, 2, 3]


def test_swapped_axes_take_their_spacing_along() -> None:
    affine = np.array([[0, 0, 3, 0], [1, 0, 0, 0], [0, 2, 0, 0], [0, 0, 0, 1]], float)
    grid = oriented(Volume(np.arange(24).reshape(2, 3, 4), affine))
    assert grid.data.shape == (4, 2, 3)
    assert grid.spacing.tolist() == [3, 1, 2]


@pytest.mark.parametrize(
    ("spacing", "axis"),
    [((1, 1, 1), 2), ((0.9, 0.9, 5.5), 2), ((5, 1, 1), 0), ((1, 5, 1), 1), ((1, 1.005, 1), 2), ((1, 1, 1.2), 2)],
)
def test_slices_lie_across_the_largest_spacing(spacing: tuple[float, ...], axis: int) -> None:
    assert slice_axis(np.array(spacing)) == axis


@pytest.mark.parametrize(
    ("shape", "spacing", "axis"),
    [
        ((240, 240, 155), (1, 1, 1), 2),
        ((208, 256, 26), (0.9, 0.9, 5.5), 2),
        ((240, 256, 240), (1.0001, 1, 1), 1),
        ((256, 256, 300), (1, 1, 0.9), 2),
    ],
)
def test_compat_looks_for_the_smallest_size_that_occurs_once(
    shape: tuple[int, ...], spacing: tuple[float, ...], axis: int
) -> None:
    assert slice_axis_compat(shape, np.array(spacing), "x") == axis


def test_compat_says_which_volumes_the_original_loses() -> None:
    with pytest.raises(InputError, match=r"x\.nii: has 256 voxels along every axis"):
        slice_axis_compat((256, 256, 256), np.array([1, 1, 1.2]), "x.nii")


def test_sizes_are_rounded_down_and_forgive_headers() -> None:
    one = np.ones(3)
    assert resized((208, 256, 26), np.array([0.8984375, 0.8984375, 5.5]), np.array([1, 1, 4]), 0) == [186, 230, 35]
    assert resized((240, 240, 155), one, np.array([1, 1, 4]), 0) == [240, 240, 38]
    assert resized((240, 240, 8), one * 0.9999999, one, 0) == [239, 239, 7]
    assert resized((240, 240, 8), one * 0.9999999, one, 1e-3) == [240, 240, 8]


@given(st.integers(2, 12), st.floats(0.4, 3), st.integers(0, 99))
def test_spline_is_that_of_scipy(length: int, step: float, seed: int) -> None:
    data = np.random.default_rng(seed).normal(size=(length, 5, 4))
    size = max(int(length / step), 1)
    wanted = ndimage.affine_transform(data, [step, 1, 1], output_shape=(size, 5, 4), order=3, mode="mirror")
    np.testing.assert_allclose(spline(data, np.array([step, 1, 1]), [size, 5, 4]), wanted, atol=1e-9)


def test_whole_steps_pick_voxels_without_touching_them() -> None:
    data = np.random.default_rng(0).normal(size=(4, 4, 9))
    assert np.array_equal(spline(data, np.array([1, 1, 4.0]), [4, 4, 3]), data[:, :, ::4])


def test_voxels_beyond_the_last_are_told_or_mirrored() -> None:
    data = np.full((2, 2, 4), 7.0)
    steps, sizes = np.array([1, 1, 0.45]), [2, 2, 9]
    assert spline(data, steps, sizes, beyond=0.0)[0, 0, 7] == pytest.approx(7)
    assert spline(data, steps, sizes, beyond=0.0)[0, 0, 8] == 0
    np.testing.assert_allclose(spline(data, steps, sizes), 7)


def test_masks_take_the_nearest_voxel() -> None:
    mask = np.array([[[0, 1, 2, 3]]]).repeat(2, 0).repeat(2, 1)
    assert nearest(mask, np.array([1, 1, 0.5]), [2, 2, 8])[0, 0].tolist() == [0, 1, 1, 2, 2, 3, 3, 3]
    assert nearest(mask, np.array([1, 1, 2.0]), [2, 2, 2])[0, 0].tolist() == [0, 2]


@pytest.mark.parametrize(("axis", "shape"), [(0, (48, 32, 16)), (1, (32, 16, 48)), (2, (20, 32, 48))])
def test_crops_keep_the_centre_with_slices_first(axis: int, shape: tuple[int, ...]) -> None:
    data = np.zeros((50, 35, 22))
    starts = [(n - n // m * m) // 2 for n, m in zip(data.shape, np.where(np.arange(3) == axis, 4, 16), strict=True)]
    data[tuple(starts)] = 1
    found = cropped(data, axis)
    assert found.shape == shape
    assert found[0, 0, 0] == 1
