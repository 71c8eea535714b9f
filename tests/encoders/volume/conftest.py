"""Generated heads, as scanners and skull-strippers leave them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from cryostat.encoders.volume.volume import Volume

Phantom = Callable[..., Volume]


def radii(shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Distance from the centre, 1 at the faces of the volume."""
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    return np.asarray(np.sqrt(sum(axis**2 for axis in grid)))


@pytest.fixture
def phantom() -> Phantom:
    """Makes a smooth, lopsided brain of 64 × 80 × 48 voxels of 1 mm in a background of 0, int16, axes R, A, S."""

    def make(
        *, shape: tuple[int, int, int] = (64, 80, 48), noise: float = 0.0, name: str = "t1c", **more: Any
    ) -> Volume:
        x, y, z = (np.linspace(0, 1, n) for n in shape)
        ramp = 300 + 200 * x[:, None, None] + 100 * y[None, :, None] ** 2 + 50 * np.sin(9 * z)[None, None, :]
        data = np.where(radii(shape) < 0.8, ramp, 0).round()
        if noise:
            data += np.abs(np.random.default_rng(0).normal(0, noise, shape)).round() + 1
        return Volume(**{"data": data.astype(np.int16), "affine": np.eye(4), "name": name, **more})

    return make


@pytest.fixture
def saved(tmp_path: Path) -> Callable[..., Path]:
    """Writes a NIfTI file and gives its path."""

    def save(data: NDArray[Any], affine: NDArray[np.float64] | None = None, name: str = "volume.nii.gz") -> Path:
        nibabel.save(nibabel.Nifti1Image(data, np.eye(4) if affine is None else affine), tmp_path / name)
        return tmp_path / name

    return save
