from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2hed

from cryostat.cells.datasets.stain import contrast, evidence, haematoxylin


def test_haematoxylin_is_that_of_skimage_in_another_unit() -> None:
    image = np.random.default_rng(0).integers(30, 255, (16, 16, 3)).astype(np.uint8)
    # skimage measures density in units of ln(10⁻⁶) and cuts negative values off.
    expected = rgb2hed(image)[..., 0] * -np.log(1e-6) / np.log(10)
    assert np.maximum(haematoxylin(image), 0) == pytest.approx(expected, abs=0.03)


def test_sixteen_bits_are_measured_from_their_own_white() -> None:
    image = np.full((32, 32, 3), 250, np.uint8)
    image[8:16, 8:16] = (90, 60, 140)
    deep = image.astype(np.uint16) * 100 + 50
    assert haematoxylin(deep)[10, 10] - haematoxylin(deep)[0, 0] == pytest.approx(
        haematoxylin(image)[10, 10] - haematoxylin(image)[0, 0], abs=0.02
    )


def test_contrast_by_hand() -> None:
    instances = np.zeros((9, 9), int)
    instances[4, 4], instances[0, 0] = 7, 3
    stain = np.full((9, 9), 0.2, np.float32)
    stain[4, 4], stain[0, 0] = 1.0, 0.1
    # All background lies within 5 px of nucleus 7, which takes the shared ground; nucleus 3 keeps none.
    assert contrast(stain, instances) == pytest.approx([0.8])
    assert contrast(stain, np.zeros((9, 9), int)).size == 0


def test_evidence_is_welchs_t() -> None:
    # Means 2 and 5, variances 1 and 1, three each: (2 - 5) / sqrt(1/3 + 1/3).
    assert evidence(np.array([1.0, 2, 3]), np.array([4.0, 5, 6])) == pytest.approx(-3 / np.sqrt(2 / 3))
    assert evidence(np.array([1.0]), np.array([4.0, 5, 6])) == 0
    assert evidence(np.ones(3), np.ones(3)) == 0
