from __future__ import annotations

import numpy as np
import pytest

from cryostat.cells.datasets.arrays import eight_bits, whole_numbers
from cryostat.core.errors import InputError


def test_whole_floats_become_integers() -> None:
    found = whole_numbers(np.array([0.0, 7.0, 70_000.0]), "f", "ids")
    assert found.dtype == np.int32
    assert found.tolist() == [0, 7, 70_000]


def test_integers_stay_as_they_are() -> None:
    ids = np.array([1, 2], np.uint16)
    assert whole_numbers(ids, "f", "ids") is ids
    assert whole_numbers(np.array([True, False]), "f", "mask").tolist() == [1, 0]


@pytest.mark.parametrize("bad", [0.5, np.nan, np.inf, -np.inf, 3e9])
def test_other_floats_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match=r"masks.*something else than whole numbers"):
        whole_numbers(np.array([1.0, bad]), "f", "masks")


def test_objects_and_text_are_refused() -> None:
    for array in (np.array([None]), np.array(["1"])):
        with pytest.raises(InputError):
            whole_numbers(array, "f", "ids")


def test_float_pixels_become_eight_bits() -> None:
    image = eight_bits(np.array([0.0, 128.0, 255.0]), "f")
    assert image.dtype == np.uint8
    assert image.tolist() == [0, 128, 255]


def test_sixteen_bits_are_kept() -> None:
    deep = np.array([60_000], np.uint16)
    assert eight_bits(deep, "f") is deep


@pytest.mark.parametrize("bad", [0.5, -1.0, 256.0, np.nan])
def test_normalised_pixels_are_refused(bad: float) -> None:
    with pytest.raises(InputError, match="as released, not normalised"):
        eight_bits(np.array([0.0, bad]), "f")
