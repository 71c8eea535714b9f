"""A volume: voxels, where they lie in the patient, and the masks drawn on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError

SMALLEST_SIDE = 2
"""Voxels along each axis that a volume must have to be one."""


@dataclass(frozen=True, eq=False)
class Volume:
    """One series of a patient.

    Attributes:
        data: (X, Y, Z) voxels; whole or floating numbers, NaN where nothing was measured.
        affine: (4, 4) from voxel indices to mm in the patient, RAS+ as in NIfTI.
        name: What the series is, e.g. `t1c`.
        spacing: mm between voxels along each axis as the header states it; None takes it from the affine.
        tumour: (X, Y, Z) integer labels, 0 for no tumour; or None.
        brain: (X, Y, Z) true inside the brain; or None.
        source: File it was read from, for messages.
        notes: What was unusual about it, one sentence each.

    Raises:
        InputError: The arrays are no volume, do not belong together, or hold nothing to encode.
    """

    data: NDArray[Any]
    affine: NDArray[np.float64]
    name: str = "volume"
    spacing: tuple[float, float, float] | None = None
    tumour: NDArray[Any] | None = None
    brain: NDArray[Any] | None = None
    source: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_shape(self.data, self.where)
        check_affine(self.affine, self.where)
        _check_values(self.data, self.where)
        for what, mask in (("tumour", self.tumour), ("brain", self.brain)):
            if mask is not None and mask.shape != self.data.shape:
                raise InputError(
                    f"its {what} mask has the shape {mask.shape}, the volume {self.data.shape}",
                    where=self.where,
                    remedy="Read the mask with read_volume, which brings it onto the grid of the volume",
                )

    @property
    def where(self) -> str:
        """File or name, for messages."""
        return self.source or self.name

    @property
    def millimetres(self) -> NDArray[np.float64]:
        """(3,) mm between voxels along each axis."""
        return np.asarray(self.spacing, float) if self.spacing else affine_spacing(self.affine)


def affine_spacing(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """(3,) mm between voxels along each axis of an affine."""
    return np.asarray(np.sqrt((np.asarray(affine, float)[:3, :3] ** 2).sum(axis=0)))


def check_shape(data: NDArray[Any], where: str) -> None:
    """Raise an InputError unless an array is one volume of plain numbers."""
    if data.dtype.kind not in "biuf":
        raise InputError(
            f"its voxels are not plain numbers but {data.dtype}",
            where=where,
            remedy="Supply a grey-value volume; colour and complex images cannot be encoded",
        )
    if data.ndim != 3:
        raise InputError(
            f"is not one volume but has the shape {data.shape}",
            where=where,
            remedy="Split it and name the one volume that is meant",
        )
    if min(data.shape) < SMALLEST_SIDE:
        raise InputError(
            f"has only {min(data.shape)} voxel along an axis, its shape is {data.shape}",
            where=where,
            remedy="Supply the whole series, not a single slice",
        )


def check_affine(affine: NDArray[np.float64], where: str) -> None:
    """Raise an InputError unless an affine is a placement of voxels in space."""
    matrix = np.asarray(affine, float)
    if matrix.shape != (4, 4) or not np.isfinite(matrix).all():
        raise InputError(
            "its affine is not a (4, 4) matrix of finite numbers",
            where=where,
            remedy="Convert the series again, e.g. with dcm2niix",
        )
    lengths = affine_spacing(matrix)
    if lengths.min() <= 0 or abs(np.linalg.det(matrix[:3, :3] / lengths)) < _FLAT:
        raise InputError(
            "its affine folds the volume flat: two axes point the same way, or one has no length",
            where=where,
            remedy="Convert the series again, e.g. with dcm2niix",
        )


_FLAT = 0.05
"""Volume of the box of unit axes below which an affine says nothing about orientation."""


def _check_values(data: NDArray[Any], where: str) -> None:
    floating = data.dtype.kind == "f"
    if floating and np.isinf(data).any():
        raise InputError(
            f"{int(np.isinf(data).sum()):,} voxels are infinite", where=where, remedy="Convert or compute it again"
        )
    if floating and np.isnan(data).all():
        raise InputError("every voxel is NaN", where=where, remedy="Convert or compute it again")
    low, high = (np.nanmin(data), np.nanmax(data)) if floating else (data.min(), data.max())
    if low == high:
        raise InputError(
            f"every voxel has the same value ({low:g})", where=where, remedy="Check that the right file was named"
        )
