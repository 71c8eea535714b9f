"""Files of arrays, whoever wrote them: CLAM, TRIDENT, GigaPath, numpy, safetensors, torch."""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.embeddings.formats import Format
from cryostat.core.errors import InputError, MissingExtraError
from cryostat.core.files import read_npy, read_npz

FEATURES = ("features", "feats", "feature", "embeddings", "embedding", "last_layer_embed")
"""Names under which programs keep features, the first that is there is taken."""

COORDINATES = ("coords", "coordinates", "coord", "positions")
"""Names under which they keep the places of tiles."""

MOST_NUMBERS = 2**31
"""An array that claims more is taken for damaged."""


@dataclass(frozen=True, eq=False)
class Embedding:
    """What one file says of a patient.

    Attributes:
        values: (k, d) float32, k vectors of d numbers; finite, but for single unknown numbers (NaN) of tables.
        where: File, or table and row.
        tiles: Tiles that stand behind it, its weight among others.
        coords: (k, 2) places of the tiles as in the file, or None.
        tile_side: Side of a tile in the unit of `coords`, where the file tells.
        columns: Names of the numbers, in tables.
        left_out: Columns of a table that are not used, and why.
    """

    values: NDArray[np.float32]
    where: str
    tiles: int = 1
    coords: NDArray[Any] | None = None
    tile_side: float | None = None
    columns: tuple[str, ...] | None = None
    left_out: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Arrays:
    """Arrays of a file by name, and what is said of the tiles' places."""

    named: Mapping[str, NDArray[Any]]
    attributes: Mapping[str, Any] = field(default_factory=dict)


def read_arrays(path: Path, found: Format) -> Embedding:
    """Read the features of one file.

    Args:
        path: The file.
        found: Its format.

    Raises:
        InputError: It is damaged, holds no or several arrays that could be the features, or numbers that are none.
        MissingExtraError: A package that its format needs is not installed.
    """
    arrays = READERS[found](path)
    values = vectors(arrays.named[_features(arrays.named, path)], path)
    coords = next((arrays.named[name] for name in COORDINATES if name in arrays.named), None)
    places = None if coords is None else coords.reshape(coords.shape[-2:]) if coords.ndim > 1 else None
    fitting = places if places is not None and len(places) == len(values) else None
    tiles = len(places) if places is not None and len(values) == 1 else len(values)
    return Embedding(values, str(path), max(tiles, 1), fitting, _tile_side(arrays.attributes))


def vectors(array: NDArray[Any], path: Path) -> NDArray[np.float32]:
    """(k, d) float32 of a vector, a table of vectors, or one with a leading dimension of 1.

    Raises:
        InputError: It is none of these, empty, or holds numbers that are not finite.
    """
    if array.dtype.kind not in "fiu":
        raise InputError(f"holds {array.dtype}, not numbers", where=path, remedy="Save floats (k, d), a row a vector")
    while array.ndim > 2 and array.shape[0] == 1:
        array = array[0]
    if array.ndim not in (1, 2):
        raise InputError(
            f"has the shape {array.shape}, not (d) or (k, d)", where=path, remedy="Save one row a vector, and no more"
        )
    if array.size == 0:
        raise InputError(
            f"holds no vector, its shape is {array.shape}",
            where=path,
            remedy="Look at its tissue mask, and encode again",
        )
    with np.errstate(over="ignore"):
        table = np.array(np.atleast_2d(array), np.float32)
    wrong = ~np.isfinite(table).all(1)
    if wrong.any():
        half = " (half precision ends at 65,504)" if array.dtype == np.float16 else ""
        raise InputError(
            f"{wrong.sum()} of {len(table)} vectors hold numbers that are not finite{half}",
            where=path,
            remedy="Encode it again in fp32 or bf16",
        )
    return table


def _features(named: Mapping[str, NDArray[Any]], path: Path) -> str:
    for name in FEATURES:
        if name in named:
            return name
    likely = [n for n, a in named.items() if n not in COORDINATES and a.dtype.kind == "f" and 1 <= a.ndim <= 3]
    if len(likely) == 1:
        return likely[0]
    held = ", ".join(f"{name} {named[name].shape}" for name in sorted(named)[:8]) or "nothing"
    raise InputError(
        f"does not tell which array holds the features (it holds {held})",
        where=path,
        remedy="Save them under the name 'features'",
    )


