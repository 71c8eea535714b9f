from __future__ import annotations

import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from cryostat.cells.datasets.plain_pickle import read_plain_pickle
from cryostat.core.errors import InputError

RECORD = {
    "name": "crag_1_TILE_0",
    "numpy name": np.str_("crag_1"),
    "number": np.int64(7),
    "image": np.arange(24, dtype=np.float64).reshape(2, 3, 4),
    "fortran": np.asfortranarray(np.arange(6, dtype=np.uint8).reshape(2, 3)),
    "big endian": np.array([1, 258], ">u2"),
    "empty": np.zeros((0, 3), np.int32),
    "plain": [1, (2.5, None, True), b"bytes"],
}


def read(data: bytes) -> object:
    return read_plain_pickle(data, "record 3", "Use the release")


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_arrays_and_plain_values_come_back(protocol: int) -> None:
    found = read(pickle.dumps(RECORD, protocol=protocol))
    assert list(found) == list(RECORD)
    for key, value in RECORD.items():
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(found[key], value)
            assert (found[key].dtype, found[key].shape) == (value.dtype, value.shape)
        else:
            assert found[key] == value


def test_names_of_numpy_1_are_known() -> None:
    data = pickle.dumps(np.arange(3), protocol=2).replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    assert read(data).tolist() == [0, 1, 2]


class Harm:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_harm_is_named_and_never_done(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"record 3: .*asks for posix\.mkdir.*could run code\. Use the release"):
        read(pickle.dumps({"image": Harm(tmp_path / "harm")}))
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (Counter("ab"), "collections.Counter"),
        (np.array([{}], object), "O8"),
        (np.zeros(1, "f4,i4"), "V8"),
        (np.array(["ab"]), "an array of text"),
        (Path("x"), "pathlib"),
    ],
)
def test_other_things_are_refused_by_name(value: object, named: str) -> None:
    with pytest.raises(InputError, match=named):
        read(pickle.dumps(value))


def test_damaged_pickles_end_in_our_error() -> None:
    whole, rng = pickle.dumps({k: RECORD[k] for k in ("name", "number", "image")}, protocol=4), np.random.default_rng(0)
    for length in range(len(whole)):
        with pytest.raises(InputError):
            read(whole[:length])
    for _ in range(1000):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 2):
            data[at] = rng.integers(256)
        try:
            read(bytes(data))
        except InputError:
            continue
