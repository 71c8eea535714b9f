from __future__ import annotations

import contextlib
import gzip
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from cryostat.core.errors import CryostatError, InputError
from cryostat.encoders.volume.nifti import onto_grid, read_volume
from cryostat.encoders.volume.preprocessing import Preprocessing
from cryostat.encoders.volume.volume import Volume

Saved = Callable[..., Path]
RNG = np.random.default_rng(0)


def grey(*shape: int) -> np.ndarray:
    return RNG.integers(0, 900, shape).astype(np.int16)


def test_a_volume_comes_as_it_was_saved(saved: Saved) -> None:
    data, affine = grey(4, 5, 6), np.diag([0.5, 1, 3, 1.0])
    volume = read_volume(saved(data, affine, "t1c.nii.gz"))
    assert np.array_equal(volume.data, data)
    assert volume.data.dtype == np.int16
    assert volume.millimetres.tolist() == [0.5, 1, 3]
    assert volume.name == "t1c"
    assert read_volume(saved(data[..., None], affine, "b.nii"), name="flair").data.shape == (4, 5, 6)


def test_scaled_voxels_are_unscaled(tmp_path: Path) -> None:
    stored = grey(4, 5, 6)
    image = nibabel.Nifti1Image(stored, np.eye(4))
    image.header.set_slope_inter(2.0, -7.0)
    nibabel.save(image, tmp_path / "scaled.nii")
    assert np.array_equal(read_volume(tmp_path / "scaled.nii").data, stored * 2.0 - 7)


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (grey(4, 5, 6, 3), "not one volume but has the shape"),
        (grey(4, 5), "not one volume"),
        (grey(4, 5, 1), "not one volume|only 1 voxel"),
        (np.full((4, 5, 6), 7, np.int16), r"every voxel has the same value \(7\)"),
        (np.full((4, 5, 6), np.nan, np.float32), "every voxel is NaN"),
        (np.where(np.arange(120).reshape(4, 5, 6) == 3, np.inf, 1.0), "1 voxels are infinite"),
        (grey(4, 5, 6).astype(np.complex64), "not plain numbers"),
        (np.zeros((4, 5, 6), [("R", "u1"), ("G", "u1"), ("B", "u1")]), "not plain numbers"),
    ],
)
def test_what_is_no_volume_is_told(saved: Saved, data: np.ndarray, problem: str) -> None:
    path = saved(data)
    with pytest.raises(InputError, match=problem) as caught:
        read_volume(path)
    assert str(path) in str(caught.value)
    assert caught.value.remedy


def test_missing_empty_and_foreign_files_are_told(tmp_path: Path) -> None:
    (tmp_path / "empty.nii").touch()
    (tmp_path / "text.nii").write_text("not an image " * 100)
    (tmp_path / "text.nii.gz").write_text("not an image")
    (tmp_path / "slice.dcm").write_bytes(b"DICM")
    for name, problem in {
        "none.nii": "does not exist",
        "empty.nii": "is empty",
        "text.nii": "no NIfTI file",
        "text.nii.gz": "no NIfTI file",
        "slice.dcm": "dcm2niix",
    }.items():
        with pytest.raises(InputError, match=problem):
            read_volume(tmp_path / name)


@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.9, 0.999])
@pytest.mark.parametrize("name", ["a.nii.gz", "a.nii"])
def test_truncated_files_are_told(saved: Saved, part: float, name: str) -> None:
    path = saved(grey(20, 20, 20), name=name)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(InputError, match=r"damaged, truncated|is empty"):
        read_volume(path)


def test_damage_anywhere_in_the_header_ends_in_our_error_or_a_volume(saved: Saved) -> None:
    path = saved(grey(8, 8, 8), name="a.nii")
    whole = path.read_bytes()
    for place in range(0, 352, 9):
        for value in (0, 127, 255):
            path.write_bytes(whole[:place] + bytes([value]) + whole[place + 1 :])
            with contextlib.suppress(CryostatError):
                Preprocessing().tokenise(read_volume(path))


def damaged_header(path: Path, place: int, form: str, *values: float) -> None:
    whole = bytearray(path.read_bytes())
    struct.pack_into(form, whole, place, *values)
    path.write_bytes(bytes(whole))


