"""Outlines of glands: closed rings of points that give way to each other, and the distance to them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from cryostat.cells.synthetic.frame import Floats

OUTLINE_STEP = 1.5
"""µm between the points of an outline."""

GAP = 7.0
"""µm of stroma that stay between two glands."""

MAX_RETREAT = 14.0
"""µm by which a gland gives way to a neighbour at most."""

FAR = 1e3
"""Distance (µm) to a gland where there is none."""


@dataclass(frozen=True)
class Outlines:
    """Points along the outlines of all glands, gland after gland.

    Attributes:
        points: (n, 2) y and x, µm.
        normals: (n, 2) outward unit normals.
        gland: (n,) number of the gland.
    """

    points: Floats
    normals: Floats
    gland: NDArray[np.intp]


def draw_outlines(rng: np.random.Generator, centres: Floats, radii: Floats, angle: float, bumps: float) -> Outlines:
    """Outlines of glands that do not meet.

    Args:
        rng: Random stream of the layout.
        centres: (n, 2) y and x, µm.
        radii: (n, 2) semi-axes along and across `angle`, µm.
        angle: Common direction of the glands, radians.
        bumps: Size of the bumps, relative to the radius.
    """
    rings = [_ring(rng, c, r, angle + rng.normal(0, 0.1), bumps) for c, r in zip(centres, radii, strict=True)]
    if not rings:
        return Outlines(np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32), np.zeros(0, np.intp))
    normals = [_normals(ring) for ring in rings]
    rings = [_yielding(g, rings, normals, centres, radii[:, 0]) for g in range(len(rings))]
    gland = np.repeat(np.arange(len(rings)), [len(ring) for ring in rings])
    return Outlines(np.concatenate(rings), np.concatenate([_normals(ring) for ring in rings]), gland)


def _ring(rng: np.random.Generator, centre: Floats, radii: Floats, angle: float, bumps: float) -> Floats:
    """(n, 2) points at equal steps along one outline."""
    theta = np.linspace(0, 2 * np.pi, 257)
    order = np.arange(2, 7)[:, None]
    size, phase = rng.normal(0, bumps, (5, 1)) * (2 / order), rng.uniform(0, 2 * np.pi, (5, 1))
    radius = np.clip(1 + (size * np.cos(order * theta + phase)).sum(0), 0.6, 1.4)
    along, across = radii[0] * radius * np.cos(theta), radii[1] * radius * np.sin(theta)
    sin, cos = np.sin(angle), np.cos(angle)
    y, x = along * sin + across * cos, along * cos - across * sin
    length = np.append(0, np.cumsum(np.hypot(np.diff(y), np.diff(x))))
    steps = np.linspace(0, length[-1], int(length[-1] / OUTLINE_STEP) + 1)[:-1]
    points = np.stack([np.interp(steps, length, y), np.interp(steps, length, x)], 1)
    return (points + centre).astype(np.float32)


def _normals(ring: Floats) -> Floats:
    """(n, 2) outward unit normals of a closed ring of points that runs round once."""
    ahead = np.concatenate([ring[2:], ring[:2]]) - np.concatenate([ring[-2:], ring[:-2]])
    ahead /= np.maximum(np.sqrt(np.square(ahead).sum(1, keepdims=True)), np.float32(1e-6))
    normals = np.stack([-ahead[:, 1], ahead[:, 0]], 1)
    outward: Floats = normals * np.sign((normals * (ring - ring.mean(0))).sum())
    return outward


def _yielding(gland: int, rings: list[Floats], normals: list[Floats], centres: Floats, reach: Floats) -> Floats:
    """The outline of a gland, flattened where it would come closer to a neighbour than `GAP`."""
    ring = rings[gland]
    apart = np.hypot(*(centres - centres[gland]).T) - 1.4 * (reach + reach[gland])
    near = [g for g in np.flatnonzero(apart < GAP) if g != gland]
    if not near:
        return ring
    others, outward = np.concatenate([rings[g] for g in near]), np.concatenate([normals[g] for g in near])
    nearest = cKDTree(others).query(ring)[1]
    clearance = ((ring - others[nearest]) * outward[nearest]).sum(1)
    retreat = np.clip((GAP - clearance) / 2, 0, MAX_RETREAT)
    smooth = np.convolve(np.concatenate([retreat[-4:], retreat, retreat[:4]]), np.full(9, 1 / 9), mode="valid")
    return (ring - smooth[:, None] * normals[gland]).astype(np.float32)


def signed_distance(outlines: Outlines, axis: Floats) -> tuple[Floats, NDArray[np.intp]]:
    """Distance to the outlines on a square grid.

    Args:
        outlines: The outlines.
        axis: (n,) rows and columns of the grid, µm.

    Returns:
        (n, n) distance in µm, positive inside, −`FAR` where there is no gland at all; (n, n) nearest gland, or −1.
    """
    square = (len(axis), len(axis))
    if not len(outlines.points):
        return np.full(square, -FAR, np.float32), np.full(square, -1)
    grid = np.stack(np.meshgrid(axis, axis, indexing="ij"), -1).reshape(-1, 2)
    distance, nearest = cKDTree(outlines.points).query(grid)
    normal = ((outlines.points[nearest] - grid) * outlines.normals[nearest]).sum(1)
    # Close to the outline the distance to its points is coarse, the distance along the normal is exact.
    depth = np.where(distance < 3 * OUTLINE_STEP, normal, np.sign(normal) * distance)
    return depth.reshape(square).astype(np.float32), outlines.gland[nearest].reshape(square)
