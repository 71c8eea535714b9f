from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cryostat.core.errors import InputError, SettingError
from cryostat.core.identity import differences
from cryostat.encoders.volume.foreground import foreground
from cryostat.encoders.volume.nifti import read_volume
from cryostat.encoders.volume.preprocessing import Preprocessing
from cryostat.encoders.volume.tokens import Tokens, folded, to_unit
from cryostat.encoders.volume.volume import Volume

Phantom = Callable[..., Volume]
COMPAT, EXPLICIT = Preprocessing("compat"), Preprocessing()


def assert_same(ours: Tokens, theirs: Tokens, tolerance: float = 0.0) -> None:
    assert ours.shape == theirs.shape
    assert np.array_equal(ours.coords, theirs.coords)
    np.testing.assert_allclose(ours.values, theirs.values, atol=tolerance, rtol=0)


@pytest.mark.parametrize(("series", "fixture"), [("flair", "fla"), ("t1c", "t1c")])
def test_compat_meets_the_published_program_on_real_volumes(shared: Path, series: str, fixture: str) -> None:
    wanted = np.load(shared / "parity" / f"neurovfm_tokens_{fixture}.npz")
    found = COMPAT.tokenise(read_volume(shared / f"data/mri/TCGA-FG-6692/native/{series}.nii.gz"))
    assert found.shape == tuple(wanted["shape"])
    assert len(found) == wanted["n"]
    assert np.array_equal(found.coords, wanted["coords"])
    np.testing.assert_allclose(found.values.mean(1), wanted["token_mean"], atol=1e-6)
    np.testing.assert_allclose(found.values.std(1), wanted["token_std"], atol=1e-6)
    np.testing.assert_allclose(found.values[:24], wanted["first_tokens"], atol=1e-6)


@pytest.mark.parametrize(
    ("series", "expected"),
    [
        ("native/t2", ((32, 224, 192), 1344, "otsu")),
        ("brats/flair", ((36, 240, 240), 2025, "constant surround")),
    ],
)
def test_storage_does_not_change_real_tokens(
    shared: Path, tmp_path: Path, series: str, expected: tuple[tuple[int, ...], int, str]
) -> None:
    import nibabel

    path = shared / f"data/mri/TCGA-FG-6692/{series}.nii.gz"
    image = nibabel.load(path)
    copy = nibabel.Nifti1Image(np.asarray(image.dataobj).astype(np.float32), image.affine)
    nibabel.save(copy, tmp_path / "copy.nii")
    found = EXPLICIT.tokenise(read_volume(path))
    assert (found.shape, found.candidates, found.rule) == expected
    assert_same(EXPLICIT.tokenise(read_volume(tmp_path / "copy.nii")), found)


@pytest.mark.parametrize("noise", [0.0, 8.0])
def test_storage_and_scale_do_not_change_tokens(phantom: Phantom, noise: float) -> None:
    volume = phantom(noise=noise)
    wanted = EXPLICIT.tokenise(volume)
    assert wanted.rule == ("otsu" if noise else "constant surround")
    for dtype in (np.float32, np.float64, np.int32):
        assert_same(EXPLICIT.tokenise(replace(volume, data=volume.data.astype(dtype))), wanted)
    assert_same(EXPLICIT.tokenise(replace(volume, data=volume.data.astype(np.float64) / 64)), wanted, 1e-6)
    unmeasured = np.where(volume.data == 0, np.nan, volume.data)
    assert_same(EXPLICIT.tokenise(replace(volume, data=unmeasured)), wanted, 1 if not noise else 0)


