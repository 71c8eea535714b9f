"""Glands: where crypts stand, how their epithelium folds round a lumen, which cells are goblet cells."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.synthetic.frame import MARGIN, Floats, Frame
from cryostat.cells.synthetic.noise import interpolate
from cryostat.cells.synthetic.outlines import OUTLINE_STEP, Outlines, draw_outlines, signed_distance

GRID = 4.0
"""µm between the points at which the distance to the glands is worked out; between them it is interpolated."""

ORIGIN = -MARGIN - GRID
"""µm; first row and column of that grid."""

SOLID = 90.0
"""Height (µm) of an epithelium that leaves no room for a lumen."""

MISFIT = 4.5
"""µm by which the depth of a cell may differ from its height above its foot."""


@dataclass(frozen=True)
class GlandStyle:
    """How the glands of an architecture look; pairs are ranges to draw from, lengths in µm.

    Attributes:
        spacing: Distance from gland to gland.
        radius: Outer radius as a share of the spacing.
        stretch: How much longer than wide an oblique cut makes them (one cut for the whole field).
        irregularity: Size of the bumps of the outline, relative.
        wall: Height of the epithelium.
        pitch: Distance from nucleus to nucleus along the outline.
        layers: Rows of nuclei (pseudostratification).
        goblets: Cells from one goblet cell to the next; None for an epithelium without.
        loss: Share of the glands that are missing.
        solid: Share of the glands without a lumen, packed with cells.
        cleft: How far the stroma has shrunk away from the glands; 0 for not at all.
    """

    spacing: tuple[float, float]
    radius: tuple[float, float]
    stretch: tuple[float, float]
    irregularity: float
    wall: tuple[float, float]
    pitch: float
    layers: int
    goblets: tuple[float, float] | None
    loss: float
    solid: float
    cleft: float


@dataclass(frozen=True)
class EpithelialCells:
    """The cells that line the glands; all (n,).

    Attributes:
        y: Foot of the cell on the basement membrane, µm.
        x: The same, across.
        inward: Direction from the foot to the lumen, radians.
        layer: Row of the nucleus, from 0 at the base.
        goblet: Whether the cell is a goblet cell.
        width: Distance to the neighbours along the outline, µm; for a goblet cell, to the next goblet cells.
        radius: Short radius of the gland, µm.
        wall: Height of the gland's epithelium, µm.
    """

    y: Floats
    x: Floats
    inward: Floats
    layer: NDArray[np.intp]
    goblet: NDArray[np.bool_]
    width: Floats
    radius: Floats
    wall: Floats

    def take(self, which: NDArray[np.generic]) -> EpithelialCells:
        """The cells of an index or a mask."""
        return EpithelialCells(**{f.name: getattr(self, f.name)[which] for f in fields(self)})


class Glands:
    """The glands of one field.

    Args:
        rng: Random stream of the layout.
        frame: The field.
        style: How glands look here.

    Attributes:
        cells: The epithelial cells.
        solid: (glands,) whether a gland has no lumen.
    """

    def __init__(self, rng: np.random.Generator, frame: Frame, style: GlandStyle) -> None:
        centres, radii, angle = _lattice(rng, frame, style)
        short = radii.min(1)
        outlines = draw_outlines(rng, centres, radii, angle, style.irregularity)
        self.solid = rng.random(len(short)) < style.solid
        height = rng.uniform(*style.wall) * rng.uniform(0.9, 1.1, len(short))
        self._walls = np.minimum(height, 0.8 * short).astype(np.float32)
        axis = np.arange(ORIGIN, frame.extent + MARGIN + 3 * GRID, GRID, dtype=np.float32)
        self._distance, self._nearest = signed_distance(outlines, axis)
        self.cells = self._line(rng, outlines, style, short)

    def _line(self, rng: np.random.Generator, outlines: Outlines, style: GlandStyle, short: Floats) -> EpithelialCells:
        """Cells along all outlines of glands with a lumen."""
        lined = np.flatnonzero(~self.solid).tolist()
        rows = [_row(rng, outlines, gland, layer, style) for gland in lined for layer in range(style.layers)]
        rows.append((np.zeros(0, np.intp), np.zeros(0, np.bool_), np.zeros(0, np.float32)))
        at, goblet, width = (np.concatenate(column) for column in zip(*rows, strict=True))
        layer = np.repeat(np.append(np.tile(np.arange(style.layers), len(lined)), 0), [len(row[0]) for row in rows])
        normals, gland = outlines.normals[at], outlines.gland[at]
        inward = np.arctan2(-normals[:, 0], -normals[:, 1])
        y, x = outlines.points[at].T
        return EpithelialCells(y, x, inward, layer, goblet, width, short[gland], self._walls[gland])

    def depth_at(self, y: Floats, x: Floats) -> Floats:
        """(n,) µm inside the epithelium's outer boundary at points; negative in the stroma."""
        at = [np.clip((p - ORIGIN) / GRID, 0, len(self._distance) - 2) for p in (y, x)]
        row, column = (p.astype(np.intp) for p in at)
        down, right = at[0] - row, at[1] - column
        above = self._distance[row, column] * (1 - right) + self._distance[row, column + 1] * right
        below = self._distance[row + 1, column] * (1 - right) + self._distance[row + 1, column + 1] * right
        depth: Floats = (above * (1 - down) + below * down).astype(np.float32)
        return depth

    def standing(self, cells: EpithelialCells, height: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Points at a height above the feet of cells.

        Args:
            cells: n cells.
            height: (n,) µm from the foot towards the lumen.

        Returns:
            (n,) y, (n,) x and (n,) whether the epithelium really is that deep there: where glands meet it is not.
        """
        y = (cells.y + height * np.sin(cells.inward)).astype(np.float32)
        x = (cells.x + height * np.cos(cells.inward)).astype(np.float32)
        return y, x, np.abs(self.depth_at(y, x) - height) < MISFIT

    def solid_at(self, y: Floats, x: Floats) -> NDArray[np.bool_]:
        """(n,) whether points are in (or next to) a gland without a lumen."""
        last = len(self._nearest) - 1
        row, column = (np.clip(np.rint((p - ORIGIN) / GRID).astype(np.intp), 0, last) for p in (y, x))
        within: NDArray[np.bool_] = np.append(self.solid, False)[self._nearest[row, column]]
        return within

    def depth_map(self, axis: Floats) -> Floats:
        """(n, n) µm inside the epithelium's outer boundary, negative in the stroma, where rows and columns lie (µm)."""
        return _interpolated(self._distance, axis)

    def wall_map(self, axis: Floats) -> Floats:
        """(n, n) height of the epithelium of the nearest gland, µm; very high where it has no lumen."""
        walls = np.append(np.where(self.solid, np.float32(SOLID), self._walls), np.float32(SOLID))
        return _interpolated(walls[self._nearest], axis)


def _interpolated(grid: Floats, axis: Floats) -> Floats:
    positions = ((axis - np.float32(ORIGIN)) / np.float32(GRID)).astype(np.float32)
    return interpolate(grid, positions, positions)


def _lattice(rng: np.random.Generator, frame: Frame, style: GlandStyle) -> tuple[Floats, Floats, float]:
    """Jittered hexagonal lattice, stretched along one direction: centres (n, 2), semi-axes (n, 2), direction."""
    spacing, stretch, angle = rng.uniform(*style.spacing), rng.uniform(*style.stretch), rng.uniform(0, np.pi)
    reach = int(np.ceil((frame.extent * 0.75 + 1.5 * spacing) / (0.86 * spacing)))
    i, j = (k.ravel().astype(float) for k in np.mgrid[-reach : reach + 1, -reach : reach + 1])
    shift, jitter = rng.uniform(-0.5, 0.5, 2) * spacing, rng.normal(0, 0.05, (2, len(i))) * spacing
    across = spacing * 0.866 * i + shift[0] + jitter[0]
    along = stretch * (spacing * (j + 0.5 * (i % 2)) + jitter[1]) + shift[1]
    sin, cos = np.sin(angle), np.cos(angle)
    centres = np.stack([along * sin + across * cos, along * cos - across * sin], 1) + frame.extent / 2
    short = spacing * rng.uniform(*style.radius, len(i))
    radii = np.stack([short * stretch * rng.uniform(0.9, 1.02, len(i)), short], 1)
    seen = (np.abs(centres - frame.extent / 2) < frame.extent / 2 + MARGIN + radii[:, :1] * 1.2).all(1)
    seen &= rng.random(len(i)) >= style.loss
    return centres[seen].astype(np.float32), radii[seen].astype(np.float32), angle


def _row(
    rng: np.random.Generator, outlines: Outlines, gland: int, layer: int, style: GlandStyle
) -> tuple[NDArray[np.intp], NDArray[np.bool_], Floats]:
    """One row of cells along one outline: index of the foot, whether it is a goblet cell, width."""
    first, stop = np.searchsorted(outlines.gland, [gland, gland + 1])
    length = (stop - first) * OUTLINE_STEP
    n = max(int(length / (style.pitch * rng.uniform(0.94, 1.06))), 3)
    at = (np.arange(n) + rng.normal(0, 0.13, n) + rng.random()) * length / n
    goblet, width = np.zeros(n, np.bool_), np.full(n, length / n)
    if style.goblets and layer == 0:
        starts = np.cumsum(rng.uniform(*style.goblets, n))
        which = np.unique(starts[starts < n - 1].astype(np.intp))
        goblet[which] = True
        width[which] = _gap_to_neighbours(which, n) * length / n
    index = first + (at / OUTLINE_STEP).astype(np.intp) % (stop - first)
    return index, goblet, width.astype(np.float32)


def _gap_to_neighbours(which: NDArray[np.intp], n: int) -> NDArray[np.float64]:
    """Distance of each chosen cell on a closed ring of n to the nearer of the chosen ones beside it."""
    if len(which) < 2:
        return np.full(len(which), float(n))
    after = np.diff(np.append(which, which[0] + n))
    return np.minimum(after, np.roll(after, 1)).astype(float)
