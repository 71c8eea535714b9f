"""HDF5 files, read one dataset at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError, MissingExtraError
from cryostat.core.files import require_file

MAX_VALUES = 2**30
"""Most values an array may hold: a field of view of 16,384 px square in three channels fits, a whole slide does not."""


class Hdf5File:
    """An HDF5 file open for reading; nothing is read before it is asked for.

    Args:
        path: The file, for messages.
        handle: The open `h5py.File`.
    """

    def __init__(self, path: Path, handle: Any) -> None:
        self.path, self._handle = path, handle

    def __contains__(self, key: str) -> bool:
        return key in self._handle

    def shape(self, key: str) -> tuple[int, ...]:
        """Shape of an array, without reading it."""
        return tuple(int(n) for n in self._dataset(key).shape)

    def array(self, key: str, part: int | None = None) -> NDArray[Any]:
        """One array, or one entry along its first axis.

        Raises:
            InputError: There is no such key, it holds no numbers, is too large, or is damaged.
        """
        dataset = self._dataset(key)
        with _named(self.path, key):
            return np.asarray(dataset[()] if part is None else dataset[part])

    def _dataset(self, key: str) -> Any:
        if key not in self._handle:
            held = ", ".join(sorted(map(str, self._handle))) or "nothing"
            raise InputError(
                f"has no key {key!r} (it holds {held})", where=self.path, remedy="Download the file again, whole"
            )
        with _named(self.path, key):
            found = self._handle[key]
        shape = getattr(found, "shape", None)
        if not shape or found.dtype.kind not in "biuf":
            raise InputError(f"the key {key!r} is no array of numbers", where=self.path, remedy="Download it again")
        if math.prod(shape) > MAX_VALUES:
            raise InputError(
                f"the key {key!r} claims the shape {shape}", where=self.path, remedy="Supply fields of view"
            )
        return found


@contextmanager
def open_hdf5(path: Path) -> Iterator[Hdf5File]:
    """Open an HDF5 file for reading.

    Raises:
        InputError: The file is missing, truncated, or no HDF5.
        MissingExtraError: h5py is not installed.
    """
    require_file(path)
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", extra="formats", purpose=f"Reading the HDF5 file {path.name}") from error
    if not h5py.is_hdf5(path):
        raise InputError("is not an HDF5 file", where=path, remedy="Check that the download is complete")
    with _named(path, None):
        handle = h5py.File(path, "r")
    with handle:
        yield Hdf5File(path, handle)


@contextmanager
def _named(path: Path, key: str | None) -> Iterator[None]:
    try:
        yield
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        what = "is" if key is None else f"the key {key!r} is"
        raise InputError(
            f"{what} damaged or truncated ({str(error)[:120]})", where=path, remedy="Download the file again"
        ) from error
