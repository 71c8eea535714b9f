from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.feature import graycomatrix, graycoprops

from cryostat.encoders.volume.nifti import read_volume
from cryostat.encoders.volume.registry import load_volume_encoder
from cryostat.encoders.volume.stats.intensity import STATISTICS, binned, standardised, statistics
from cryostat.encoders.volume.stats.regions import FEATURES, describe
from cryostat.encoders.volume.stats.shape import SHAPE, axes, shape, surface
from cryostat.encoders.volume.stats.texture import DIRECTIONS, TEXTURE, cooccurrence, haralick
from cryostat.encoders.volume.volume import Volume

Phantom = Callable[..., Volume]


def ball(radius: float, spacing: tuple[float, float, float] = (1, 1, 1)) -> NDArray[np.bool_]:
    lines = (np.arange(-int(radius / s) - 3, int(radius / s) + 4) * s + 0.1 for s in spacing)
    return np.asarray(sum(axis**2 for axis in np.meshgrid(*lines, indexing="ij")) <= radius**2)


def named(volume: Volume) -> dict[str, float]:
    return dict(zip(FEATURES, describe(volume)[0], strict=True))


@pytest.mark.parametrize("spacing", [(1, 1, 1), (1, 1, 4), (0.9, 0.9, 5.5)])
def test_a_ball_of_2_cm_has_its_volume_surface_sphericity_and_axes(spacing: tuple[float, float, float]) -> None:
    found = dict(zip(SHAPE, shape(ball(20, spacing), np.array(spacing)), strict=True))
    assert found["volume [mL]"] == pytest.approx(4 / 3 * np.pi * 8, rel=0.015)
    assert found["surface [cm²]"] == pytest.approx(4 * np.pi * 4, rel=0.03)
    assert found["sphericity"] == pytest.approx(1, abs=0.03)
    assert found["surface to volume [1/mm]"] == pytest.approx(3 / 20, rel=0.04)
    assert found["longest axis [mm]"] == pytest.approx(40, rel=0.03)
    assert found["elongation"] == pytest.approx(1, abs=0.03)
    assert found["parts"] == found["share of the largest part"] == 1


def test_a_beam_has_the_axes_of_its_moments() -> None:
    beam = np.ones((30, 10, 4), bool)
    # The second moment of a beam of side a is a²/12: its ellipsoid has the axis 2·√(5·a²/12) = a·√(5/3).
    assert axes(beam, np.array([2.0, 1, 1])) == pytest.approx(np.array([60, 10, 4]) * np.sqrt(5 / 3))
    assert shape(beam, np.ones(3))[SHAPE.index("flatness")] == pytest.approx(4 / 30)
    assert surface(np.ones((40, 40, 40), bool), np.ones(3)) == pytest.approx(6 * 1600, rel=0.03)


def test_single_voxels_and_parts_are_measured() -> None:
    mask = np.zeros((9, 9, 9), bool)
    mask[1, 1, 1] = mask[5:7, 5, 5] = True
    found = dict(zip(SHAPE, shape(mask, np.full(3, 2.0)), strict=True))
    assert found["volume [mL]"] == pytest.approx(0.024)
    assert found["parts"] == 2
    assert found["share of the largest part"] == pytest.approx(2 / 3)
    assert all(np.isfinite(shape(mask[:3, :3, :3], np.ones(3))))


def test_pairs_of_a_line_are_counted_both_ways() -> None:
    line = np.array([[[0, 0, 1, 2]]])
    pairs = cooccurrence(line, np.ones(line.shape, bool), bins=3)
    assert (pairs * 6).tolist() == [[2, 1, 0], [1, 0, 1], [0, 1, 0]]
    found = dict(zip(TEXTURE, haralick(pairs), strict=True))
    assert found["contrast"] == pytest.approx(4 / 6)
    assert found["dissimilarity"] == pytest.approx(4 / 6)
    assert found["homogeneity"] == pytest.approx(2 / 6 + 4 / 6 / 2)
    assert found["energy"] == pytest.approx(np.sqrt(4 / 36 + 4 / 36))
    assert found["entropy [bit]"] == pytest.approx(1 / 3 * np.log2(3) + 2 / 3 * np.log2(6))
    # Mean 2/3; variance 5/9; covariance (2·4/9 − 2·2/9 + 2·4/9)/6 = 0.2.
    mean = (3 * 0 + 2 * 1 + 1 * 2) / 6
    covariance = (2 * mean**2 + 2 * (0 - mean) * (1 - mean) + 2 * (1 - mean) * (2 - mean)) / 6
    variance = (3 * mean**2 + 2 * (1 - mean) ** 2 + (2 - mean) ** 2) / 6
    assert found["correlation"] == pytest.approx(covariance / variance)


def test_a_slice_has_the_texture_that_scikit_image_finds() -> None:
    image = np.random.default_rng(0).integers(0, 8, (20, 17))
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4]
    counts = graycomatrix(image.astype(np.uint8), [1], angles, 8, symmetric=True).sum(-1, keepdims=True)
    pairs = cooccurrence(image[..., None], np.ones((20, 17, 1), bool), bins=8)
    np.testing.assert_allclose(pairs, counts[..., 0, 0] / counts.sum())
    found = dict(zip(TEXTURE, haralick(pairs), strict=True))
    for name in ("contrast", "dissimilarity", "homogeneity", "energy", "correlation"):
        assert found[name] == pytest.approx(graycoprops(counts / counts.sum(), name)[0, 0]), name


