"""The texture of nuclei: grain and clumps, membrane, cartwheels, nucleoli."""

from __future__ import annotations

import numpy as np

from cryostat.cells.synthetic.canvas import Textures
from cryostat.cells.synthetic.frame import Floats
from cryostat.cells.synthetic.population import Nuclei
from cryostat.cells.synthetic.shapes import Raster

SPOKES = 6
"""Spokes of a cartwheel."""

NUCLEOLATED = 0.55
"""Share of the nuclei of a kind with nucleoli in whose section one lies."""


def chromatin(rng: np.random.Generator, textures: Textures, nuclei: Nuclei, raster: Raster) -> Floats:
    """(m,) density of chromatin relative to its mean in the nucleus, around 0.

    Args:
        rng: Random stream of the painting.
        textures: Noise of the field.
        nuclei: n nuclei.
        raster: Their m pixels.
    """
    owner, n = raster.owner, len(nuclei)
    contrast = (nuclei.table("clump") * rng.uniform(0.6, 1.4, n)).astype(np.float32)[owner]
    relief = contrast * (0.55 * textures.grain[raster.pixel] + 0.75 * textures.clumps[raster.pixel])
    rim = (nuclei.table("rim") * rng.uniform(0.5, 1.4, n)).astype(np.float32)[owner]
    relief += rim * (np.exp(-np.square((raster.depth - 0.35) / np.float32(0.6))) - 0.25)
    relief += _nucleoli(rng, nuclei, raster)
    wheels = np.flatnonzero(nuclei.table("cartwheel")[owner] > 0)
    relief[wheels] += _cartwheel(rng, nuclei, raster.take(wheels))
    return relief


def _cartwheel(rng: np.random.Generator, nuclei: Nuclei, raster: Raster) -> Floats:
    turn = raster.u + 1j * raster.v
    radius = np.abs(turn) + np.float32(1e-3)
    phase = np.exp(1j * rng.uniform(0, 2 * np.pi, len(nuclei))).astype(np.complex64)[raster.owner]
    wave = ((turn / radius) ** SPOKES * phase).real
    wheel: Floats = nuclei.table("cartwheel")[raster.owner] * wave * np.minimum(radius / 2, 1)
    return wheel


def _nucleoli(rng: np.random.Generator, nuclei: Nuclei, raster: Raster) -> Floats:
    owner, n = raster.owner, len(nuclei)
    strength: Floats = nuclei.table("nucleolus") * (rng.random(n) < NUCLEOLATED) * rng.uniform(0.5, 1.6, n)
    u, v = (rng.uniform(-0.4, 0.4, n) * side for side in (nuclei.shapes.a, nuclei.shapes.b))
    sharpness = 1 / np.square(rng.uniform(0.7, 1.1, n))
    distance = np.square(raster.u - u.astype(np.float32)[owner]) + np.square(raster.v - v.astype(np.float32)[owner])
    spot: Floats = strength.astype(np.float32)[owner] * np.exp(-distance * sharpness.astype(np.float32)[owner])
    return spot
