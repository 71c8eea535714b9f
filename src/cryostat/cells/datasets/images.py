"""Images and label maps from png, jpg and tif, read without ever changing a value."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from cryostat.core.errors import InputError
from cryostat.core.files import require_file

COLOUR_MODES = frozenset({"RGB", "RGBA", "RGBX", "P"})
"""Pillow modes that become RGB without a change of value (alpha is dropped, not blended)."""

LABEL_MODES = frozenset({"1", "L", "P", "I", "I;16", "I;16B", "I;16L"})
"""Pillow modes that hold one integer a pixel; palette images give the index, not the colour."""

_DAMAGE = (
    OSError,
    SyntaxError,
    ValueError,
    EOFError,
    TypeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    struct.error,
    zlib.error,
)
"""What Pillow and tifffile raise on damaged files."""


def read_image(path: Path) -> NDArray[Any]:
    """An RGB image as (H, W, 3) uint8 or uint16.

    Raises:
        InputError: The file is missing, truncated, no image, or not of three colours with 8 or 16 bits.
    """
    return _read(path, colour=True)


def read_labels(path: Path) -> NDArray[Any]:
    """A label map as (H, W) integers of the file's own width.

    Raises:
        InputError: The file is missing, truncated, no image, in colour, of floats, or lossy (JPEG).
    """
    return _read(path, colour=False)


def _read(path: Path, *, colour: bool) -> NDArray[Any]:
    require_file(path)
    try:
        with Image.open(path) as image:
            _check_pages(image, path)
            depth = _bits(image, path)
            if depth <= 8 or (depth <= 16 and not colour):
                return _colours(image, path) if colour else _labels(image, path)
            if image.format != "TIFF":
                raise InputError(
                    f"has {depth} bits a channel, of which a {image.format} reader would keep 8",
                    where=path,
                    remedy="Save it as TIFF, which keeps all bits",
                )
    except Image.DecompressionBombError as error:
        raise _too_large(path) from error
    except UnidentifiedImageError as error:
        # Pillow does not know every TIFF that tifffile reads (64-bit integers, planar 16-bit colour).
        if not _is_tiff(path):
            raise InputError(
                "is not an image", where=path, remedy="Check that the download is complete and the name is right"
            ) from error
    except _DAMAGE as error:
        raise _damaged(path, error) from error
    return _read_tiff(path, colour=colour)


def _check_pages(image: Image.Image, path: Path) -> None:
    pages = getattr(image, "n_frames", 1)
    if pages > 1 and image.format == "TIFF":
        raise InputError(f"holds {pages} pages", where=path, remedy="Save one image a file")


def _bits(image: Image.Image, path: Path) -> int:
    """Bits of the file's widest channel, which Pillow's mode does not tell for 16-bit colour."""
    if image.format == "TIFF":
        return max(getattr(image, "tag_v2", {}).get(258, (8,)), default=8)
    if image.format == "PNG" and image.mode in COLOUR_MODES:
        with path.open("rb") as stream:
            return stream.read(25)[24]
    return {"I;16": 16, "I;16B": 16, "I;16L": 16, "I": 16}.get(image.mode, 8)


def _colours(image: Image.Image, path: Path) -> NDArray[Any]:
    if image.mode not in COLOUR_MODES:
        raise InputError(
            f"is not a colour image (mode {image.mode})",
            where=path,
            remedy="Supply the RGB image of the stained tissue",
        )
    return np.array(image.convert("RGB"))


def _labels(image: Image.Image, path: Path) -> NDArray[Any]:
    if image.format == "JPEG":
        raise InputError(
            "is a JPEG, whose compression changes label ids", where=path, remedy="Supply the labels as png or tif"
        )
    if image.mode not in LABEL_MODES:
        raise InputError(
            f"holds colours or floats (mode {image.mode}), not one label a pixel",
            where=path,
            remedy="Supply the label map itself, not its picture",
        )
    labels = np.array(image)
    return labels.astype(np.uint8) if labels.dtype == np.bool_ else labels.astype(labels.dtype.newbyteorder("="))


def _is_tiff(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(4) in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def _read_tiff(path: Path, *, colour: bool) -> NDArray[Any]:
    """TIFFs of more bits than Pillow keeps."""
    try:
        array: NDArray[Any] = np.asarray(tifffile.imread(path))
    except (*_DAMAGE, tifffile.TiffFileError) as error:
        raise _damaged(path, error) from error
    if colour and array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = np.ascontiguousarray(np.moveaxis(array, 0, -1))
    fits = array.ndim == 3 and array.shape[2] in (3, 4) and array.dtype in (np.uint8, np.uint16)
    if colour and fits:
        return array[..., :3]
    if not colour and array.ndim == 2 and array.dtype.kind in "ui":
        return array
    raise InputError(
        f"holds an array of shape {array.shape} and type {array.dtype}",
        where=path,
        remedy="Supply an RGB image of 8 or 16 bits" if colour else "Supply one integer label a pixel",
    )


def _too_large(path: Path) -> InputError:
    limit = 2 * (Image.MAX_IMAGE_PIXELS or 0)
    return InputError(f"has more than {limit:,} pixels", where=path, remedy="Cut it into fields of view")


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"is damaged, truncated or compressed in an unknown way ({error})",
        where=path,
        remedy="Download the file again, or save it as plain png or tif",
    )
