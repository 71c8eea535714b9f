"""Pickles of NumPy arrays and plain values, read without running what else they may hold."""

from __future__ import annotations

import io
import pickle
import re
import struct
from collections.abc import Callable, Mapping
from os import PathLike
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError

_DAMAGE = (
    pickle.UnpicklingError,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    AttributeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    RecursionError,
    ImportError,
    struct.error,
)
"""What a damaged pickle of allowed parts makes the unpickler raise."""


class _ForbiddenError(Exception):
    """The pickle asks for something that is neither an array nor a plain value."""


class _Type:
    """A pickled `numpy.dtype` of numbers, or of text for single names."""

    def __init__(self, code: str, *_: object) -> None:
        if not re.fullmatch(r"[biuf][1248]|U\d{1,6}", str(code)):
            raise _ForbiddenError(f"values of type {code!r}")
        self.code, self.order = str(code), "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = ">" if state[1] == ">" else "<"

    def numbers(self, data: bytes) -> NDArray[Any]:
        """Bytes as a flat array."""
        if self.code.startswith("U"):
            raise _ForbiddenError("an array of text")
        return np.frombuffer(data, self.order + self.code)

    def scalar(self, data: bytes) -> Any:
        """Bytes as one plain value."""
        if self.code.startswith("U"):
            return data.decode("utf-32-be" if self.order == ">" else "utf-32-le").rstrip("\0")
        return self.numbers(data)[0].item()


class _Array:
    """A pickled `numpy.ndarray`, built from its bytes and nothing else."""

    def __init__(self, *_: object) -> None:
        self.array: NDArray[Any] = np.empty(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, kind, fortran, data = state
        self.array = kind.numbers(data).reshape(shape, order="F" if fortran else "C")


def _array_from_buffer(data: bytes, kind: _Type, shape: tuple[int, ...], order: str) -> _Array:
    """An array as protocol 5 spells it."""
    made = _Array()
    made.array = kind.numbers(data).reshape(shape, order="F" if order == "F" else "C")
    return made


def _scalar(kind: _Type, data: bytes) -> Any:
    """A NumPy number or text as a plain one."""
    return kind.scalar(data)


def _bytes(text: str, encoding: str) -> bytes:
    """Bytes as old protocols spell them, by `_codecs.encode`."""
    if encoding != "latin1":
        raise _ForbiddenError(f"the encoding {encoding!r}")
    return text.encode("latin1")


def _no_bytes() -> bytes:
    """Empty bytes as old protocols spell them."""
    return b""


_NAMED: dict[str, Callable[..., Any]] = {"numpy.ndarray": _Array, "numpy.dtype": _Type, "_codecs.encode": _bytes}

ALLOWED: Mapping[str, Callable[..., Any]] = MappingProxyType(
    _NAMED
    | {f"{module}.bytes": _no_bytes for module in ("builtins", "__builtin__")}
    | {f"numpy.{core}.multiarray._reconstruct": _Array for core in ("core", "_core")}
    | {f"numpy.{core}.multiarray.scalar": _scalar for core in ("core", "_core")}
    | {f"numpy.{core}.numeric._frombuffer": _array_from_buffer for core in ("core", "_core")}
)
"""What pickles of arrays ask for, under the names of NumPy 1 and NumPy 2, and what stands in for it here.

Dicts, lists, tuples, text, bytes and numbers need no name."""


# The unpickler written in Python: the one in C reserves whatever memory a damaged pickle asks for.
class _PlainUnpickler(pickle._Unpickler):
    def find_class(self, module_name: str, global_name: str) -> Any:
        name = f"{module_name}.{global_name}"
        if name not in ALLOWED:
            raise _ForbiddenError(name)
        return ALLOWED[name]


def read_plain_pickle(data: bytes, where: str | PathLike[str], remedy: str) -> Any:
    """The value of a pickle that holds nothing but arrays, dicts, lists, tuples, text, bytes and numbers.

    Nothing else is imported or called, so a pickle made to do harm is refused before it can.

    Args:
        data: The pickle.
        where: Its place, for messages.
        remedy: The way out when it holds something else.

    Raises:
        InputError: It holds another class (which is named), or is damaged.
    """
    try:
        return _finished(_PlainUnpickler(io.BytesIO(data)).load())
    except _ForbiddenError as error:
        raise InputError(
            f"is a pickle that asks for {error}, not only arrays and plain values; reading it could run code",
            where=where,
            remedy=remedy,
        ) from error
    except _DAMAGE as error:
        raise InputError(f"is not a readable pickle ({error})", where=where, remedy=remedy) from error


def _finished(value: Any) -> Any:
    """The value with arrays in place of their stand-ins."""
    if isinstance(value, _Array):
        return value.array
    if isinstance(value, dict):
        return {_finished(key): _finished(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_finished(item) for item in value)
    return value
