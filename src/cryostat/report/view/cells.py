"""Cells of a GeoJSON file, as QuPath and `cryostat export` write them, as a layer over a whole slide."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw

from cryostat.cells.datasets.geojson import Outline, read_outlines
from cryostat.cells.drawing import PALETTE
from cryostat.core.errors import InputError
from cryostat.core.files import require_file

Points = Sequence[tuple[float, ...]]
"""x and y of each vertex."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom, px of the slide."""

LARGEST = 2**28
"""Bytes of a file that is read; it needs some fifteen times as much memory."""

NUCLEI = frozenset({"cell", "detection"})
"""Object types that are cells; where a file has any, its annotations are regions and are left out."""

UNNAMED = "no class"
"""Name of cells without a classification."""

FINER = 4
"""The layer of cells is so many times as fine as the slide, so that lines stay thin when one zooms in."""

SMALL = 5.0
"""Width of a cell on a tile, px, below which it is a dot."""

DENSE = 6000
"""Cells on one tile from which all of them are dots."""

SHARPER = 2
"""Tiles are drawn so many times as large and averaged down."""

LINE, FILL = 2.0, 0.4
"""Width of an outline, px of a tile, and opacity of the inside where it is filled."""

TOLD = 40
"""Measurements of a cell that are shown."""


@dataclass(frozen=True)
class CellClassKey:
    """A class of the file: name, colour as `#rrggbb`, and how many cells it has."""

    name: str
    colour: str
    count: int


class SlideCells:
    """Cells on a slide.

    Args:
        outlines: The cells that can be drawn.
        size: Width and height of the slide, px.
    """

    def __init__(self, outlines: Sequence[Outline], size: tuple[int, int]) -> None:
        self.size = size
        self.outlines = outlines
        self.boxes = np.array([_box(one) for one in outlines], np.float64).reshape(-1, 4)
        self.centres = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
        self.keys, self._class_of = _classes(outlines)
        colours = [ImageColor.getrgb(key.colour)[:3] for key in self.keys]
        self._rgb = np.array(colours, np.uint8).reshape(-1, 3)[self._class_of]

    def within(self, box: Box) -> NDArray[np.intp]:
        """Places of the cells that may reach into a box of left, top, right, bottom; in the order of the file."""
        left, top, right, bottom = box
        b = self.boxes
        return np.flatnonzero((b[:, 0] < right) & (b[:, 2] > left) & (b[:, 1] < bottom) & (b[:, 3] > top))

    def at(self, x: float, y: float) -> dict[str, Any] | None:
        """What the file tells of the smallest cell over a point; None where there is none."""
        over = [i for i in self.within((x, y, x, y)) if _covers(self.outlines[i], x, y)]
        if not over:
            return None
        cell = min(over, key=lambda i: float(np.prod(self.boxes[i, 2:] - self.boxes[i, :2])))
        key, outline = self.keys[self._class_of[cell]], self.outlines[cell]
        return {
            "number": outline.number,
            "class": key.name,
            "colour": key.colour,
            "rings": [ring.round(2).tolist() for part in outline.parts for ring in part],
            "facts": _facts(outline.properties),
        }

    def colours_of(self, cells: NDArray[np.intp]) -> NDArray[np.uint8]:
        """(n, 3) colours."""
        return np.asarray(self._rgb[cells])


