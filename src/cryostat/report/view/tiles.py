"""DeepZoom: a large picture as a pyramid of small tiles, each made when it is asked for."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import Any, Protocol

from PIL import Image

from cryostat.core.errors import InputError

TILE = 510
"""Side of a tile without its overlap, px."""

OVERLAPS = {"jpg": 1, "png": 0}
"""Pixels that tiles share on each inner side, so that no seam is seen; where one looks through, it would be one."""

QUALITY = 88
"""Of JPEG tiles."""

KEPT = 256
"""Tiles of one picture that are kept in memory."""

NAMESPACE = "http://schemas.microsoft.com/deepzoom/2008"


class Source(Protocol):
    """A picture of any size, of which windows can be read at any reduction."""

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""

    def window(self, box: tuple[int, int, int, int], shape: tuple[int, int]) -> Image.Image:
        """A window as a picture of another size.

        Args:
            box: Left, top, right, bottom in px of the whole, within it.
            shape: Width and height of the result, which is never larger than the window.

        Returns:
            RGB, or RGBA for a layer that lies over others.

        Raises:
            InputError: The file cannot be read there.
        """


class Pyramid:
    """The tiles of a picture.

    Args:
        source: The picture.
        form: Of its tiles: `jpg`, or `png` for layers that let the picture through.
    """

    def __init__(self, source: Source, form: str = "jpg") -> None:
        self.source = source
        self.form = form
        self.overlap = OVERLAPS[form]
        self._kept = lru_cache(KEPT)(self._made)

    @property
    def top(self) -> int:
        """The level of full size; each lower one is half as large, level 0 is one pixel."""
        return level_of(max(self.source.size))

    def level_size(self, level: int) -> tuple[int, int]:
        """Width and height of a level, px."""
        shrink: int = 2 ** (self.top - level)
        width, height = self.source.size
        return -(-width // shrink), -(-height // shrink)

    def grid(self, level: int) -> tuple[int, int]:
        """Columns and rows of tiles of a level."""
        width, height = self.level_size(level)
        return -(-width // TILE), -(-height // TILE)

    def has(self, level: int, column: int, row: int) -> bool:
        """Whether there is such a tile."""
        return 0 <= level <= self.top and _within((column, row), self.grid(level))

    def tile(self, level: int, column: int, row: int) -> bytes:
        """One tile as a file.

        Raises:
            InputError: There is no such tile, or the picture cannot be read there.
        """
        if not self.has(level, column, row):
            raise InputError(f"has no tile {column}, {row} on level {level}", remedy="Ask for one of its pyramid")
        return self._kept(level, column, row)

    def _made(self, level: int, column: int, row: int) -> bytes:
        shrink: int = 2 ** (self.top - level)
        sides = [self._span(*pair) for pair in zip((column, row), self.level_size(level), strict=True)]
        shape = (sides[0][1] - sides[0][0], sides[1][1] - sides[1][0])
        ends = [
            (low * shrink, min(high * shrink, full)) for (low, high), full in zip(sides, self.source.size, strict=True)
        ]
        picture = self.source.window((ends[0][0], ends[1][0], ends[0][1], ends[1][1]), shape)
        return _encoded(picture, self.form)

    def _span(self, at: int, full: int) -> tuple[int, int]:
        """First and last pixel of a tile along one side, with its overlap."""
        return max(at * TILE - self.overlap, 0), min((at + 1) * TILE + self.overlap, full)

    @property
    def facts(self) -> dict[str, Any]:
        """What OpenSeadragon needs to know, but the address."""
        width, height = self.source.size
        size = {"Width": width, "Height": height}
        return {"xmlns": NAMESPACE, "Format": self.form, "Overlap": self.overlap, "TileSize": TILE, "Size": size}

    @property
    def dzi(self) -> str:
        """The description that DeepZoom viewers read, XML."""
        width, height = self.source.size
        return (
            f'<?xml version="1.0" encoding="UTF-8"?>\n<Image xmlns="{NAMESPACE}" Format="{self.form}" '
            f'Overlap="{self.overlap}" TileSize="{TILE}"><Size Width="{width}" Height="{height}"/></Image>\n'
        )


def level_of(side: int) -> int:
    """The level on which a picture of that longest side, px, has its full size."""
    return (int(side) - 1).bit_length()


def _within(place: tuple[int, int], grid: tuple[int, int]) -> bool:
    return all(0 <= at < count for at, count in zip(place, grid, strict=True))


def _encoded(picture: Image.Image, form: str) -> bytes:
    stream = io.BytesIO()
    if form == "png":
        picture.save(stream, "png", compress_level=3)
    else:
        picture.convert("RGB").save(stream, "jpeg", quality=QUALITY, subsampling=0)
    return stream.getvalue()
