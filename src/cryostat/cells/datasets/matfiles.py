"""MATLAB files (versions 5 to 7), read as plain numeric arrays.

A reader of our own, because `scipy.io.loadmat` trusts type codes in the file: one flipped byte can end the process.
Here every length and code is checked before it is used, and only arrays of real numbers are ever built.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError
from cryostat.core.files import require_file

HEADER = 128
MATRIX, COMPRESSED = 14, 15
STORED = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
"""Type code of stored numbers to NumPy's."""
CLASSES = {1: "cell", 2: "struct", 3: "object", 4: "char", 5: "sparse", 16: "function", 17: "opaque"}
"""Array classes that are not read; 6 to 15 are numeric."""
COMPLEX = 0x0800
PEEK = 1024
"""Bytes that surely hold the head (flags, shape, name) of a variable."""


@dataclass(frozen=True)
class _Head:
    """What a variable says of itself: name, shape, class code, and where its numbers begin."""

    name: str
    shape: tuple[int, ...]
    kind: int
    is_complex: bool
    start: int


class _DamageError(Exception):
    """A part of the file contradicts the format; turned into an InputError that names the file."""


def read_mat(path: Path, required_keys: Sequence[str], optional_keys: Sequence[str] = ()) -> dict[str, NDArray[Any]]:
    """Numeric variables of a MATLAB file, at least 2-D as MATLAB has them, of the type in which they are stored.

    MATLAB stores doubles that are whole numbers as integers, so an instance map may come out as uint8 in one file and
    float64 in another; see `whole_numbers`.

    Args:
        path: The file.
        required_keys: Variables that must be there.
        optional_keys: Variables to read where they are there.

    Raises:
        InputError: The file is missing, damaged, truncated, of version 7.3 (HDF5) or 4, not MATLAB's, lacks a required
            variable, or holds something other than real numbers under one of the names.
    """
    require_file(path)
    data = path.read_bytes()
    order = _byte_order(path, data)
    wanted = {*required_keys, *optional_keys}
    found: dict[str, NDArray[Any]] = {}
    held: list[str] = []
    try:
        for body, compressed in _variables(data, order):
            name = _head(_opening(body, compressed), order).name
            held.append(name)
            if name in wanted and name not in found:
                found[name] = _array(path, _unpacked(body, compressed, order), order)
    except (_DamageError, struct.error, zlib.error) as error:
        raise InputError(
            f"is damaged or truncated ({error})", where=path, remedy="Download or copy the file again"
        ) from error
    _check_keys(path, required_keys, held)
    return found


def _byte_order(path: Path, data: bytes) -> str:
    mark = data[HEADER - 2 : HEADER]
    if not data.startswith(b"MATLAB") or (len(data) >= HEADER and mark not in (b"IM", b"MI")):
        raise InputError(
            "is not a MATLAB file of version 5 to 7",
            where=path,
            remedy="Check that the download is complete, or save it with save(..., '-v7')",
        )
    if len(data) < HEADER:
        raise InputError("is truncated within its header", where=path, remedy="Download or copy the file again")
    order = "<" if mark == b"IM" else ">"
    if struct.unpack_from(f"{order}H", data, HEADER - 4)[0] >> 8 >= 2:
        raise InputError(
            "is a MATLAB 7.3 file (HDF5), which is not read here",
            where=path,
            remedy="Save it in MATLAB with save(..., '-v7'), or in Python with scipy.io.savemat",
        )
    return order


def _variables(data: bytes, order: str) -> Iterator[tuple[memoryview, bool]]:
    """The body of each variable, and whether it is compressed."""
    view, at = memoryview(data), HEADER
    while at < len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        if kind not in (MATRIX, COMPRESSED):
            raise _DamageError(f"no variable begins at byte {at}")
        if at + 8 + size > len(data):
            raise _DamageError(f"{len(data):,} bytes are there, at least {at + 8 + size:,} belong to it")
        yield view[at + 8 : at + 8 + size], kind == COMPRESSED
        at += 8 + size


def _opening(body: memoryview, compressed: bool) -> bytes | memoryview:
    """The beginning of a variable, enough to hold its head."""
    return zlib.decompressobj().decompress(body, 8 + PEEK)[8:] if compressed else body


def _unpacked(body: memoryview, compressed: bool, order: str) -> bytes | memoryview:
    """The whole of a variable, its checksum verified where it is compressed."""
    if not compressed:
        return body
    stream = zlib.decompressobj()
    tag = stream.decompress(body, 8)
    kind, size = struct.unpack(f"{order}II", tag)
    if kind != MATRIX or not size:
        raise _DamageError("a compressed part holds no variable")
    unpacked = stream.decompress(stream.unconsumed_tail, size)
    surplus = stream.decompress(stream.unconsumed_tail, 1)
    if len(unpacked) < size or surplus or not stream.eof:
        raise _DamageError("a variable is not as long as it says")
    return unpacked


def _element(body: bytes | memoryview, at: int, order: str) -> tuple[int, int, int, int]:
    """Type code, first byte, last byte + 1 of the element at `at`, and where the next one begins."""
    kind, size = struct.unpack_from(f"{order}II", body, at)
    if kind >> 16:  # up to four bytes are packed into the tag itself
        kind, size, start, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
    else:
        start = at + 8
        after = start + size + (-size) % 8
    if start + size > len(body):
        raise _DamageError("a variable ends early")
    return kind, start, start + size, after


def _head(body: bytes | memoryview, order: str) -> _Head:
    _, start, end, at = _element(body, 0, order)
    (flags,) = struct.unpack_from(f"{order}I", body, start) if end - start >= 4 else (0,)
    _, start, end, at = _element(body, at, order)
    shape = struct.unpack(f"{order}{(end - start) // 4}i", body[start : start + (end - start) // 4 * 4])
    if len(shape) < 2 or min(shape) < 0:
        raise _DamageError(f"a variable has the shape {shape}")
    _, start, end, at = _element(body, at, order)
    name = bytes(body[start:end]).decode("latin-1")
    return _Head(name, shape, flags & 0xFF, bool(flags & COMPLEX), at)


def _array(path: Path, body: bytes | memoryview, order: str) -> NDArray[Any]:
    head = _head(body, order)
    if head.kind in CLASSES or head.is_complex:
        raise InputError(
            f"the variable {head.name!r} is of MATLAB class {CLASSES.get(head.kind, 'complex')}, not real numbers",
            where=path,
            remedy="Save it as a plain numeric array",
        )
    kind, start, end, _ = _element(body, head.start, order)
    if kind not in STORED:
        raise _DamageError(f"{head.name!r} has the unknown number type {kind}")
    dtype = np.dtype(order + STORED[kind])
    if math.prod(head.shape) * dtype.itemsize != end - start:
        raise _DamageError(f"{head.name!r} does not hold the numbers of its shape {head.shape}")
    stored = np.frombuffer(body, dtype, math.prod(head.shape), start)
    return np.array(stored.reshape(head.shape, order="F"), dtype.newbyteorder("="), order="C")


def _check_keys(path: Path, required: Sequence[str], held: Sequence[str]) -> None:
    if lacking := [key for key in required if key not in held]:
        raise InputError(
            f"has no variable {lacking[0]!r} (it holds {', '.join(sorted(held)) or 'nothing'})",
            where=path,
            remedy="Check that the file belongs to this dataset and is complete",
        )
