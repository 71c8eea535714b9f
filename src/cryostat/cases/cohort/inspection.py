"""A first look at a file, without decoding it: is it there, and is it what it should be?"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from cryostat.cases.cohort.paths import PATTERN
from cryostat.core.errors import InputError
from cryostat.core.files import read_npy
from cryostat.core.identity import sha256_file

HEAD = 4096
"""Bytes read from the beginning of a file."""

ARRAY = b"\x93NUMPY"
BEGINNINGS = (ARRAY, b"PK", b"\x80", b"\x89HDF\r\n\x1a\n", b"PAR1", b"\x1f\x8b")
"""With what binary files begin; which of them it is matters not, since they are read by their content."""

BINARY = frozenset({".npy", ".npz", ".pt", ".pth", ".h5", ".hdf5", ".parquet", ".gz"})
"""Endings of files that must begin so."""

IMPOSTORS: Mapping[bytes, str] = {
    b"version https://git-lfs": "is a Git LFS pointer, not the file itself",
    b"<!doctype html": "is a web page, not the file itself: a download that failed",
    b"<html": "is a web page, not the file itself: a download that failed",
}
"""With what begins a file that stands in for the one wanted, in lower case."""


@dataclass(frozen=True)
class Look:
    """What a first look at a file tells.

    Attributes:
        path: The file.
        problem: What is wrong with it; empty when nothing is.
        size: Bytes.
        head: Hash of its first bytes.
    """

    path: Path
    problem: str = ""
    size: int = 0
    head: str = ""


def look_at(path: Path) -> Look:
    """Look at the first bytes of a file, and of an array at whether it is as long as it says."""
    try:
        size = path.stat().st_size
        if path.is_dir():
            return Look(path, "is a folder, not a file; name its files, as folder/*.h5")
        if not path.is_file():
            return Look(path, "is no file of data")  # a pipe would never end
        with path.open("rb") as stream:
            head = stream.read(HEAD)
    except FileNotFoundError:
        return Look(path, _missing(path))
    except OSError as error:
        return Look(path, f"cannot be opened ({error.strerror or error})")
    problem = _problem(path, head)
    return Look(path, problem, size, hashlib.sha256(head).hexdigest())


def _missing(path: Path) -> str:
    if "\\" in path.name:
        return "does not exist; write / in place of \\"
    return "matches no file" if PATTERN.search(path.name) else "does not exist"


def _problem(path: Path, head: bytes) -> str:
    if not head:
        return "is empty"
    if len(head) < HEAD and not head.strip():
        return "is blank"
    for beginning, reason in IMPOSTORS.items():
        if head.lstrip().lower().startswith(beginning):
            return reason
    if path.suffix.lower() in BINARY and not head.startswith(BEGINNINGS):
        return f"is not what its ending {path.suffix} says"
    return _array_problem(path) if head.startswith(ARRAY) else ""


def _array_problem(path: Path) -> str:
    try:
        array = read_npy(path)
    except InputError as error:
        return error.problem
    return "" if array.size else f"holds no numbers, its shape is {array.shape}"


def equal_files(looks: Iterable[Look]) -> list[tuple[Path, ...]]:
    """Groups of files with the same bytes; only those alike in size and beginning are read whole."""
    alike: dict[tuple[int, str], list[Path]] = {}
    for look in looks:
        if look.size and not look.problem:
            alike.setdefault((look.size, look.head), []).append(look.path)
    found: dict[tuple[int, str], list[Path]] = {}
    for (size, _), paths in alike.items():
        for path in paths if len(paths) > 1 else ():
            found.setdefault((size, sha256_file(path)), []).append(path)
    return [tuple(paths) for paths in found.values() if len(paths) > 1]
