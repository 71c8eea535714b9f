"""What a file is, told by its content: endings are often wrong."""

from __future__ import annotations

import gzip
import zipfile
import zlib
from enum import StrEnum
from pathlib import Path

from cryostat.cases.cohort.paths import opening
from cryostat.cases.cohort.tables import UTF16
from cryostat.core.errors import InputError
from cryostat.core.files import require_file

HEAD = 4096
"""Bytes looked at."""

NIFTI_BYTES = {344: (b"n+1\0", b"ni1\0"), 4: (b"n+2\0", b"ni2\0")}
"""Where a NIfTI header says what it is, and in which words."""

OLD_TORCH = b"\x80\x02"
"""With what torch files begin that are no zip archives."""

OTHER_PICKLES = b"\x03\x04\x05"
"""Protocols of pickles that torch never wrote."""

TABLE_ENDINGS = (".csv", ".tsv")
"""Endings by which a table is told from other text."""


class Format(StrEnum):
    """Formats that are read."""

    NPY = "npy"
    NPZ = "npz"
    HDF5 = "HDF5"
    SAFETENSORS = "safetensors"
    TORCH = "torch"
    PARQUET = "parquet"
    TEXT_TABLE = "csv or tsv"
    TEXT = "text"
    NIFTI = "NIfTI"


class Kind(StrEnum):
    """What files of a format hold."""

    FEATURES = "features"
    TEXT = "text"
    VOLUME = "volumes"


KINDS = {**dict.fromkeys(Format, Kind.FEATURES), Format.TEXT: Kind.TEXT, Format.NIFTI: Kind.VOLUME}

MAGIC = {b"\x93NUMPY": Format.NPY, b"\x89HDF\r\n\x1a\n": Format.HDF5, b"PAR1": Format.PARQUET}


def file_format(path: Path) -> Format:
    """The format of a file.

    Raises:
        InputError: It is missing, empty, cannot be opened, is damaged at its beginning, or of no format that is read.
    """
    head = _head(path)
    if head.startswith(b"\x1f\x8b"):
        head = _unpacked(path)
    for magic, found in MAGIC.items():
        if head.startswith(magic):
            return found
    if head.startswith(b"PK"):
        return _archive(path)
    if head.startswith(OLD_TORCH):
        return Format.TORCH
    if head[:1] == b"\x80" and head[1:2] in OTHER_PICKLES:
        raise InputError(
            "is a Python pickle, and reading that could run code", where=path, remedy="Save its arrays as .npy or .npz"
        )
    if any(head[place : place + 4] in words for place, words in NIFTI_BYTES.items()):
        return Format.NIFTI
    if head[8:9] == b"{" and int.from_bytes(head[:8], "little") < path.stat().st_size:
        return Format.SAFETENSORS
    if b"\0" in head and not head.startswith(UTF16):
        raise _unknown(path)
    return Format.TEXT_TABLE if path.suffix.lower() in TABLE_ENDINGS else Format.TEXT


def _head(path: Path) -> bytes:
    with opening(path):
        require_file(path)
        with path.open("rb") as stream:
            return stream.read(HEAD)


def _unpacked(path: Path) -> bytes:
    """The beginning of a gzip file; only volumes are read from such."""
    try:
        with gzip.open(path) as stream:
            head = stream.read(HEAD)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError("is damaged or truncated (gzip)", where=path, remedy="Download or copy it again") from error
    if any(head[place : place + 4] in words for place, words in NIFTI_BYTES.items()):
        return head
    raise _unknown(path)


def _archive(path: Path) -> Format:
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, OSError, UnicodeDecodeError, NotImplementedError) as error:
        raise InputError("is damaged or truncated (zip)", where=path, remedy="Download or copy it again") from error
    if any(name.endswith("data.pkl") for name in names):
        return Format.TORCH
    if names and all(name.endswith(".npy") for name in names):
        return Format.NPZ
    raise _unknown(path)


def _unknown(path: Path) -> InputError:
    return InputError(
        "is of no kind that is read here",
        where=path,
        remedy=f"Supply one of: {', '.join(Format)}",
    )
