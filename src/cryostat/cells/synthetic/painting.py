"""Laying stain on a layout, from the stroma up to the nuclei."""

from __future__ import annotations

import numpy as np

from cryostat.cells.synthetic.canvas import Canvas, StainMix, Textures
from cryostat.cells.synthetic.chromatin import chromatin
from cryostat.cells.synthetic.frame import Floats, bands
from cryostat.cells.synthetic.glands import Glands
from cryostat.cells.synthetic.kinds import KINDS, Body
from cryostat.cells.synthetic.layout import Layout
from cryostat.cells.synthetic.noise import smooth_noise, smoothstep
from cryostat.cells.synthetic.population import Nuclei
from cryostat.cells.synthetic.shapes import Shapes, random_wobble, rasterise
from cryostat.cells.synthetic.stroma import collagen
from cryostat.cells.synthetic.vessels import red_cells

SOFT = 0.45
"""µm over which an edge in focus fades."""

OUT_OF_FOCUS = 0.12
"""Share of the nuclei that lie above or below the focal plane."""

VACUOLE_FLOOR = 6.0
"""µm above the basement membrane at which the mucin of a goblet cell may begin."""


def paint(rng: np.random.Generator, layout: Layout) -> list[Floats]:
    """Haematoxylin, eosin and red of a field, each (size, size).

    Args:
        rng: Random stream of the painting.
        layout: What lies where.
    """
    canvas, textures = Canvas(layout.frame), Textures.make(rng, layout.frame)
    depth = layout.glands.depth_map(layout.frame.centres())
    _paint_stroma(rng, canvas, layout, depth)
    _paint_epithelium(rng, canvas, textures, layout, depth)
    _paint_goblets(rng, canvas, textures, layout.glands)
    _paint_vessels(rng, canvas, layout.vessels)
    _paint_bodies(rng, canvas, textures, layout.nuclei, depth)
    _paint_nuclei(rng, canvas, textures, layout)
    return [np.maximum(layer, 0, out=layer) for layer in canvas.layers]


def _paint_stroma(rng: np.random.Generator, canvas: Canvas, layout: Layout, depth: Floats) -> None:
    """Collagen, shrunken away from some glands."""
    eosin = collagen(rng, layout.fibres, layout.architecture)
    shrunken: Floats = smooth_noise(rng, canvas.frame, 25) + np.float32(3 * (layout.architecture.glands.cleft - 0.5))
    for rows in bands(canvas.frame.size):
        gap = smoothstep(depth[rows], -5.0, -3.5) * (1 - smoothstep(depth[rows], -1.6, -0.6))
        stain = eosin[rows] * (1 - 0.95 * gap * smoothstep(shrunken[rows], 0, 0.8))
        canvas.layers[0][rows] = 0.05 * eosin[rows] + 0.02
        canvas.layers[1][rows] = stain


def _paint_epithelium(
    rng: np.random.Generator, canvas: Canvas, textures: Textures, layout: Layout, depth: Floats
) -> None:
    """Cytoplasm striped by the cells, basement membrane, brush border and lumen."""
    frame, axis = canvas.frame, canvas.frame.centres()
    debris = smooth_noise(rng, frame, 5, (16, 1.0))
    wall = layout.glands.wall_map(axis)
    slopes: list[Floats] = list(np.gradient(depth, np.float32(frame.mpp)))
    for rows in bands(frame.size):
        foot_y = axis[rows, None] - depth[rows] * slopes[0][rows]
        foot_x = axis - depth[rows] * slopes[1][rows]
        wall[rows] *= 1 + 0.035 * textures.tile.at(foot_y / np.float32(6), foot_x / np.float32(6))
        stripes = textures.tile.at(foot_y / np.float32(2.4), foot_x / np.float32(2.4))
        stripes *= 1 - smoothstep(depth[rows], 20, 34)
        mottle = textures.clumps.reshape(frame.shape)[rows]
        cytoplasm = _cytoplasm(layout.architecture.basophilia, depth[rows] / wall[rows], stripes, mottle)
        _paint_wall(canvas, rows, depth[rows], wall[rows], cytoplasm)
        wisps = smoothstep(debris[rows] + 0.3 * mottle, 0.3, 3.5)
        mucus = (0.015 + 0.13 * wisps, 0.015 + 0.22 * wisps, 0.0)
        canvas.cover(rows, smoothstep(depth[rows] - wall[rows], -0.5, 0.6), mucus)


def _cytoplasm(basophilia: float, height: Floats, stripes: Floats, mottle: Floats) -> StainMix:
    height = np.clip(height, 0, 1)
    haematoxylin = np.float32(basophilia) - 0.10 * height + 0.035 * stripes + 0.02 * mottle
    return haematoxylin, 0.34 + 0.06 * height + 0.06 * stripes + 0.03 * mottle, 0.0


def _paint_wall(canvas: Canvas, rows: slice, depth: Floats, wall: Floats, cytoplasm: StainMix) -> None:
    canvas.cover(rows, smoothstep(depth, -0.5, 0.5), cytoplasm)
    canvas.cover(rows, 0.5 * _line(depth, -0.5, 0.8), (0.1, 0.55, 0.0))
    canvas.cover(rows, 0.5 * _line(depth - wall, -0.6, 0.9), (0.12, 0.62, 0.0))


def _line(distance: Floats, at: float, width: float) -> Floats:
    """1 where a distance (µm) is `at`, fading within `width` to either side."""
    line: Floats = np.exp(-np.square((distance - np.float32(at)) * np.float32(1 / width)))
    return line


