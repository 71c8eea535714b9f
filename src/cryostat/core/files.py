"""Files read with suspicion and written all or nothing."""

from __future__ import annotations

import functools
import json
import os
import tempfile
import tokenize
import tomllib
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import quote, unquote

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError


def safe_name(identifier: str) -> str:
    """A file name for any identifier: reversible, without separators, never hidden or special."""
    name = quote(identifier, safe=" ()+,=@")
    return "%2E" + name[1:] if name.startswith(".") else name


def original_name(name: str) -> str:
    """The identifier that `safe_name` made a file name of."""
    return unquote(name)


def read_npy(path: Path, *, mmap: bool = True) -> NDArray[Any]:
    """Read one `.npy` array with pickling off.

    Args:
        path: The file.
        mmap: Map it into memory read-only instead of loading it.

    Raises:
        InputError: The file is missing, is not npy, is truncated, or holds pickled objects.
    """
    require_file(path)
    with path.open("rb") as stream:
        magic = stream.read(6)
    if magic.startswith(b"PK"):
        raise InputError("is an npz archive, not one array", where=path, remedy="Save the array with numpy.save")
    if magic != b"\x93NUMPY":
        raise InputError(
            "is not a .npy file", where=path, remedy="Check that the download is complete and the name is right"
        )
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r" if mmap else None, allow_pickle=False)
    except _NPY_DAMAGE as error:
        raise _npy_error(path, error) from error
    return array


_NPY_DAMAGE = (
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    EOFError,
    OSError,
    SyntaxError,
    MemoryError,
    tokenize.TokenError,
)
"""What numpy raises on a damaged header or too few bytes."""


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read the arrays of an `.npz` archive by name, with pickling off.

    Raises:
        InputError: The file is missing, no archive, truncated, locked, or holds something else than arrays.
    """
    require_file(path)
    with path.open("rb") as stream:
        if stream.read(2) != b"PK":
            raise InputError("is not an npz archive", where=path, remedy="Save it with numpy.savez_compressed")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in archive.files}
    except (*_NPY_DAMAGE, zipfile.BadZipFile, zlib.error, RuntimeError) as error:
        raise _npy_error(path, error) from error
    if not arrays or not all(isinstance(array, np.ndarray) for array in arrays.values()):
        raise InputError("is not an archive of arrays", where=path, remedy="Save it with numpy.savez_compressed")
    return arrays


def _npy_error(path: Path, error: Exception) -> InputError:
    text = str(error)
    if "Object arrays" in text or "Python objects" in text:
        return InputError(
            "holds pickled Python objects, which can run code when read",
            where=path,
            remedy="Save it again as a plain numeric array with numpy.save(..., allow_pickle=False)",
        )
    return InputError(f"is damaged or truncated ({text})", where=path, remedy="Download or copy the file again")


def require_file(path: Path) -> None:
    """Raise an InputError unless `path` is a file with content."""
    if not path.exists():
        raise InputError("does not exist", where=path, remedy="Check the path")
    if not path.is_file():
        raise InputError("is a folder, not a file", where=path, remedy="Name the file itself")
    if path.stat().st_size == 0:
        raise InputError("is empty", where=path, remedy="Download or copy the file again")


def require_folder(path: Path) -> None:
    """Raise an InputError unless `path` is a folder with content."""
    if not path.exists():
        raise InputError("does not exist", where=path, remedy="Check the path")
    if not path.is_dir():
        raise InputError("is a file, not a folder", where=path, remedy="Name the folder that holds the dataset")
    if not any(path.iterdir()):
        raise InputError("is an empty folder", where=path, remedy="Check that the dataset was unpacked here")


def read_json(path: Path) -> Any:
    """Read a JSON file; an InputError names what is wrong with it."""
    require_file(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"is not valid JSON ({error})", where=path, remedy="Repair or delete the file") from error


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file; an InputError names what is wrong with it."""
    require_file(path)
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"is not valid TOML ({error})", where=path, remedy="Correct that line") from error


@contextmanager
def atomic_write(path: Path) -> Iterator[IO[bytes]]:
    """Write a file that appears whole or not at all, and survives a power cut once it has appeared."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:80]}.", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, 0o666 & ~_umask())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


@functools.cache
def _umask() -> int:
    """The process's umask, asked for once: asking means setting it, which other threads would notice."""
    mask = os.umask(0)
    os.umask(mask)
    return mask


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, indented, NaN refused."""
    text = json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False, default=_plain)
    with atomic_write(path) as stream:
        stream.write(text.encode() + b"\n")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"cannot write {type(value).__name__} as JSON")


def write_npy(path: Path, array: NDArray[Any]) -> None:
    """Write one array atomically as `.npy`."""
    with atomic_write(path) as stream:
        np.save(stream, np.ascontiguousarray(array), allow_pickle=False)


def write_parquet(path: Path, frame: Any) -> None:
    """Write a pandas frame atomically as Parquet."""
    with atomic_write(path) as stream:
        frame.to_parquet(stream, index=False)


def read_table(path: Path, text: Sequence[str] = ()) -> Any:
    """Read a CSV, TSV or Parquet table as a pandas frame.

    Args:
        path: The table; its ending tells the form.
        text: Columns to read as text, so that the id `007` stays what it is; those that are absent are passed over.

    Raises:
        InputError: The file is missing, of another kind, or cannot be parsed.
    """
    import pandas as pd
    import pyarrow as pa

    as_text = dict.fromkeys(text, str)
    readers: dict[str, Callable[[Path], Any]] = {
        ".csv": lambda p: pd.read_csv(p, dtype=as_text),
        ".tsv": lambda p: pd.read_csv(p, sep="\t", dtype=as_text),
        ".parquet": pd.read_parquet,
    }
    require_file(path)
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise InputError(
            "is not a .csv, .tsv or .parquet table", where=path, remedy="Save the table in one of these forms"
        )
    try:
        return reader(path)
    except (ValueError, TypeError, LookupError, pa.ArrowException, OSError) as error:
        raise InputError(f"cannot be read as a table ({error})", where=path, remedy="Open and save it again") from error
