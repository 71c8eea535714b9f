"""NIfTI files into volumes, with their masks brought onto the same grid."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError
from nibabel.wrapstruct import WrapStructError
from numpy.typing import NDArray
from scipy import ndimage

from cryostat.core.errors import InputError
from cryostat.core.files import require_file
from cryostat.encoders.volume.volume import Volume, affine_spacing, check_affine, check_shape

SPACINGS = (0.05, 50.0)
"""mm between voxels outside which a header cannot be believed."""

DISAGREEMENT = 0.01
"""Part by which the two statements of the spacing in a header may differ."""


def read_volume(
    path: Path | str, *, name: str = "", tumour: Path | str | None = None, brain: Path | str | None = None
) -> Volume:
    """Read one series from a `.nii` or `.nii.gz` file.

    Args:
        path: The file.
        name: What the series is, e.g. `t1c`; by default the name of the file.
        tumour: Label mask of the tumour, on this grid or on another in the same patient space.
        brain: Brain mask, likewise.

    Raises:
        InputError: A file is missing, damaged, no single volume of plain numbers, or its header contradicts itself.
    """
    path = Path(path)
    image = _opened(path)
    data = _voxels(image, path)
    affine = np.asarray(image.affine, float)
    check_affine(affine, str(path))
    volume = Volume(
        data, affine, name or _stem(path), _spacing(image, affine, path), source=str(path), notes=_notes(image)
    )
    labels = _mask(Path(tumour), volume) if tumour else None
    inside = _mask(Path(brain), volume) if brain else None
    return replace(volume, tumour=labels, brain=inside)


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _opened(path: Path) -> Any:
    require_file(path)
    if not path.name.endswith((".nii", ".nii.gz")):
        raise InputError(
            "is not a .nii or .nii.gz file",
            where=path,
            remedy="Convert the series to NIfTI first, e.g. with dcm2niix",
        )
    try:
        return nibabel.load(path)
    except _DAMAGE as error:
        raise _damaged(path, error) from error


_DAMAGE = (
    ImageFileError,
    HeaderDataError,
    WrapStructError,
    gzip.BadGzipFile,
    zlib.error,
    EOFError,
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    MemoryError,
)
"""What nibabel raises on damaged headers and too few bytes."""


def _damaged(path: Path, error: Exception) -> InputError:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:120]
    return InputError(
        f"is damaged, truncated or no NIfTI file ({reason})", where=path, remedy="Convert or copy the series again"
    )


def _voxels(image: Any, path: Path) -> NDArray[Any]:
    """(X, Y, Z) voxels in the file's type, or float64 where the header scales them."""
    shape = tuple(image.shape)
    while len(shape) > 3 and shape[-1] == 1:
        shape = shape[:-1]
    if min(shape, default=0) < 1 or np.prod(shape, dtype=float) > _MOST_VOXELS:
        raise InputError(f"claims the shape {image.shape}", where=path, remedy="Convert or copy the series again")
    check_shape(np.broadcast_to(np.zeros((), _type(image)), shape), str(path))
    try:
        return np.asarray(image.dataobj).reshape(shape)
    except _DAMAGE as error:
        raise _damaged(path, error) from error


_MOST_VOXELS = 2.0**31


def _type(image: Any) -> np.dtype[Any]:
    stored = np.dtype(image.get_data_dtype())
    # Types of more than 64 bits are numbers too; nibabel gives them as the machine's long double.
    return np.dtype(float) if stored.kind == "f" else stored


def _spacing(image: Any, affine: NDArray[np.float64], path: Path) -> tuple[float, float, float]:
    stated = np.asarray(image.header.get_zooms()[:3], float)
    implied = affine_spacing(affine)
    if not np.isfinite(stated).all() or stated.min() < SPACINGS[0] or stated.max() > SPACINGS[1]:
        raise InputError(
            f"its header states a spacing of {_mm(stated)}",
            where=path,
            remedy="Correct the header (pixdim), or convert the series again",
        )
    if (abs(stated - implied) > DISAGREEMENT * stated).any():
        raise InputError(
            f"its header contradicts itself: pixdim states a spacing of {_mm(stated)}, its affine {_mm(implied)}",
            where=path,
            remedy="Correct the header (pixdim, sform, qform), or convert the series again",
        )
    return float(stated[0]), float(stated[1]), float(stated[2])


def _mm(values: NDArray[np.float64]) -> str:
    return " × ".join(f"{value:g}" for value in values) + " mm"


def _notes(image: Any) -> tuple[str, ...]:
    if int(image.header["sform_code"]) or int(image.header["qform_code"]):
        return ()
    return ("Its header does not say how the patient lies in it; the usual orientation was taken for granted.",)


def _mask(path: Path, volume: Volume) -> NDArray[Any]:
    image = _opened(path)
    labels = _voxels(image, path)
    if labels.dtype.kind == "f":
        if not np.array_equal(labels, np.rint(labels)):
            raise InputError("its labels are not whole numbers", where=path, remedy="Supply a mask of labels")
        labels = labels.astype(np.int32)
    affine = np.asarray(image.affine, float)
    check_affine(affine, str(path))
    return onto_grid(labels, affine, volume)


def onto_grid(labels: NDArray[Any], affine: NDArray[np.float64], volume: Volume) -> NDArray[Any]:
    """Labels on the grid of a volume, by the nearest voxel in patient space; 0 where they do not reach.

    Args:
        labels: (x, y, z) integers.
        affine: (4, 4) of their grid.
        volume: Whose grid is meant.
    """
    if labels.shape == volume.data.shape and np.allclose(affine, volume.affine, atol=_SAME_GRID):
        return labels
    across = np.linalg.inv(affine) @ volume.affine
    return np.asarray(
        ndimage.affine_transform(
            labels, across[:3, :3], across[:3, 3], output_shape=volume.data.shape, order=0, mode="constant", cval=0
        )
    )


_SAME_GRID = 1e-3
"""mm by which the affines of one grid may differ after rounding in headers."""