class CellsSource:
    """The tiles of cells on a slide, RGBA: outlines where they are large enough to be seen, dots elsewhere."""

    def __init__(self, cells: SlideCells, *, filled: bool = False) -> None:
        self._cells = cells
        self._filled = filled

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px of the layer."""
        return self._cells.size[0] * FINER, self._cells.size[1] * FINER

    def window(self, box: tuple[int, int, int, int], shape: tuple[int, int]) -> Image.Image:
        """RGBA of a window."""
        left, top, right, bottom = (side / FINER for side in box)
        return self._painted((left, top, right, bottom), shape)

    def _painted(self, box: Box, shape: tuple[int, int]) -> Image.Image:
        """A window given in px of the slide."""
        shrink = (box[2] - box[0]) / shape[0]
        margin = 2 * shrink
        found = self._cells.within((box[0] - margin, box[1] - margin, box[2] + margin, box[3] + margin))
        if not len(found):
            return Image.new("RGBA", shape)
        sides = self._cells.boxes[found, 2:] - self._cells.boxes[found, :2]
        seen = float(np.median(sides.max(1))) / shrink
        if seen < SMALL or len(found) > DENSE:
            return self._dots(found, box, shrink, shape)
        return self._polygons(found, box, shrink, shape)

    def _dots(self, found: NDArray[np.intp], box: Box, shrink: float, shape: tuple[int, int]) -> Image.Image:
        pixels = np.zeros((shape[1], shape[0], 4), np.uint8)
        at = np.floor((self._cells.centres[found] - np.array(box[:2])) / shrink).astype(np.int64)
        colours = np.column_stack([self._cells.colours_of(found), np.full(len(found), 255, np.uint8)])
        for down in (0, 1):
            for right in (0, 1):
                x, y = at[:, 0] + right, at[:, 1] + down
                inside = (x >= 0) & (y >= 0) & (x < shape[0]) & (y < shape[1])
                pixels[y[inside], x[inside]] = colours[inside]
        return Image.fromarray(pixels, "RGBA")

    def _polygons(self, found: NDArray[np.intp], box: Box, shrink: float, shape: tuple[int, int]) -> Image.Image:
        drawn = Image.new("RGBA", (shape[0] * SHARPER, shape[1] * SHARPER))
        pen = ImageDraw.Draw(drawn)
        scale, width = SHARPER / shrink, round(LINE * SHARPER)
        for cell, rgb in zip(found, self._cells.colours_of(found).tolist(), strict=True):
            for part in self._cells.outlines[cell].parts:
                rings = [[*map(tuple, ((ring - np.array(box[:2])) * scale).tolist())] for ring in part]
                if self._filled:
                    _fill(drawn, rings, (*rgb, round(255 * FILL)))
                for ring in rings:
                    pen.line([*ring, ring[0]], fill=(*rgb, 255), width=width, joint="curve")
        return _reduced(drawn, shape)


def _fill(drawn: Image.Image, rings: Sequence[Points], colour: tuple[int, int, int, int]) -> None:
    """Fill the outer ring; what lies beneath its holes stays as it is."""
    if len(rings) == 1:
        ImageDraw.Draw(drawn).polygon(rings[0], fill=colour)
        return
    xs, ys = zip(*rings[0], strict=True)
    left, top = max(0, math.floor(min(xs))), max(0, math.floor(min(ys)))
    right, bottom = min(drawn.width, math.ceil(max(xs)) + 1), min(drawn.height, math.ceil(max(ys)) + 1)
    if right <= left or bottom <= top:
        return
    mask = Image.new("L", (right - left, bottom - top))
    pen = ImageDraw.Draw(mask)
    for ring, inside in zip(rings, [255, *[0] * (len(rings) - 1)], strict=True):
        pen.polygon([(x - left, y - top) for x, y in ring], fill=inside)
    drawn.paste(colour, (left, top), mask)


def _reduced(drawn: Image.Image, shape: tuple[int, int]) -> Image.Image:
    """The picture averaged down; Pillow weighs colours by their opacity."""
    return drawn.resize(shape, Image.Resampling.BOX)


def read_slide_cells(path: Path, size: tuple[int, int]) -> tuple[SlideCells, tuple[tuple[str, str], ...]]:
    """The cells of a GeoJSON file that lie on a slide, and what is to be told of them.

    Args:
        path: The file; coordinates are px of the slide at its full size.
        size: Width and height of the slide, px.

    Raises:
        InputError: It is missing, no GeoJSON, too large, or holds no cell that can be drawn on the slide.
    """
    require_file(path)
    if path.stat().st_size > LARGEST:
        raise InputError(
            f"holds {path.stat().st_size / 2**20:,.0f} MiB; at most {LARGEST / 2**20:,.0f} are read",
            where=path,
            remedy="Export a part of the slide's cells",
        )
    read = read_outlines(path, prefer="nucleusGeometry")
    cells = [one for one in read if one.kind in NUCLEI] or read
    sound = [_solid(one) for one in cells if one.parts and not one.fault]
    on_slide = [one for one in sound if _touches(one, size)]
    if not on_slide:
        raise InputError(_emptiness(cells, sound, size), where=path, remedy=_remedy(cells))
    facts = [("Cells", f"{len(on_slide):,}")]
    if len(sound) < len(cells):
        facts.append(("Left out", f"{len(cells) - len(sound):,} that cannot be drawn"))
    if len(on_slide) < len(sound):
        facts.append(("Off the slide", f"{len(sound) - len(on_slide):,}"))
    return SlideCells(on_slide, size), tuple(facts)


def _emptiness(cells: Sequence[Outline], sound: Sequence[Outline], size: tuple[int, int]) -> str:
    if not cells:
        return "holds no cell"
    if not sound:
        return f"holds no cell that can be drawn; the first of its {len(cells):,} is {cells[0].fault}"
    return f"holds {len(sound):,} cells, none of which lies on the slide of {size[0]:,} × {size[1]:,} px"


def _remedy(cells: Sequence[Outline]) -> str:
    return "Name the slide's own file; coordinates are px of the full slide" if cells else "Export the cells again"


def _solid(outline: Outline) -> Outline:
    """The outline without parts and holes of fewer than three vertices."""
    parts = tuple(tuple(ring for ring in part if len(ring) > 2) for part in outline.parts if len(part[0]) > 2)
    return replace(outline, parts=parts)


def _touches(outline: Outline, size: tuple[int, int]) -> bool:
    left, top, right, bottom = _box(outline)
    return left < size[0] and top < size[1] and right > 0 and bottom > 0


def _box(outline: Outline) -> Box:
    vertices = np.concatenate([part[0] for part in outline.parts])
    (left, top), (right, bottom) = vertices.min(0).tolist(), vertices.max(0).tolist()
    return left, top, right, bottom


def _classes(outlines: Sequence[Outline]) -> tuple[tuple[CellClassKey, ...], NDArray[np.intp]]:
    """The classes, the commonest first, and the place of each cell's among them."""
    names = [one.class_name or UNNAMED for one in outlines]
    counts: dict[str, int] = {}
    stated: dict[str, str] = {}
    for name, outline in zip(names, outlines, strict=True):
        counts[name] = counts.get(name, 0) + 1
        if name not in stated and (colour := _colour(outline.properties.get("classification"))):
            stated[name] = colour
    order = sorted(counts, key=lambda name: (name == UNNAMED, -counts[name], name))
    spare = iter(PALETTE[i % len(PALETTE)] for i in range(len(order)))
    keys = [
        CellClassKey(name, stated.get(name) or ("#ffffff" if name == UNNAMED else next(spare)), counts[name])
        for name in order
    ]
    place = {name: i for i, name in enumerate(order)}
    return tuple(keys), np.array([place[name] for name in names], np.intp)


