"""From a volume to tokens, as NeuroVFM expects them.

`explicit`, the default, finds the tissue before interpolating and keeps tokens with enough of it, so that a volume
gives the same tokens however it is stored. `compat` repeats NeuroVFM's own program: whatever lies above the tenth
percentile of the interpolated voxels is tissue, and a token with a single voxel of background is dropped. Where new
voxels fall on old ones (1 mm isotropic volumes) and the background is constant, rounding noise of the original's
interpolation decides what lies above; ours has no such noise, so tokens can differ there, most for float volumes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError, SettingError
from cryostat.core.identity import code_version
from cryostat.encoders.volume import foreground as tissue
from cryostat.encoders.volume import geometry, tokens
from cryostat.encoders.volume.geometry import PATCH, Grid
from cryostat.encoders.volume.tokens import Tokens
from cryostat.encoders.volume.volume import Volume

MODES = ("explicit", "compat")
HEADER_DIGITS = 4
"""Decimals of a spacing in mm that mean something: programs that copy a header round the others differently."""

HEADER_SLACK = 1e-3
"""Voxels by which rounding in a header may shorten a volume without costing its last slice."""


@dataclass(frozen=True)
class Preprocessing:
    """How volumes become tokens.

    Attributes:
        mode: `explicit` or `compat`.
        keep: Part of a token that must be tissue for it to be kept, above 0 and up to 1; `compat` always asks for 1.

    Raises:
        SettingError: A setting is unknown or out of range.
    """

    mode: str = "explicit"
    keep: float = 0.25

    def __post_init__(self) -> None:
        if self.mode not in MODES:
            raise SettingError(
                f"there is no preprocessing mode {self.mode!r}", remedy=f"Choose one of: {', '.join(MODES)}"
            )
        if not 0 < self.keep <= 1:
            raise SettingError(
                f"keep = {self.keep} is no part of a token", remedy="Choose a number above 0 and up to 1"
            )

    def identity(self) -> Mapping[str, Any]:
        """All that determines the tokens of a volume."""
        code = code_version(tissue, geometry, tokens, Preprocessing)
        return {"mode": self.mode, "keep": 1.0 if self.mode == "compat" else self.keep, "code": code}

    def tokenise(self, volume: Volume) -> Tokens:
        """The tokens of one volume.

        Raises:
            InputError: The volume is too small, constant, or holds no token of tissue.
        """
        return _compat(volume) if self.mode == "compat" else _explicit(volume, self.keep)


def _explicit(volume: Volume, keep: float) -> Tokens:
    grid = geometry.oriented(volume)
    spacing = np.round(grid.spacing, HEADER_DIGITS)
    axis = geometry.slice_axis(spacing)
    mask, rule = tissue.foreground(grid.data, grid.masks.get("brain"))
    data = tissue.filled(grid.data).astype(np.float64)
    placed = _placed(Grid(data, spacing, {**grid.masks, "tissue": mask}), axis, HEADER_SLACK, None)
    cut = {name: geometry.cropped(array, axis) for name, array in placed.items()}
    parts = tokens.folded(cut["tissue"]).mean(axis=1)
    # A part that is just met must not be lost to rounding.
    return _kept(cut, np.flatnonzero(parts >= keep - 1e-9), rule, volume)


def _compat(volume: Volume) -> Tokens:
    grid = geometry.oriented(volume)
    axis = geometry.slice_axis_compat(grid.data.shape, grid.spacing, volume.where)
    measured = tissue.filled(grid.data)
    placed = _placed(Grid(measured.astype(np.float64), grid.spacing, grid.masks), axis, 0.0, 0.0)
    placed["data"] = _stored_as(placed["data"], measured.dtype)
    cut = {name: geometry.cropped(array, axis) for name, array in placed.items()}
    _check_size(cut["data"], volume)
    bright = cut["data"] > np.percentile(cut["data"], 10)
    return _kept(cut, np.flatnonzero(tokens.folded(bright).all(axis=1)), "tenth percentile", volume)


def _placed(grid: Grid, axis: int, slack: float, beyond: float | None) -> dict[str, NDArray[Any]]:
    """Voxels (`data`) and masks of a grid at the encoder's spacing."""
    target = geometry.target_spacing(axis)
    sizes, steps = geometry.resized(grid.data.shape, grid.spacing, target, slack), target / grid.spacing
    if slack:
        steps = np.where(abs(steps - np.rint(steps)) * sizes < slack, np.rint(steps), steps)
    placed = {name: geometry.nearest(mask, steps, sizes) for name, mask in grid.masks.items()}
    return {"data": geometry.spline(grid.data, steps, sizes, beyond=beyond), **placed}


def _stored_as(data: NDArray[np.float64], dtype: np.dtype[Any]) -> NDArray[np.float64]:
    """Values as they come out of an image of this type: whole numbers are cut off, not rounded."""
    if dtype.kind not in "iu":
        return data.astype(dtype).astype(np.float64)
    limits = np.iinfo(dtype)
    return np.trunc(np.clip(data, limits.min, limits.max))


def _check_size(data: NDArray[Any], volume: Volume) -> None:
    if data.size == 0:
        extent = " × ".join(f"{mm:.0f}" for mm in volume.millimetres * volume.data.shape)
        raise InputError(
            f"is too small to hold one token: it covers {extent} mm, a token {PATCH[0]} slices of 4 mm, 16 mm wide",
            where=volume.where,
            remedy="Supply a volume of at least 16 × 16 × 16 mm; check the spacing in its header",
        )


def _kept(cut: dict[str, NDArray[Any]], index: NDArray[np.intp], rule: str, volume: Volume) -> Tokens:
    data = cut["data"]
    _check_size(data, volume)
    values = tokens.folded(tokens.to_unit(data))[index].astype(np.float32)
    if not len(index):
        raise InputError(
            f"no token of it holds enough tissue (background told by: {rule})",
            where=volume.where,
            remedy="Check the volume and its brain mask, or lower the part of a token that must be tissue",
        )
    constant = int((values.max(axis=1) == values.min(axis=1)).sum())
    if constant == len(values):
        raise InputError(
            "has no contrast: 99 % of its voxels have one value", where=volume.where, remedy="Check the volume"
        )
    notes = (f"{constant} of {len(values)} tokens are constant.",) if constant > len(values) / 2 else ()
    tumour = cut.get("tumour")
    return Tokens(
        values=values,
        coords=tokens.grid_coords(data.shape, index),
        shape=(data.shape[0], data.shape[1], data.shape[2]),
        tumour=None if tumour is None else tokens.folded(tumour != 0)[index].mean(axis=1),
        rule=rule,
        series=volume.name,
        where=volume.where,
        notes=(*volume.notes, *notes),
    )