def test_headers_that_contradict_themselves_are_told(saved: Saved) -> None:
    path = saved(grey(8, 8, 8), name="a.nii")
    damaged_header(path, 80, "<f", 2.5)
    with pytest.raises(InputError, match=r"contradicts itself: pixdim states a spacing of 2\.5 × 1 × 1 mm"):
        read_volume(path)
    damaged_header(path, 80, "<f", 1e6)
    with pytest.raises(InputError, match="states a spacing of"):
        read_volume(path)


def test_affines_that_fold_the_volume_are_told(saved: Saved) -> None:
    path = saved(grey(8, 8, 8), name="a.nii")
    damaged_header(path, 280, "<12f", 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0)
    with pytest.raises(InputError, match="folds the volume flat"):
        read_volume(path)


def test_a_header_that_claims_a_huge_volume_is_told_without_reading_it(saved: Saved) -> None:
    path = saved(grey(8, 8, 8), name="a.nii")
    damaged_header(path, 40, "<8h", 3, 32767, 32767, 32767, 1, 1, 1, 1)
    with pytest.raises(InputError, match=r"claims the shape|damaged"):
        read_volume(path)


def test_unknown_orientation_is_noted(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(grey(4, 5, 6), None)
    nibabel.save(image, tmp_path / "a.nii")
    assert "does not say how the patient lies" in read_volume(tmp_path / "a.nii").notes[0]


def test_unmeasured_voxels_are_background(saved: Saved) -> None:
    data = np.full((48, 48, 48), np.nan, np.float32)
    data[8:40, 8:40, 8:40] = RNG.uniform(100, 900, (32, 32, 32))
    found = Preprocessing(keep=1.0).tokenise(read_volume(saved(data)))
    assert found.rule == "constant surround"
    assert found.coords.tolist() == [[1, 1, 1]]


def test_masks_are_brought_onto_the_grid(saved: Saved) -> None:
    volume = saved(grey(8, 8, 8), np.diag([2, 2, 2, 1.0]), "v.nii")
    labels = np.zeros((16, 16, 16), np.float32)
    labels[4:8, 0:2, 10] = 4
    fine = np.diag([1, 1, 1, 1.0])
    found = read_volume(volume, tumour=saved(labels, fine, "m.nii")).tumour
    assert found is not None
    assert np.argwhere(found).tolist() == [[2, 0, 5], [3, 0, 5]]
    assert found[2, 0, 5] == 4
    same = read_volume(volume, tumour=saved(labels[:8, :8, :8], np.diag([2, 2, 2, 1.0]), "s.nii"))
    assert same.tumour is not None
    assert np.array_equal(same.tumour, labels[:8, :8, :8])


def test_masks_out_of_reach_are_empty_and_fractions_are_refused(saved: Saved) -> None:
    away = np.eye(4)
    away[:3, 3] = 500
    volume = read_volume(saved(grey(8, 8, 8), name="v.nii"))
    assert not onto_grid(np.ones((8, 8, 8), int), away, volume).any()
    with pytest.raises(InputError, match=r"m\.nii: its labels are not whole numbers"):
        read_volume(volume.source, tumour=saved(RNG.uniform(size=(8, 8, 8)), name="m.nii"))


def test_arrays_are_checked_like_files() -> None:
    with pytest.raises(InputError, match=r"t1: its tumour mask has the shape \(3, 3, 3\)"):
        Volume(grey(4, 5, 6), np.eye(4), "t1", tumour=np.zeros((3, 3, 3)))
    with pytest.raises(InputError, match="finite numbers"):
        Volume(grey(4, 5, 6), np.full((4, 4), np.nan))


def test_a_gzip_that_unpacks_to_something_else_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(b"x" * 1000))
    with pytest.raises(InputError, match="no NIfTI file"):
        read_volume(tmp_path / "a.nii.gz")


def test_real_masks_fit_real_volumes(shared: Path) -> None:
    folder = shared / "data/mri/TCGA-FG-6692/brats"
    mask = folder / "tumour_consensus.nii.gz"
    found = read_volume(folder / "t1c.nii.gz", tumour=mask, brain=folder / "brain_mask.nii.gz")
    assert found.tumour is not None
    assert found.brain is not None
    assert set(np.unique(found.tumour)) == {0, 1, 2, 4}
    assert (found.brain[found.tumour > 0] > 0).mean() > 0.95