def _colour(classification: Any) -> str:
    """Colour as QuPath writes it: [red, green, blue] or, before 0.4, one signed number; empty where there is none."""
    if not isinstance(classification, Mapping):
        return ""
    rgb, packed = classification.get("color"), classification.get("colorRGB")
    if isinstance(rgb, list) and len(rgb) == 3 and all(type(v) is int and 0 <= v <= 255 for v in rgb):
        return "#{:02x}{:02x}{:02x}".format(*rgb)
    return f"#{packed & 0xFFFFFF:06x}" if type(packed) is int and abs(packed) < 2**32 else ""


def _facts(properties: Mapping[str, Any]) -> list[list[str]]:
    """Name, notes and measurements of a cell, as texts."""
    found = [["Name", str(properties["name"])]] if isinstance(properties.get("name"), str) else []
    for group in ("metadata", "measurements"):
        told = properties.get(group)
        pairs = told.items() if isinstance(told, Mapping) else _listed(told)
        found += [[str(name), _text(value)] for name, value in pairs if isinstance(value, str | int | float)]
    return found[:TOLD]


def _listed(told: Any) -> list[tuple[str, Any]]:
    """Measurements as QuPath wrote them before 0.4: a list of names and values."""
    rows = told if isinstance(told, list) else []
    return [(row["name"], row.get("value")) for row in rows if isinstance(row, Mapping) and "name" in row]


def _text(value: str | float) -> str:
    if isinstance(value, str):
        return value[:200]
    if isinstance(value, int):
        return str(value) if abs(value) < 10**15 else "–"
    return f"{value:.4g}" if math.isfinite(value) else "–"


def _covers(outline: Outline, x: float, y: float) -> bool:
    return sum(_inside(ring, x, y) for part in outline.parts for ring in part) % 2 == 1


def _inside(ring: NDArray[np.float64], x: float, y: float) -> bool:
    """Whether a ray to the right crosses the ring an odd number of times."""
    x0, y0 = ring[:, 0], ring[:, 1]
    x1, y1 = np.roll(x0, -1), np.roll(y0, -1)
    crossing = (y0 > y) != (y1 > y)
    rise = np.where(crossing, y1 - y0, 1.0)
    return int(np.count_nonzero(crossing & (x < x0 + (y - y0) / rise * (x1 - x0)))) % 2 == 1
