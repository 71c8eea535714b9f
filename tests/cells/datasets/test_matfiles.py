from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cryostat.cells.datasets.matfiles import read_mat
from cryostat.core.errors import InputError

MAP = np.array([[0, 1, 1], [2, 0, 3]], np.int32)


def save(path: Path, compressed: bool = True, **variables: object) -> Path:
    scipy.io.savemat(path, variables, do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_values_shapes_and_types_are_those_saved(tmp_path: Path, compressed: bool) -> None:
    path = save(tmp_path / "a.mat", compressed, inst_map=MAP, id=np.array([[2], [1], [3]], np.uint16))
    found = read_mat(path, ["inst_map", "id"])
    assert found["inst_map"].tolist() == [[0, 1, 1], [2, 0, 3]]
    assert found["inst_map"].dtype == np.int32
    assert found["inst_map"].flags.c_contiguous
    assert found["id"].tolist() == [[2], [1], [3]]


def test_only_what_was_asked_for(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mat", a=MAP, b=MAP + 1, note="text is passed over", cell=np.array([MAP, "x"], object))
    assert sorted(read_mat(path, ["a"], ["b", "c"])) == ["a", "b"]


@settings(max_examples=40, deadline=None)
@given(
    array=hnp.arrays(
        st.sampled_from([np.uint8, np.int16, np.int32, np.int64, np.float32, np.float64]),
        hnp.array_shapes(min_dims=2, max_dims=3, max_side=5),
    ),
    compressed=st.booleans(),
)
def test_agrees_with_scipy(tmp_path_factory: pytest.TempPathFactory, array, compressed: bool) -> None:
    path = save(tmp_path_factory.mktemp("mat") / "a.mat", compressed, x=array)
    theirs, ours = scipy.io.loadmat(path)["x"], read_mat(path, ["x"])["x"]
    np.testing.assert_array_equal(ours, theirs)
    assert ours.dtype == theirs.dtype


def test_agrees_with_scipy_on_real_label_files(shared: Path) -> None:
    for path in [
        shared / "data/consep/Train/Labels/train_1.mat",
        *(shared / "data/nuclei/hgsc/masks").glob("*.mat"),
    ]:
        theirs = scipy.io.loadmat(path)
        ours = read_mat(path, ["inst_map", "type_map", "inst_type", "inst_centroid"])
        for key, array in ours.items():
            np.testing.assert_array_equal(array, theirs[key])


def test_a_file_of_another_byte_order(tmp_path: Path) -> None:
    def element(kind: int, data: bytes) -> bytes:
        return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    body = element(6, struct.pack(">II", 12, 0)) + element(5, struct.pack(">ii", 1, 2))
    body += element(1, b"x") + element(5, struct.pack(">ii", 7, 300))
    header = b"MATLAB 5.0 MAT-file".ljust(124) + struct.pack(">H", 0x0100) + b"MI"
    (tmp_path / "a.mat").write_bytes(header + element(14, body))
    assert read_mat(tmp_path / "a.mat", ["x"])["x"].tolist() == [[7, 300]]


def test_a_missing_variable_is_named_with_those_there(tmp_path: Path) -> None:
    path = save(tmp_path / "a.mat", inst_map=MAP, id=MAP)
    with pytest.raises(InputError, match=r"no variable 'class' \(it holds id, inst_map\)"):
        read_mat(path, ["inst_map", "class"])


@pytest.mark.parametrize(
    ("value", "kind"),
    [("text", "char"), (np.array([MAP], object), "cell"), ({"a": 1}, "struct"), (MAP + 1j, "complex")],
)
def test_what_is_not_real_numbers_is_refused(tmp_path: Path, value: object, kind: str) -> None:
    path = save(tmp_path / "a.mat", x=value)
    with pytest.raises(InputError, match=f"'x' is of MATLAB class {kind}"):
        read_mat(path, ["x"])


def test_version_7_3_names_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "a.mat"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + struct.pack("<H", 0x0200) + b"IM" + b"\0" * 400)
    with pytest.raises(InputError, match=r"7\.3.*-v7"):
        read_mat(path, ["x"])


@pytest.mark.parametrize("content", [b"\x89PNG\r\n\x1a\n" + b"x" * 300, b"MATLAB".ljust(126) + b"XX" + b"\0" * 64])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(InputError, match="not a MATLAB file"):
        read_mat(tmp_path / "a.mat", ["x"])


@pytest.mark.parametrize("compressed", [True, False])
def test_every_truncation_is_refused(tmp_path: Path, compressed: bool) -> None:
    whole = save(tmp_path / "a.mat", compressed, inst_map=MAP, id=MAP).read_bytes()
    path = tmp_path / "b.mat"
    for length in range(0, len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError):
            read_mat(path, ["inst_map", "id"])


@pytest.mark.parametrize("compressed", [True, False])
def test_flipped_bytes_end_in_our_error_or_in_an_array(tmp_path: Path, compressed: bool) -> None:
    whole = save(tmp_path / "a.mat", compressed, inst_map=MAP, id=MAP).read_bytes()
    path, rng = tmp_path / "b.mat", np.random.default_rng(0)
    for _ in range(200):
        data = bytearray(whole)
        for at in rng.integers(0, len(data), 2):
            data[at] = rng.integers(256)
        path.write_bytes(data)
        try:
            assert set(read_mat(path, ["inst_map"])) == {"inst_map"}
        except InputError:
            continue
