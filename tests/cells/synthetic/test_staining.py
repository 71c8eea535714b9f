from __future__ import annotations

import numpy as np
import pytest

from cryostat.cells.synthetic.frame import Frame
from cryostat.cells.synthetic.staining import HOSPITALS, Hospital, Stain, blurred, render, stain_of

FRAME = Frame(64, 0.5)
PLAIN = Hospital((1.0, 0.5, 0.25), (0.1, 0.6, 0.2), (0.1, 0.7, 0.6), (240, 230, 220), blur=0.4, noise=0, jpeg=None)


def layers(haematoxylin: float) -> list[np.ndarray]:
    return [np.full((64, 64), value, np.float32) for value in (haematoxylin, 0, 0)]


def scanned(stain: Stain, haematoxylin: float) -> np.ndarray:
    return render(np.random.default_rng(0), FRAME, layers(haematoxylin), stain)


def plain(hospital: Hospital = PLAIN) -> Stain:
    vectors = np.array([hospital.haematoxylin, hospital.eosin, hospital.red], np.float32)
    return Stain(vectors, np.array(hospital.glass, np.float32), hospital)


def test_no_stain_shows_the_glass() -> None:
    assert (scanned(plain(), 0) == [240, 230, 220]).all()


def test_light_falls_off_as_beer_and_lambert_say() -> None:
    image = scanned(plain(), 1.0)
    # exp(−1) · 240, exp(−0.5) · 230, exp(−0.25) · 220; the thickness of the section varies round 1.
    assert np.median(image, (0, 1)) == pytest.approx([88.3, 139.5, 171.3], rel=0.08)
    assert np.median(-np.log(scanned(plain(), 2.0) / [240, 230, 220]), (0, 1)) == pytest.approx([2, 1, 0.5], rel=0.1)


def test_blur_keeps_the_mean_and_a_constant() -> None:
    spot = np.zeros((31, 31), np.float32)
    spot[15, 15] = 1
    soft = blurred(spot, 1.5)
    assert soft.sum() == pytest.approx(1, abs=1e-5)
    assert soft[15, 16] / soft[15, 15] == pytest.approx(np.exp(-0.5 / 1.5**2), rel=1e-4)
    assert blurred(np.full((9, 9), 3, np.float32), 2.0) == pytest.approx(3)


def test_stain_varies_little_between_slides_and_much_between_hospitals() -> None:
    def vectors(hospital: int, patient: int) -> np.ndarray:
        own, slide = np.random.default_rng(hospital), np.random.default_rng([hospital, patient])
        return stain_of(hospital, own, slide).vectors

    within = [np.abs(np.log(vectors(h, 1) / vectors(h, 2))).mean() for h in range(1, 7)]
    between = [np.abs(np.log(vectors(a, 1) / vectors(b, 1))).mean() for a in range(1, 7) for b in range(1, a)]
    assert np.mean(between) > 2 * np.mean(within)


def test_hospitals_beyond_the_table_differ_from_those_in_it() -> None:
    first, seventh = (
        stain_of(h, np.random.default_rng(h), np.random.default_rng(0)).vectors for h in (1, len(HOSPITALS) + 1)
    )
    assert not np.allclose(first, seventh, rtol=0.02)
