from __future__ import annotations

import gzip
import io
import os
from pathlib import Path

import numpy as np
import pytest

from cryostat.cases.cohort.inspection import equal_files, look_at


def array_bytes(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.zeros(shape, np.float32))
    return stream.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("a.npy", array_bytes((3, 4)), ""),
        ("a.npy", array_bytes((0, 4)), "holds no numbers, its shape is (0, 4)"),
        ("a.npy", array_bytes((30, 4))[:-8], "is damaged or truncated"),
        ("a.npy", b"1.5, 2.5", "is not what its ending .npy says"),
        ("a.h5", array_bytes((3, 4)), ""),
        ("a.h5", array_bytes((30, 4))[:-8], "is damaged or truncated"),
        ("a.pt", b"\x80\x02\x8a\x0a", ""),
        ("a.h5", b"\x89HDF\r\n\x1a\nrest", ""),
        ("t1.nii.gz", gzip.compress(b"volume"), ""),
        ("t1.nii.gz", b"volume", "is not what its ending .gz says"),
        ("a.pt", b"version https://git-lfs.github.com/spec/v1\noid", "is a Git LFS pointer, not the file itself"),
        ("a.h5", b"<!DOCTYPE html><html>", "is a web page, not the file itself: a download that failed"),
        ("a.txt", b"Glioblastoma", ""),
        ("a.txt", b" \n\x0c\n", "is blank"),
        ("a.txt", b"", "is empty"),
    ],
)
def test_the_first_look_at_a_file(tmp_path: Path, name: str, data: bytes, problem: str) -> None:
    (tmp_path / name).write_bytes(data)
    look = look_at(tmp_path / name)
    assert look.problem.startswith(problem)
    assert bool(look.problem) == bool(problem)


def test_what_is_no_file(tmp_path: Path) -> None:
    assert look_at(tmp_path / "none.npy").problem == "does not exist"
    assert look_at(tmp_path / "none_*.npy").problem == "matches no file"
    assert look_at(tmp_path / "w\\a.npy").problem == "does not exist; write / in place of \\"
    assert look_at(tmp_path).problem == "is a folder, not a file; name its files, as folder/*.h5"


def test_files_are_equal_when_all_their_bytes_are(tmp_path: Path) -> None:
    body = bytes(range(256)) * 32
    for name, data in {"a": body, "b": body, "late": body[:-1] + b"x", "short": body[:-1]}.items():
        (tmp_path / name).write_bytes(data)
    looks = [look_at(tmp_path / name) for name in ("a", "late", "b", "short")]
    assert equal_files(looks) == [(tmp_path / "a", tmp_path / "b")]


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npy")
    assert look_at(tmp_path / "pipe.npy").problem == "is no file of data"
