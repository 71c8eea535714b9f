from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from scipy.ndimage import mean as label_mean
from skimage.measure import label
from skimage.segmentation import expand_labels

from cryostat.cells.field import Field
from cryostat.cells.synthetic.kinds import CLASSES
from cryostat.cells.synthetic.masks import MIN_AREA
from cryostat.cells.synthetic.tissue import make_field
from cryostat.core.errors import SettingError


@pytest.fixture(scope="module")
def fields() -> list[Field]:
    """A field of each of three hospitals and architectures."""
    return [make_field(0, hospital, 1, 1) for hospital in (1, 2, 3)]


def optical_density(field: Field) -> np.ndarray:
    return -np.log((field.image.mean(2) + 1) / 256)


def test_the_same_arguments_give_the_same_bits(fields: list[Field]) -> None:
    again = make_field(0, 2, 1, 1)
    assert np.array_equal(again.image, fields[1].image)
    assert np.array_equal(again.instances, fields[1].instances)
    assert np.array_equal(again.class_ids, fields[1].class_ids)


def test_another_process_with_more_threads_gives_the_same_bits(fields: list[Field]) -> None:
    code = (
        "import hashlib; from cryostat.cells.synthetic.tissue import make_field; f = make_field(0, 1, 1, 1);"
        "print(hashlib.sha256(f.image.tobytes() + f.instances.tobytes()).hexdigest())"
    )
    said = subprocess.run([sys.executable, "-c", code], env={"OMP_NUM_THREADS": "2"}, capture_output=True, check=True)
    ours = hashlib.sha256(fields[0].image.tobytes() + fields[0].instances.tobytes()).hexdigest()
    assert said.stdout.decode().strip() == ours


@pytest.mark.parametrize("other", [(1, 1, 1, 1), (0, 2, 1, 1), (0, 1, 2, 1), (0, 1, 1, 2)])
def test_any_other_argument_gives_another_field(other: tuple[int, int, int, int]) -> None:
    assert not np.array_equal(make_field(*other, size=128).instances, make_field(0, 1, 1, 1, size=128).instances)


def test_names_say_where_a_field_comes_from() -> None:
    field = make_field(0, 1, 3, 2, size=64)
    assert (field.fov_id, field.patient_id, field.site) == ("h1-p03-f2", "h1-p03", "hospital-1")


def test_architectures_take_turns() -> None:
    found = [make_field(0, 1, patient, 1, size=64).groups["architecture"] for patient in (1, 2, 3)]
    assert sorted(found) == ["healthy", "inflamed", "tumour"]


def test_ids_are_consecutive_and_every_nucleus_has_a_class(fields: list[Field]) -> None:
    for field in fields:
        ids = np.unique(field.instances)
        assert ids.tolist() == [0, *field.cell_ids.tolist()] == list(range(len(ids)))
        assert len(field.class_ids) == len(field.cell_ids) > 200
        assert set(field.class_ids) <= {c.id for c in CLASSES}


def test_every_nucleus_is_one_piece_of_some_size(fields: list[Field]) -> None:
    for field in fields:
        assert label(field.instances, connectivity=1).max() == len(field.cell_ids)
        assert np.bincount(field.instances.ravel())[1:].min() * field.mpp**2 >= MIN_AREA


def test_nuclei_are_darker_than_what_surrounds_them(fields: list[Field]) -> None:
    for field in fields:
        density = optical_density(field)
        around = expand_labels(field.instances, 3)
        around[field.instances > 0] = 0
        inside = label_mean(density, field.instances, field.cell_ids)
        outside = label_mean(density, around, field.cell_ids)
        assert (inside > outside)[np.isfinite(outside)].mean() > 0.95


def test_classes_are_imbalanced_and_all_there(fields: list[Field]) -> None:
    share = np.bincount(np.concatenate([field.class_ids for field in fields]), minlength=6)[1:]
    share = share / share.sum()
    assert share.min() > 0.005
    assert share[3] < 0.08
    assert share[0] > 0.25


def test_cells_have_the_size_and_form_of_their_kind(fields: list[Field]) -> None:
    areas = np.concatenate([np.bincount(field.instances.ravel())[1:] * 0.25 for field in fields])
    classes = np.concatenate([field.class_ids for field in fields])
    lymphocyte = np.median(areas[classes == 2])
    assert 2 * np.sqrt(lymphocyte / np.pi) == pytest.approx(6.3, abs=0.6)
    assert np.median(areas[classes == 1]) > 1.2 * lymphocyte


def test_hospitals_stain_differently() -> None:
    def mean_density(hospital: int, field: int) -> np.ndarray:
        # The same architecture in each: patient and hospital add up to a multiple of three.
        image = make_field(0, hospital, 6 - hospital, field, size=256).image.astype(float)
        return -np.log((image + 1) / 256).mean((0, 1))

    first, second = ([mean_density(h, f) for h in (1, 2, 3)] for f in (1, 2))
    within = np.mean([np.linalg.norm(a - b) for a, b in zip(first, second, strict=True)])
    between = np.mean([np.linalg.norm(first[i] - first[j]) for i in range(3) for j in range(i)])
    assert between > 2 * within


@pytest.mark.parametrize(("size", "mpp"), [(200, 0.5), (320, 0.25), (150, 1.0)])
def test_size_and_scale_are_kept(size: int, mpp: float) -> None:
    field = make_field(3, 1, 1, 1, size=size, mpp=mpp)
    assert field.image.shape == (size, size, 3)
    assert field.image.dtype == np.uint8
    assert field.instances.shape == (size, size)
    assert field.mpp == mpp
    areas = np.bincount(field.instances.ravel())[1:][field.class_ids == 2] * mpp**2
    assert 22 < np.median(areas) < 45


@pytest.mark.parametrize("numbers", [(-1, 1, 1, 1), (0, -1, 1, 1), (0, 1, -1, 1), (0, 1, 1, -1)])
def test_negative_numbers_are_refused(numbers: tuple[int, int, int, int]) -> None:
    with pytest.raises(SettingError, match="negative"):
        make_field(*numbers)