def turned(volume: Volume, order: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """The same volume with its axes swapped and flipped, and an affine that says so."""
    data, affine = volume.data.transpose(order), volume.affine[:, [*order, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            data = np.flip(data, axis)
            affine[:3, 3] += affine[:3, axis] * (data.shape[axis] - 1)
            affine[:3, axis] *= -1
    return replace(volume, data=data, affine=affine)


@pytest.mark.parametrize("mode", ["explicit", "compat"])
def test_orientation_in_the_file_does_not_matter(phantom: Phantom, mode: str) -> None:
    tilt = np.array([[0.98, -0.17, 0.1, 5], [0.17, 0.98, 0, 3], [-0.1, 0.02, 0.99, 9], [0, 0, 0, 1]])
    volume = phantom(affine=tilt @ np.diag([1, 1, 1.5, 1]))
    wanted = Preprocessing(mode).tokenise(volume)
    ways = itertools.product(itertools.permutations(range(3)), [(False, True, False), (True, False, True)])
    for order, flips in ways:
        assert_same(Preprocessing(mode).tokenise(turned(volume, order, flips)), wanted, 1e-6)


def test_tokens_lie_in_raster_order() -> None:
    array = np.arange(8 * 32 * 16).reshape(8, 32, 16)
    tokens = folded(array)
    assert tokens.shape == (4, 1024)
    assert tokens[0, :17].tolist() == [*range(16), 16]
    assert tokens[0, 256] == 32 * 16
    assert tokens[1, 0] == 16 * 16
    assert tokens[2, 0] == 4 * 32 * 16


def test_a_token_knows_its_place_and_its_part_of_tumour(phantom: Phantom) -> None:
    tumour = np.zeros((64, 80, 48), np.uint8)
    tumour[32:48, 32:48, 16:32] = 4
    found = EXPLICIT.tokenise(phantom(tumour=tumour))
    assert found.shape == (12, 80, 64)
    assert found.tumour is not None
    marked = found.coords[found.tumour > 0]
    # R stays, A and S are turned round: rows 80 − 48 = 32 … 48 are token 2, slices (48 − 32)/4 = 4 … 8 are token 1.
    assert marked.tolist() == [[1, 2, 2]]
    assert found.tumour.max() == 1


def test_keep_is_the_part_of_a_token_that_must_be_tissue(phantom: Phantom) -> None:
    volume = phantom()
    counts = [len(Preprocessing(keep=keep).tokenise(volume)) for keep in (0.001, 0.25, 0.5, 1.0)]
    assert counts == sorted(counts, reverse=True)
    assert counts[0] > counts[3]
    brain = np.zeros(volume.data.shape, bool)
    brain[16:32, 32:48, 16:28] = True
    masked = replace(volume, brain=brain)
    assert Preprocessing(keep=0.75).tokenise(masked).coords.tolist() == [[1, 2, 1]]
    with pytest.raises(InputError, match="no token of it holds enough tissue"):
        Preprocessing(keep=0.76).tokenise(masked)


def test_percentile_rule_drops_tokens_with_one_voxel_of_background(phantom: Phantom) -> None:
    assert len(COMPAT.tokenise(phantom())) < len(Preprocessing(keep=0.9).tokenise(phantom()))
    assert COMPAT.tokenise(phantom()).rule == "tenth percentile"


def test_values_are_clipped_to_percentiles() -> None:
    data = np.arange(1001.0)
    unit = to_unit(data)
    assert unit[:6].tolist() == [0] * 6
    assert unit[-5:] == pytest.approx(1)
    assert unit[500] == pytest.approx(0.5)


@pytest.mark.parametrize("mode", ["explicit", "compat"])
@pytest.mark.parametrize("shape", [(15, 40, 40), (40, 40, 3), (2, 2, 2)])
def test_volumes_without_room_for_a_token_are_refused(phantom: Phantom, shape: tuple[int, ...], mode: str) -> None:
    data = np.arange(np.prod(shape)).reshape(shape)
    with pytest.raises(InputError, match=r"tiny\.nii: is too small to hold one token"):
        Preprocessing(mode).tokenise(Volume(data, np.eye(4), source="tiny.nii"))


def test_a_few_bright_voxels_are_no_contrast() -> None:
    data = np.zeros((32, 32, 32))
    data[16, 16, 16] = 1
    with pytest.raises(InputError, match=r"enough tissue|no contrast"):
        EXPLICIT.tokenise(Volume(data, np.eye(4)))


def test_settings_are_checked_and_told_apart() -> None:
    with pytest.raises(SettingError, match="explicit, compat"):
        Preprocessing("percentile")
    for keep in (0.0, 1.01, float("nan")):
        with pytest.raises(SettingError, match="part of a token"):
            Preprocessing(keep=keep)
    assert differences(EXPLICIT.identity(), Preprocessing(keep=0.5).identity()) == ["keep: 0.25 / 0.5"]
    assert COMPAT.identity() == Preprocessing("compat", 0.5).identity()


def test_cavities_belong_to_the_tissue_and_noise_does_not() -> None:
    data: NDArray[np.float64] = np.random.default_rng(0).uniform(0, 20, (40, 40, 40))
    data[8:32, 8:32, 8:32] += 500
    data[15:20, 15:20, 15:20] = 0
    mask, rule = foreground(data)
    wanted = np.zeros(data.shape, bool)
    wanted[8:32, 8:32, 8:32] = True
    assert rule == "otsu"
    assert mask[wanted].all()
    assert mask[~wanted].mean() < 0.005
    assert np.array_equal(foreground(np.where(wanted, data, -1000))[0], wanted)
    assert foreground(data, wanted)[1] == "brain mask"
