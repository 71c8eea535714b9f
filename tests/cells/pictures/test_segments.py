from __future__ import annotations

import numpy as np
import pytest

from cryostat.cells.pictures.segments import read_segments
from cryostat.core.errors import InputError

SHAPE = (6, 8)


def put(run, name="a", **arrays):
    good = {"instances": np.eye(6, 8, dtype=np.int32), "cell_ids": np.array([1]), "class_ids": np.array([2])}
    (run / "segments").mkdir(exist_ok=True)
    path = run / "segments" / f"{name}.npz"
    np.savez_compressed(path, **{k: v for k, v in (good | arrays).items() if v is not None})
    return path


def test_what_was_kept_is_read_and_the_rest_is_none(tmp_path):
    put(tmp_path, "a%2Fb")
    assert read_segments(tmp_path, "a", SHAPE) is None
    segments = read_segments(tmp_path, "a/b", SHAPE)
    assert segments.instances.shape == SHAPE
    assert (segments.cell_ids.tolist(), segments.class_ids.tolist()) == ([1], [2])


@pytest.mark.parametrize(
    "wrong",
    [
        {"instances": None},
        {"instances": np.zeros((6, 9), np.int32)},
        {"instances": np.zeros((6, 8), np.float32)},
        {"instances": np.full((6, 8), -1)},
        {"instances": np.full((6, 8), 2**40)},
        {"cell_ids": np.array([1, 2])},
        {"class_ids": np.array([[2]])},
        {"class_ids": np.array([{}], object)},
    ],
)
def test_what_does_not_fit_is_refused(tmp_path, wrong):
    put(tmp_path, **wrong)
    with pytest.raises(InputError):
        read_segments(tmp_path, "a", SHAPE)


def test_damage_is_refused_at_every_length(tmp_path):
    path = put(tmp_path)
    whole = path.read_bytes()
    for length in range(0, len(whole), 31):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_segments(tmp_path, "a", SHAPE)


def test_one_array_is_no_archive(tmp_path):
    path = put(tmp_path)
    with path.open("wb") as stream:
        np.save(stream, np.zeros(SHAPE, np.int32))
    with pytest.raises(InputError):
        read_segments(tmp_path, "a", SHAPE)
