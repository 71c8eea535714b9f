"""The regions of a series, and the numbers that describe each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cryostat.core.errors import InputError
from cryostat.encoders.volume.foreground import filled, foreground
from cryostat.encoders.volume.geometry import nearest, oriented, resized, spline
from cryostat.encoders.volume.stats import intensity, shape, texture
from cryostat.encoders.volume.volume import Volume

SUBREGIONS: Mapping[str, tuple[int, ...]] = {"necrosis": (1,), "oedema": (2,), "enhancing": (3, 4)}
"""Labels of the parts of a tumour, as BraTS has them (4 until 2021, 3 since)."""

TEXTURE_MM = 2.0
"""mm between the voxels that texture is measured on."""

DISTANCES = (1, 2)
"""Of the two voxels of a pair, in these."""

_TEXTURE = tuple(f"{name} at {d * TEXTURE_MM:g} mm" for d in DISTANCES for name in texture.TEXTURE)
_INTENSITY = tuple(f"intensity {name}" for name in intensity.STATISTICS)
_PLACE = tuple(f"place {axis} [of brain]" for axis in ("right", "posterior", "inferior"))
_CONTRAST = ("contrast with healthy brain [SD]",)
_PART = (
    "volume [mL]",
    "share of tumour",
    "sphericity",
    "parts",
    "intensity mean [IQR]",
    "intensity standard deviation [IQR]",
    "intensity percentile 10 [IQR]",
    "intensity percentile 90 [IQR]",
    *_CONTRAST,
)

FEATURES: tuple[str, ...] = (
    *(f"brain {name}" for name in (*shape.SHAPE[:3], *_INTENSITY, *_TEXTURE)),
    "tumour given",
    *(f"tumour {name}" for name in (*shape.SHAPE, *_PLACE, *_INTENSITY, *_TEXTURE, *_CONTRAST)),
    *(f"{part} {name}" for part in SUBREGIONS for name in _PART),
)
"""What each number of a series is, with its unit."""


@dataclass(frozen=True, eq=False)
class _Series:
    """A series ready to be measured: all arrays (R, P, I), the coarse ones at TEXTURE_MM."""

    values: NDArray[np.float64]
    grey: NDArray[np.intp]
    brain: NDArray[np.bool_]
    tumour: NDArray[Any]
    healthy: NDArray[np.bool_]
    spacing: NDArray[np.float64]
    coarse_grey: NDArray[np.intp]
    coarse_brain: NDArray[np.bool_]
    coarse_tumour: NDArray[Any]


def describe(volume: Volume) -> tuple[NDArray[np.float64], str]:
    """FEATURES of one series, and the rule by which the brain was found.

    Those of the tumour are 0 without a mask (`tumour given` = 0), those of a part also where it does not occur.

    Raises:
        InputError: No brain can be told from the background.
    """
    series, rule = _prepared(volume)
    tumour = series.tumour != 0
    given = volume.tumour is not None
    whole = _whole_tumour(series, tumour) if tumour.any() else np.zeros(len(shape.SHAPE) + _REST)
    parts = [_part(series, np.isin(series.tumour, labels), tumour) for labels in SUBREGIONS.values()]
    return np.concatenate([_brain(series), [float(given)], whole, *parts]), rule


_REST = len(_PLACE) + len(_INTENSITY) + len(_TEXTURE) + len(_CONTRAST)


def _prepared(volume: Volume) -> tuple[_Series, str]:
    grid = oriented(volume)
    brain, rule = foreground(grid.data, grid.masks.get("brain"))
    if brain.sum() < 2:
        raise InputError(
            f"no brain was found in it (by: {rule})", where=volume.where, remedy="Check the volume and its brain mask"
        )
    box = _box(brain, grid.masks.get("tumour"))
    brain, data = brain[box], filled(grid.data)[box].astype(np.float64)
    tumour = grid.masks["tumour"][box] if "tumour" in grid.masks else np.zeros(data.shape, np.uint8)
    healthy = brain & (tumour == 0)
    reference = healthy if healthy.any() else brain
    steps = TEXTURE_MM / grid.spacing
    sizes = [max(size, 1) for size in resized(data.shape, grid.spacing, np.full(3, TEXTURE_MM), 1e-3)]
    coarse = spline(data, steps, sizes)
    series = _Series(
        values=intensity.standardised(data, reference),
        grey=intensity.levels(data, brain),
        brain=brain,
        tumour=tumour,
        healthy=reference,
        spacing=grid.spacing,
        coarse_grey=_levels_of(coarse, data, brain),
        coarse_brain=nearest(brain, steps, sizes),
        coarse_tumour=nearest(tumour, steps, sizes) != 0,
    )
    return series, rule


def _box(brain: NDArray[np.bool_], tumour: NDArray[Any] | None) -> tuple[slice, ...]:
    """The smallest box around brain and tumour: what lies beyond must not matter."""
    either = brain if tumour is None else brain | (tumour != 0)
    found: tuple[slice, ...] = ndimage.find_objects(either.astype(np.uint8))[0]
    return found


def _levels_of(coarse: NDArray[np.float64], data: NDArray[np.float64], brain: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Levels of interpolated voxels between the ends that the original ones have."""
    low, high = np.percentile(data[brain], intensity.ENDS)
    return intensity.binned(coarse, low, high)


def _brain(series: _Series) -> NDArray[np.float64]:
    form = shape.shape(series.coarse_brain, np.full(3, TEXTURE_MM))[:3]
    return np.concatenate([form, _intensity(series, series.brain), _texture(series, series.coarse_brain)])


def _whole_tumour(series: _Series, tumour: NDArray[np.bool_]) -> NDArray[np.float64]:
    return np.concatenate(
        [
            shape.shape(tumour, series.spacing),
            _place(tumour, series.brain),
            _intensity(series, tumour),
            _texture(series, series.coarse_tumour),
            [_contrast(series, tumour)],
        ]
    )


def _part(series: _Series, part: NDArray[np.bool_], tumour: NDArray[np.bool_]) -> NDArray[np.float64]:
    if not part.any():
        return np.zeros(len(_PART))
    form = dict(zip(shape.SHAPE, shape.shape(part, series.spacing), strict=True))
    values = series.values[part]
    return np.array(
        [
            form["volume [mL]"],
            part.sum() / tumour.sum(),
            form["sphericity"],
            form["parts"],
            values.mean(),
            values.std(),
            *np.percentile(values, (10, 90)),
            _contrast(series, part),
        ]
    )


def _intensity(series: _Series, region: NDArray[np.bool_]) -> NDArray[np.float64]:
    return intensity.statistics(series.values[region], series.grey[region])


def _texture(series: _Series, region: NDArray[np.bool_]) -> NDArray[np.float64]:
    pairs = (texture.cooccurrence(series.coarse_grey, region, distance) for distance in DISTANCES)
    return np.concatenate([texture.haralick(matrix) for matrix in pairs])


def _place(region: NDArray[np.bool_], brain: NDArray[np.bool_]) -> NDArray[np.float64]:
    """(3,) centre of a region from that of the brain, in lengths of the brain along each axis."""
    inside, within = np.argwhere(region), np.argwhere(brain)
    return np.asarray((inside.mean(0) - within.mean(0)) / (np.ptp(within, axis=0) + 1))


def _contrast(series: _Series, region: NDArray[np.bool_]) -> float:
    """Difference of the mean from that of the healthy brain, in the standard deviation of the latter."""
    healthy = series.values[series.healthy]
    return float((series.values[region].mean() - healthy.mean()) / (healthy.std() or 1.0))
