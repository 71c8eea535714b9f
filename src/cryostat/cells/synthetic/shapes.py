"""Blobs (nuclei, cell bodies, vacuoles, red cells) and the pixels that they cover.

A batch of blobs is drawn in small patches of equal size at once, then reduced to a list of pixels with their owner:
no loop over nuclei, no full frame for one of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.synthetic.frame import Floats, Frame

HARMONICS = (2, 3, 4)
"""Angular frequencies of the bumps in an outline."""

PATCH_STEP = 3
"""Patches are grouped by half side, rounded up to a multiple of this many pixels."""


@dataclass(frozen=True)
class Shapes:
    """n blobs: ellipses that may be egg-shaped, bent, bumpy, or of two lobes. All arrays are (n,) unless said.

    Attributes:
        y: Centre, µm.
        x: Centre, µm.
        angle: Direction of the long axis, radians; 0 is along x.
        a: Long semi-axis (of each lobe), µm.
        b: Short semi-axis, µm.
        bend: Curvature of the long axis, 1/µm.
        taper: Relative narrowing towards one end, −1 … 1.
        lobe: Distance of either lobe from the centre, µm; 0 for one lobe.
        wobble: (n, 3) complex, relative bumps at the frequencies of `HARMONICS`.
    """

    y: Floats
    x: Floats
    angle: Floats
    a: Floats
    b: Floats
    bend: Floats
    taper: Floats
    lobe: Floats
    wobble: NDArray[np.complex64]

    def __len__(self) -> int:
        return len(self.y)

    def take(self, which: NDArray[np.generic]) -> Shapes:
        """The blobs of an index or a mask."""
        return Shapes(**{f.name: getattr(self, f.name)[which] for f in fields(self)})

    @staticmethod
    def join(parts: Sequence[Shapes]) -> Shapes:
        """Several batches in one."""
        return Shapes(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Shapes)})

    @staticmethod
    def plain(
        y: Floats,
        x: Floats,
        angle: Floats,
        a: Floats,
        b: Floats,
        *,
        bend: Floats | float = 0.0,
        taper: Floats | float = 0.0,
        lobe: Floats | float = 0.0,
        wobble: NDArray[np.complexfloating[Any]] | None = None,
    ) -> Shapes:
        """Ellipses, with whatever else is given."""
        arrays = {"y": y, "x": x, "angle": angle, "a": a, "b": b, "bend": bend, "taper": taper, "lobe": lobe}
        columns = {name: np.broadcast_to(np.asarray(v, np.float32), y.shape) for name, v in arrays.items()}
        bumps = np.zeros((len(y), len(HARMONICS)), np.complex64) if wobble is None else wobble.astype(np.complex64)
        return Shapes(wobble=bumps, **columns)

    def sides(self) -> tuple[Floats, Floats]:
        """Half length and half width of the box along and across the axis that holds the outline, each (n,), µm."""
        bumps = 1 + np.abs(self.wobble).sum(1)
        length = self.a * bumps + self.lobe
        return length, self.b * bumps * (1 + np.abs(self.taper)) + np.abs(self.bend) * length**2

    def reach(self) -> Floats:
        """(n,) radius around the centre that holds the whole outline, µm."""
        length, width = self.sides()
        reach: Floats = np.maximum(np.hypot(length, self.bend * length**2), width)
        return reach


@dataclass(frozen=True)
class Raster:
    """The pixels of a batch of blobs, one entry a pixel and blob.

    Attributes:
        pixel: (m,) flat index into the frame.
        owner: (m,) index of the blob.
        depth: (m,) distance to the outline, µm; positive inside.
        u: (m,) position along the blob's long axis, µm.
        v: (m,) position across it, µm.
    """

    pixel: NDArray[np.intp]
    owner: NDArray[np.intp]
    depth: Floats
    u: Floats
    v: Floats

    def take(self, which: NDArray[np.generic]) -> Raster:
        """The entries of an index or a mask."""
        return Raster(self.pixel[which], self.owner[which], self.depth[which], self.u[which], self.v[which])

    def of(self, owners: NDArray[np.intp], n: int) -> Raster:
        """The entries of some of n blobs, which are numbered anew in the order given."""
        number = np.full(n, -1)
        number[owners] = np.arange(len(owners))
        part = self.take(np.flatnonzero(number[self.owner] >= 0))
        return Raster(part.pixel, number[part.owner], part.depth, part.u, part.v)


def random_wobble(rng: np.random.Generator, n: int, size: float) -> NDArray[np.complexfloating[Any]]:
    """(n, 3) bumps of random size and direction."""
    parts = rng.standard_normal((2, n, len(HARMONICS))) * size
    wobble: NDArray[np.complexfloating[Any]] = parts[0] + 1j * parts[1]
    return wobble


def rasterise(shapes: Shapes, frame: Frame, fringe: float) -> Raster:
    """List the pixels inside the blobs and those up to about `fringe` µm outside, where edges are soft."""
    half = np.ceil((shapes.reach() + fringe) / frame.mpp / PATCH_STEP).astype(np.intp) * PATCH_STEP
    groups = [_rasterise_patches(shapes, np.flatnonzero(half == h), int(h), frame, fringe) for h in np.unique(half)]
    if not groups:
        none, empty = np.zeros(0, np.intp), np.zeros(0, np.float32)
        return Raster(none, none, empty, empty, empty)
    return Raster(*(np.concatenate([getattr(g, f.name) for g in groups]) for f in fields(Raster)))


def _rasterise_patches(shapes: Shapes, which: NDArray[np.intp], half: int, frame: Frame, fringe: float) -> Raster:
    part = shapes.take(which)
    offsets = np.arange(-half, half + 1)
    rows = np.floor(part.y / frame.mpp).astype(np.intp)[:, None] + offsets
    columns = np.floor(part.x / frame.mpp).astype(np.intp)[:, None] + offsets
    dy = ((rows + 0.5) * frame.mpp - part.y[:, None]).astype(np.float32)
    dx = ((columns + 0.5) * frame.mpp - part.x[:, None]).astype(np.float32)
    sin, cos = np.sin(part.angle)[:, None], np.cos(part.angle)[:, None]
    u = (dx * cos)[:, None, :] + (dy * sin)[:, :, None]
    v = (dy * cos)[:, :, None] - (dx * sin)[:, None, :]
    length, width = (side[:, None, None] + np.float32(fringe) for side in part.sides())
    near = np.abs(u) < length
    near &= np.abs(v) < width
    near &= ((rows >= 0) & (rows < frame.size))[:, :, None]
    near &= ((columns >= 0) & (columns < frame.size))[:, None, :]
    flat = np.flatnonzero(near)
    local = flat // (len(offsets) ** 2)
    pixel = (rows[:, :, None] * frame.size + columns[:, None, :]).reshape(-1)[flat]
    u, v = u.reshape(-1)[flat], v.reshape(-1)[flat]
    depth = _depth(part, local, u, v)
    return Raster(pixel, which[local], depth, u, v).take(np.flatnonzero(depth > -fringe))


def _depth(shapes: Shapes, owner: NDArray[np.intp], u: Floats, v: Floats) -> Floats:
    """Distance to the outline to first order: the implicit function over its gradient."""
    straight = v - shapes.bend[owner] * u * u
    lobe = shapes.lobe[owner]
    along = np.where(lobe > 0, np.abs(u) - lobe, u)
    per_a, per_b = (1 / shapes.a)[owner], (1 / shapes.b)[owner]
    p, q = along * per_a, straight * per_b
    q /= np.maximum(1 + shapes.taper[owner] * np.clip(p, -1, 1), np.float32(0.2))
    radius = np.maximum(np.sqrt(p * p + q * q), np.float32(1e-3))
    p /= radius
    q /= radius
    outline = 1 + _bumps(shapes.wobble[owner], p, q)
    steepness = np.sqrt(np.square(p * per_a) + np.square(q * per_b))
    depth: Floats = (outline - radius) / steepness
    return depth


def _bumps(wobble: NDArray[np.complex64], cos: Floats, sin: Floats) -> Floats:
    turn = np.empty(len(cos), np.complex64)
    turn.real, turn.imag = cos, sin
    power, total = turn, np.zeros(len(cos), np.float32)
    for k in range(len(HARMONICS)):
        power = power * turn
        total += (wobble[:, k] * power).real
    return total
