"""Folders of images and label maps in the forms that users have them: png, jpg, tif, npy, mat."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.datasets.images import read_image, read_labels
from cryostat.cells.datasets.matfiles import read_mat
from cryostat.cells.field import check_labels
from cryostat.core.errors import InputError
from cryostat.core.files import read_npy, require_folder

IMAGES = frozenset({".png", ".jpg", ".jpeg", ".tif", ".tiff", ".npy"})
"""Endings of images, in lower case."""

LABELS = frozenset({".png", ".tif", ".tiff", ".npy", ".mat"})
"""Endings of label maps, in lower case."""

TABLES = (".csv", ".tsv", ".parquet", ".xlsx")
"""Endings of tables, in the order in which they are looked for."""


def by_stem(folder: Path, endings: Collection[str]) -> dict[str, Path]:
    """The files of a folder by their name without ending, numbers in names in numeric order.

    Raises:
        InputError: The folder is missing or empty, holds no such file, or two files share a stem.
    """
    require_folder(folder)
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir(), key=lambda p: numeric_order(p.name)):
        if path.suffix.lower() not in endings or path.name.startswith(".") or not path.is_file():
            continue
        if path.stem in found:
            raise InputError(
                f"holds both {found[path.stem].name} and {path.name}", where=folder, remedy="Keep one file a field"
            )
        found[path.stem] = path
    if not found:
        raise InputError(
            f"holds no {', '.join(sorted(endings))} file", where=folder, remedy="Check that this is the right folder"
        )
    return found


def numeric_order(name: str) -> tuple[tuple[int, int | str], ...]:
    """Sorting key by which `img_9` comes before `img_10`."""
    parts: list[tuple[int, int | str]] = []
    digits = ""
    for character in name + "\0":
        if character.isdecimal() and character.isascii():
            digits += character
            continue
        if digits:
            parts.append((0, int(digits)))
            digits = ""
        parts.append((1, character))
    return tuple(parts)


def table_in(folder: Path, name: str) -> Path | None:
    """The table of a name in a folder, whatever its ending; None when there is none."""
    named = [folder / name, *(folder / f"{Path(name).stem}{ending}" for ending in TABLES)]
    return next((path for path in named if path.is_file()), None)


def partner(files: Mapping[str, Path], stem: str, what: str, folder: Path) -> Path:
    """The file of the same stem in another folder; an InputError when there is none."""
    if stem not in files:
        raise InputError(
            f"holds no {what} for {stem!r}", where=folder, remedy=f"Add the {what}, or pass --skip-bad to leave it out"
        )
    return files[stem]


def read_pixels(path: Path) -> NDArray[Any]:
    """An image of any of `IMAGES` as (H, W, 3) uint8 or uint16.

    Raises:
        InputError: The file is damaged, or not an RGB image of 8 or 16 bits.
    """
    if path.suffix.lower() != ".npy":
        return read_image(path)
    array = read_npy(path, mmap=False)
    if array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = np.moveaxis(array, 0, -1)
    return np.ascontiguousarray(array)


def read_label_map(path: Path, mat_key: str = "inst_map") -> NDArray[Any]:
    """A label map of any of `LABELS` as (H, W) integers.

    MATLAB keeps numbers as doubles, so whole doubles from a .mat file count as integers; floats elsewhere do not.

    Raises:
        InputError: The file is damaged, or does not hold one integer a pixel.
    """
    kind = path.suffix.lower()
    if kind == ".mat":
        labels = _whole(read_mat(path, [mat_key])[mat_key], path)
    elif kind == ".npy":
        labels = read_npy(path, mmap=False)
    else:
        labels = read_labels(path)
    check_labels(labels, labels.shape, str(path), "label map")
    return labels


def _whole(labels: NDArray[Any], path: Path) -> NDArray[Any]:
    if labels.dtype.kind != "f":
        return labels
    if not np.isfinite(labels).all() or (labels != np.rint(labels)).any() or np.abs(labels).max(initial=0) >= 2**31:
        raise InputError("holds labels that are not whole numbers", where=path, remedy="Save labels as integers")
    return labels.astype(np.int64)
