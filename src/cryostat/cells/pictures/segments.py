"""Nuclei that a model found by itself, as a run keeps them."""

from __future__ import annotations

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError
from cryostat.core.files import require_file, safe_name

FOLDER = "segments"
"""Where a run folder holds them, an `.npz` a field of view."""

_DAMAGE = (ValueError, TypeError, LookupError, ArithmeticError, EOFError, OSError, SyntaxError, MemoryError)
_DAMAGE_OF_ARCHIVES = (*_DAMAGE, zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError)


@dataclass(frozen=True)
class Segments:
    """Nuclei that a model found in one field of view.

    Attributes:
        instances: (H, W) nucleus ids, 0 background.
        cell_ids: (n,) ids.
        class_ids: (n,) class of each.
    """

    instances: NDArray[Any]
    cell_ids: NDArray[Any]
    class_ids: NDArray[Any]


def read_segments(run: Path, fov: str, shape: tuple[int, int]) -> Segments | None:
    """What a run found in one field of view.

    Args:
        run: The run's folder.
        fov: The field of view.
        shape: (H, W) of the field.

    Returns:
        The nuclei, or None where the run kept none for the field.

    Raises:
        InputError: The file is damaged or does not fit the field.
    """
    path = run / FOLDER / f"{safe_name(fov)}.npz"
    if not path.exists():
        return None
    require_file(path)
    try:
        with np.load(path, allow_pickle=False) as archive:
            segments = Segments(archive["instances"], archive["cell_ids"], archive["class_ids"])
    except _DAMAGE_OF_ARCHIVES as error:
        raise InputError(
            f"does not hold instances, cell_ids and class_ids ({error})", where=path, remedy="Run it again"
        ) from error
    _check(segments, shape, path)
    return segments


def _check(segments: Segments, shape: tuple[int, int], path: Path) -> None:
    arrays = (segments.instances, segments.cell_ids, segments.class_ids)
    whole = all(array.dtype.kind in "iu" for array in arrays)
    listed = segments.cell_ids.ndim == 1 and segments.cell_ids.shape == segments.class_ids.shape
    if not whole or not listed or segments.instances.shape != shape:
        raise InputError(
            f"holds arrays {', '.join(f'{a.shape} {a.dtype}' for a in arrays)}; the field measures {shape}",
            where=path,
            remedy="Run it again on the dataset as it is now imported",
        )
    if segments.instances.size and (int(segments.instances.min()) < 0 or int(segments.instances.max()) >= 2**31):
        raise InputError("holds nucleus ids outside 0 … 2³¹−1", where=path, remedy="Run it again")