def _tile_side(attributes: Mapping[str, Any]) -> float | None:
    """Side of a tile in level-0 px, from the attributes of TRIDENT or CLAM."""
    try:
        if "patch_size_level0" in attributes:
            return float(attributes["patch_size_level0"])
        if "patch_size" in attributes and "downsample" in attributes:
            return float(attributes["patch_size"]) * float(np.ravel(attributes["downsample"])[0])
    except (TypeError, ValueError, IndexError):
        return None
    return None


def _npy(path: Path) -> Arrays:
    return Arrays({"features": read_npy(path, mmap=False)})


def _npz(path: Path) -> Arrays:
    return Arrays(read_npz(path))


def _hdf5(path: Path) -> Arrays:
    try:
        import h5py
    except ImportError as error:
        raise MissingExtraError("h5py", extra="formats", purpose=f"Reading the HDF5 file {path.name}") from error
    try:
        with h5py.File(path, "r") as handle:
            kept = [name for name, item in handle.items() if _holds_numbers(item)]
            attributes = {
                key: handle[name].attrs[key] for name in kept if name in COORDINATES for key in _keys(handle[name])
            }
            return Arrays({name: handle[name][()] for name in kept}, attributes)
    except (OSError, KeyError, ValueError, TypeError, RuntimeError, MemoryError) as error:
        raise damaged(path) from error


TILE_ATTRIBUTES = ("patch_size_level0", "patch_size", "downsample")


def _keys(item: Any) -> list[str]:
    return [key for key in TILE_ATTRIBUTES if key in item.attrs]


def _holds_numbers(item: Any) -> bool:
    shape = getattr(item, "shape", None)
    return bool(shape) and item.dtype.kind in "fiu" and math.prod(shape or ()) <= MOST_NUMBERS


def _safetensors(path: Path) -> Arrays:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise MissingExtraError("safetensors", extra="encoders", purpose=f"Reading {path.name}") from error
    try:
        return Arrays(_plain(load_file(path)))
    except (SafetensorError, OSError) as error:
        raise damaged(path) from error


TORCH_DAMAGE = (
    RuntimeError,
    EOFError,
    OSError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    AssertionError,
    ArithmeticError,
    MemoryError,
    struct.error,
)
"""What torch raises on a file that is damaged."""


def _torch(path: Path) -> Arrays:
    try:
        import torch
    except ImportError as error:
        raise MissingExtraError("torch", extra="encoders", purpose=f"Reading {path.name}") from error
    from pickle import UnpicklingError

    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except UnpicklingError as error:
        raise InputError(
            "holds more than plain tensors, and reading that could run code",
            where=path,
            remedy="Save the tensor alone, best as .safetensors or .npy",
        ) from error
    except TORCH_DAMAGE as error:
        raise damaged(path) from error
    return Arrays(_plain(content if isinstance(content, Mapping) else {"features": content}))


def _plain(content: Mapping[Any, Any]) -> dict[str, NDArray[Any]]:
    """Those of a file's objects that are plain tensors, as arrays; formats that numpy lacks in single precision."""
    import torch

    known = {torch.float16, torch.float32, torch.float64}
    found = {}
    for name, item in content.items():
        if isinstance(item, torch.Tensor) and item.layout == torch.strided and not (item.is_quantized or item.is_meta):
            wide = item.float() if item.is_floating_point() and item.dtype not in known else item
            found[str(name)] = wide.detach().numpy()
    return found


def damaged(path: Path) -> InputError:
    """Our error for a file that its library cannot read."""
    return InputError("is damaged or truncated", where=path, remedy="Download or copy the file again")


READERS: Mapping[Format, Callable[[Path], Arrays]] = MappingProxyType(
    {
        Format.NPY: _npy,
        Format.NPZ: _npz,
        Format.HDF5: _hdf5,
        Format.SAFETENSORS: _safetensors,
        Format.TORCH: _torch,
    }
)
"""Format to what reads it."""
