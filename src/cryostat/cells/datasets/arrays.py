"""Numbers that releases store in another type than they mean."""

from __future__ import annotations

from os import PathLike
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError

LARGEST_ID = 2**31 - 1


def whole_numbers(array: NDArray[Any], where: str | PathLike[str], what: str) -> NDArray[Any]:
    """The same numbers as integers: integer arrays unchanged, floats that are whole as int32, booleans as uint8.

    Args:
        array: Any shape.
        where: File, for the message.
        what: Name of the array, for the message.

    Raises:
        InputError: A number is fractional, NaN, infinite or beyond 2³¹−1, or the array does not hold numbers.
    """
    if array.dtype.kind in "ui":
        return array
    if array.dtype.kind == "b":
        return array.astype(np.uint8)
    if array.dtype.kind == "f" and bool(array.min(initial=0) >= -LARGEST_ID and array.max(initial=0) <= LARGEST_ID):
        integers = array.astype(np.int32)
        if np.array_equal(integers, array):
            return integers
    raise InputError(
        f"the {what} ({array.dtype}) holds something else than whole numbers",
        where=where,
        remedy="Save labels as integers; probabilities or normalised masks are not labels",
    )


def eight_bits(image: NDArray[Any], where: str | PathLike[str]) -> NDArray[Any]:
    """An image of whole numbers 0 … 255 stored as floats or wide integers, as uint8; 8 and 16 bits stay as they are.

    Raises:
        InputError: Values are fractional, negative or above 255: the image was normalised or has another range.
    """
    if image.dtype in (np.uint8, np.uint16):
        return image
    if image.dtype.kind in "uif" and bool(image.min(initial=0) >= 0 and image.max(initial=0) <= 255):
        narrow = image.astype(np.uint8)
        if np.array_equal(narrow, image):
            return narrow
    raise InputError(
        f"the image ({image.dtype}) holds something else than whole numbers from 0 to 255",
        where=where,
        remedy="Supply the pixels as released, not normalised",
    )