def _paint_goblets(rng: np.random.Generator, canvas: Canvas, textures: Textures, glands: Glands) -> None:
    """Vacuoles of pale mucin under the lumen."""
    shapes = _vacuoles(rng, glands)
    spots = rasterise(shapes, canvas.frame, 0.8)
    mucin, rim = textures.clumps[spots.pixel], _line(spots.depth, 0.2, 0.7)
    blue = rng.uniform(0.02, 0.16, len(shapes)).astype(np.float32)[spots.owner]
    stain = (blue * (1 + 0.3 * mucin) + 0.13 * rim, 0.03 + 0.02 * mucin + 0.28 * rim, 0.0)
    canvas.cover_spots(spots, 0.95 * smoothstep(spots.depth, -0.4, 0.5), stain)


def _vacuoles(rng: np.random.Generator, glands: Glands) -> Shapes:
    cells = glands.cells.take(glands.cells.goblet)
    n = len(cells.y)
    top = cells.wall * rng.uniform(0.72, 1.0, n)
    a = np.minimum(0.5 * (top - VACUOLE_FLOOR), rng.uniform(5.0, 8.5, n))
    height = top - a
    # Cells narrow towards the lumen as the circle does.
    narrowing = 1 - 0.85 * height / np.maximum(cells.radius, height + 4)
    b = np.clip(0.5 * cells.width * narrowing * rng.uniform(1.25, 1.6, n), 2.8, 7.5)
    y, x, fits = glands.standing(cells, height)
    taper = -rng.uniform(0.1, 0.35, n)
    return Shapes.plain(y, x, cells.inward, np.maximum(a, b), b, taper=taper).take(fits)


def _paint_vessels(rng: np.random.Generator, canvas: Canvas, vessels: Shapes) -> None:
    spots = rasterise(vessels, canvas.frame, 1.5)
    wall = _line(spots.depth, -0.2, 0.7)
    canvas.cover_spots(spots, 0.8 * smoothstep(spots.depth, -1.2, 0.2), (0.03 + 0.06 * wall, 0.06 + 0.32 * wall, 0.0))
    spots = rasterise(red_cells(rng, vessels), canvas.frame, 0.6)
    pale = 1 - 0.3 * smoothstep(spots.depth, 1.0, 2.4)
    canvas.cover_spots(spots, 0.9 * smoothstep(spots.depth, -0.3, 0.5), (0.02, 0.30 * pale, 0.62 * pale))


def _paint_bodies(rng: np.random.Generator, canvas: Canvas, textures: Textures, nuclei: Nuclei, depth: Floats) -> None:
    """Cell bodies, where the cells do not lie between epithelial cells."""
    stroma = (1 - smoothstep(depth, -0.8, 0.2)).reshape(-1)
    for number, kind in enumerate(KINDS.values()):
        if kind.body is not None:
            _paint_body(rng, canvas, textures, nuclei.shapes.take(nuclei.kind == number), kind.body, stroma)


def _paint_body(
    rng: np.random.Generator, canvas: Canvas, textures: Textures, nuclei: Shapes, body: Body, stroma: Floats
) -> None:
    spots = rasterise(_bodies(rng, nuclei, body), canvas.frame, 0.8)
    grain = 1 + np.float32(body.grain) * textures.grain[spots.pixel]
    strength = np.clip(rng.normal(1, 0.28, len(nuclei)), 0.4, 1.7).astype(np.float32)[spots.owner]
    strength *= 1 - body.hof * np.exp(-(np.square(spots.u - 1.2) + np.square(spots.v)) / np.float32(4))
    stain = (body.haematoxylin * strength, body.eosin * strength * grain, np.maximum(body.red * strength * grain, 0))
    opacity = np.float32(body.opacity) * smoothstep(spots.depth, -0.5, 0.6) * stroma[spots.pixel]
    canvas.cover_spots(spots, opacity, stain)


def _bodies(rng: np.random.Generator, nuclei: Shapes, body: Body) -> Shapes:
    """Cell bodies round nuclei of one kind; the nucleus lies towards one end."""
    n = len(nuclei)
    radius = np.maximum(rng.normal(*body.radius, n), 2.5)
    offset, direction = np.maximum(rng.normal(*body.offset, n), 0), rng.uniform(0, 2 * np.pi, n)
    y, x = nuclei.y + offset * np.sin(direction), nuclei.x + offset * np.cos(direction)
    longer = np.sqrt(body.aspect)
    return Shapes.plain(y, x, direction, radius * longer, radius / longer, wobble=random_wobble(rng, n, 0.06))


def _paint_nuclei(rng: np.random.Generator, canvas: Canvas, textures: Textures, layout: Layout) -> None:
    nuclei, raster = layout.nuclei, layout.raster
    n = len(nuclei)
    soft = SOFT * rng.uniform(0.8, 1.6, n) * np.where(rng.random(n) < OUT_OF_FOCUS, 1.8, 1)
    share = np.clip(0.5 + raster.depth / (2 * soft.astype(np.float32)[raster.owner]), 0, 1)
    density = np.maximum(nuclei.drawn(rng, "density"), 0.35)[raster.owner]
    relief = np.maximum(0.88 + chromatin(rng, textures, nuclei, raster), 0.25)
    eosin = nuclei.table("eosin")[raster.owner] * (0.8 + 0.2 * textures.clumps[raster.pixel])
    canvas.cover_spots(raster, share, (density * relief, np.maximum(eosin, 0), 0.0))