def test_voxels_outside_the_region_are_in_no_pair() -> None:
    grey = np.random.default_rng(0).integers(0, 4, (6, 6, 6))
    mask = np.zeros(grey.shape, bool)
    mask[1:4, 2:5, 1:5] = True
    inside = grey[1:4, 2:5, 1:5]
    for distance in (1, 2):
        alone = cooccurrence(inside, np.ones(inside.shape, bool), distance, bins=4)
        np.testing.assert_array_equal(cooccurrence(grey, mask, distance, bins=4), alone)
    assert len(DIRECTIONS) == 13
    assert not haralick(cooccurrence(grey, np.zeros_like(mask), bins=4)).any()


def test_statistics_of_a_known_region() -> None:
    values = np.array([0.0, 0, 0, 4])
    found = dict(zip(STATISTICS, statistics(values, np.array([0, 0, 0, 31])), strict=True))
    assert found["mean [IQR]"] == 1
    assert found["standard deviation [IQR]"] == pytest.approx(np.sqrt(3))
    assert found["skewness"] == pytest.approx(2 / np.sqrt(3))
    assert found["excess kurtosis"] == pytest.approx(7 / 3 - 3)
    assert found["entropy [bit]"] == pytest.approx(0.25 * 2 + 0.75 * np.log2(4 / 3))
    assert found["uniformity"] == pytest.approx(10 / 16)
    assert np.isfinite(statistics(np.zeros(1), np.zeros(1, int))).all()


def test_grey_values_are_measured_against_the_brain() -> None:
    data = np.arange(101.0).reshape(101, 1, 1)
    brain = np.ones(data.shape, bool)
    assert standardised(data, brain)[[50, 100, 0]].ravel().tolist() == [0, 1, -1]
    assert binned(np.array([-5, 0, 49.9, 50, 100, 120]), 0, 100).tolist() == [0, 0, 15, 16, 31, 31]


@pytest.fixture
def marked(phantom: Phantom) -> Volume:
    tumour = np.zeros((64, 80, 48), np.uint8)
    tumour[40:52, 30:42, 20:28] = 2
    tumour[42:48, 32:38, 22:26] = 4
    tumour[44:46, 34:36, 23:25] = 1
    return phantom(tumour=tumour)


def test_parts_of_the_tumour_are_told_by_their_labels(marked: Volume) -> None:
    found = named(marked)
    assert found["tumour given"] == 1
    assert found["tumour volume [mL]"] == pytest.approx(12 * 12 * 8 / 1000)
    assert found["necrosis volume [mL]"] == pytest.approx(0.008)
    assert found["enhancing volume [mL]"] == pytest.approx((6 * 6 * 4 - 8) / 1000)
    assert found["oedema share of tumour"] == pytest.approx(1 - 144 / 1152)
    assert found["tumour place right [of brain]"] > 0.1
    assert found["tumour place posterior [of brain]"] > 0
    assert marked.tumour is not None
    assert named(replace(marked, tumour=np.where(marked.tumour == 4, 3, marked.tumour))) == found


def test_without_a_tumour_its_numbers_are_0(phantom: Phantom) -> None:
    found = named(phantom())
    assert not any(value for name, value in found.items() if not name.startswith("brain"))
    empty = named(phantom(tumour=np.zeros((64, 80, 48), np.uint8)))
    assert empty == {**found, "tumour given": 1}


def test_scale_storage_orientation_and_margins_do_not_matter(marked: Volume) -> None:
    wanted, _ = describe(marked)
    assert marked.tumour is not None
    scaled = replace(marked, data=marked.data.astype(np.float32) * 0.25)
    np.testing.assert_allclose(describe(scaled)[0], wanted, rtol=1e-6, atol=1e-9)
    flipped = replace(
        marked,
        data=marked.data[::-1],
        tumour=marked.tumour[::-1],
        affine=np.array([[-1, 0, 0, 63], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    )
    np.testing.assert_array_equal(describe(flipped)[0], wanted)
    padded = replace(marked, data=np.pad(marked.data, 9), tumour=np.pad(marked.tumour, 9))
    np.testing.assert_allclose(describe(padded)[0], wanted, atol=1e-9)


def test_every_number_has_a_name_of_its_own() -> None:
    assert len(set(FEATURES)) == len(FEATURES) == load_volume_encoder("volume-stats").card.width == 90


def test_a_patient_is_the_mean_of_series(marked: Volume, phantom: Phantom) -> None:
    encoder = load_volume_encoder("volume-stats")
    found = encoder.encode([marked, phantom(name="flair")])
    np.testing.assert_allclose(found.vector, found.per_series.mean(0), rtol=1e-6)
    assert found.features == FEATURES
    assert encoder.weights_hash() == ""
    assert encoder.identity()["encoder"] == "volume-stats"
    np.testing.assert_array_equal(encoder.encode([marked, phantom(name="flair")]).vector, found.vector)


def test_the_rim_of_a_real_glioma_enhances(shared: Path) -> None:
    folder = shared / "data/mri/TCGA-FG-6692/brats"
    found = named(read_volume(folder / "t1c.nii.gz", tumour=folder / "tumour_consensus.nii.gz"))
    assert found["enhancing intensity mean [IQR]"] > 1 > found["oedema intensity mean [IQR]"]
    assert found["tumour volume [mL]"] == pytest.approx(30.18, abs=0.01)
    assert 1200 < found["brain volume [mL]"] < 1800
