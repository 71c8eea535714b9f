"""Whole slides: read by OpenSlide where it is installed (extra `slides`), else plain tiled TIFF by tifffile."""

from __future__ import annotations

import importlib.util
import math
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from cryostat.core.errors import InputError
from cryostat.core.files import require_file

ENDINGS = (
    *(".svs", ".tif", ".tiff", ".ndpi", ".scn", ".mrxs", ".vms", ".vmu", ".bif", ".svslide", ".czi"),
    *(".dcm", ".dicom"),
)
"""Of files that may be slides."""

TRIAL = 256
"""Side of the overview by which a slide is tried when it is opened, px."""

BUDGET = 100_000_000
"""Pixels that one tile may need to be read; a slide without a pyramid needs too many."""

SCALES = (0.02, 20.0)
"""µm per pixel that are believed."""

READING = (
    *(OSError, ValueError, TypeError, LookupError, ArithmeticError, RuntimeError, MemoryError, struct.error),
    AttributeError,  # of tifffile, on tags of a wrong type
)
"""What readers raise on damaged files."""


@dataclass(frozen=True)
class Slide:
    """A slide that can be read.

    Attributes:
        path: Its file.
        source: Its pixels.
        mpp: µm per pixel; None where the file does not tell.
        facts: What the file tells of itself, for people.
    """

    path: Path
    source: OpenSlideSource | TiffSource
    mpp: float | None
    facts: tuple[tuple[str, str], ...]


def open_slide(path: Path) -> Slide:
    """Open a whole slide, and try to read it.

    Raises:
        InputError: It is missing, no slide, damaged, or in a form that the installed packages cannot read.
    """
    require_file(path)
    opened = _with_openslide(path) if importlib.util.find_spec("openslide") else None
    slide = opened or _with_tifffile(path)
    _try(slide)
    return slide


def _try(slide: Slide) -> None:
    width, height = slide.source.size
    scale = max(1.0, max(width, height) / TRIAL)
    slide.source.window((0, 0, width, height), (max(1, int(width / scale)), max(1, int(height / scale))))


class OpenSlideSource:
    """A slide as OpenSlide reads it; transparent parts are white."""

    def __init__(self, path: Path, handle: Any, errors: tuple[type[Exception], ...]) -> None:
        self.path = path
        self._handle = handle
        self._errors = errors

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        width, height = self._handle.dimensions
        return int(width), int(height)

    def window(self, box: tuple[int, int, int, int], shape: tuple[int, int]) -> Image.Image:
        """RGB of a window, from the level that is next larger than asked for."""
        left, top, right, bottom = box
        level = self._handle.get_best_level_for_downsample((right - left) / shape[0] * 1.01)
        shrink = float(self._handle.level_downsamples[level])
        wanted = (math.ceil((right - left) / shrink), math.ceil((bottom - top) / shrink))
        _check_budget(wanted, self.path)
        with _reading(self.path, self._errors):
            read = self._handle.read_region((left, top), level, wanted)
        white = Image.new("RGB", read.size, "white")
        white.paste(read, mask=read.getchannel("A"))
        return _fitted(white, shape)


class TiffSource:
    """A tiled TIFF, with or without a pyramid, as tifffile reads it."""

    def __init__(self, path: Path, levels: list[Any]) -> None:
        self.path = path
        self._pages = [level.keyframe for level in levels]
        self._lock = threading.Lock()

    @property
    def size(self) -> tuple[int, int]:
        """Width and height, px."""
        return int(self._pages[0].imagewidth), int(self._pages[0].imagelength)

    def window(self, box: tuple[int, int, int, int], shape: tuple[int, int]) -> Image.Image:
        """RGB of a window, from the level that is next larger than asked for."""
        left, top, right, bottom = box
        shrink = (right - left) / shape[0] * 1.01
        fit = [page for page in self._pages if self.size[0] / page.imagewidth <= shrink]
        page = min(fit or self._pages[:1], key=lambda page: int(page.imagewidth))
        across, down = page.imagewidth / self.size[0], page.imagelength / self.size[1]
        x0, y0 = math.floor(left * across), math.floor(top * down)
        x1, y1 = math.ceil(right * across), math.ceil(bottom * down)
        _check_budget((x1 - x0, y1 - y0), self.path)
        with self._lock, _reading(self.path):
            pixels = _tiles_of(page, x0, y0, min(x1, page.imagewidth), min(y1, page.imagelength))
        return _fitted(Image.fromarray(pixels), shape)


def _tiles_of(page: Any, x0: int, y0: int, x1: int, y1: int) -> NDArray[np.uint8]:
    """(y1 − y0, x1 − x0, 3) pixels of a level; tiles that the file leaves out are white."""
    found = np.full((y1 - y0, x1 - x0, 3), 255, np.uint8)
    wide, high = (page.tilewidth, page.tilelength) if page.is_tiled else (page.imagewidth, page.rowsperstrip)
    columns = -(-page.imagewidth // wide)
    for row in range(y0 // high, -(-y1 // high)):
        for column in range(x0 // wide, -(-x1 // wide)):
            pixels = _tile(page, row * columns + column)
            if pixels is None:
                continue
            left, top = column * wide, row * high
            ax, ay = max(left, x0), max(top, y0)
            part = pixels[ay - top : y1 - top, ax - left : x1 - left]
            found[ay - y0 : ay - y0 + part.shape[0], ax - x0 : ax - x0 + part.shape[1]] = part
    return found


def _tile(page: Any, number: int) -> NDArray[np.uint8] | None:
    """(h, w, 3) pixels of one tile or strip; None where the file has none."""
    count = page.databytecounts[number]
    if not count:
        return None
    handle = page.parent.filehandle
    handle.seek(page.dataoffsets[number])
    decoded = page.decode(handle.read(count), number, jpegtables=page.jpegtables)[0]
    if decoded is None:
        return None
    pixels = np.asarray(decoded)[0]
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels[..., :3]


def _fitted(picture: Image.Image, shape: tuple[int, int]) -> Image.Image:
    return picture if picture.size == shape else picture.resize(shape, Image.Resampling.BOX, reducing_gap=2.0)


def _check_budget(wanted: tuple[int, int], path: Path) -> None:
    if wanted[0] * wanted[1] > BUDGET:
        raise InputError(
            f"has no smaller copy of itself, so an overview would read {wanted[0]}×{wanted[1]} px",
            where=path,
            remedy="Save it as a pyramid, with vips tiffsave --tile --pyramid for example",
        )


@contextmanager
def _reading(path: Path, kinds: tuple[type[Exception], ...] = READING) -> Iterator[None]:
    try:
        yield
    except kinds as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, error: Exception) -> InputError:
    text = str(error).strip().splitlines()
    return InputError(
        f"cannot be read as a slide ({text[0] if text else type(error).__name__})",
        where=path,
        remedy="Copy or download it again, and check that a slide viewer opens it",
    )


def _with_openslide(path: Path) -> Slide | None:
    """The slide, or None where OpenSlide does not know the form."""
    import openslide

    try:
        handle = openslide.OpenSlide(str(path))
    except openslide.OpenSlideUnsupportedFormatError:
        return None
    except openslide.OpenSlideError as error:
        raise _damaged(path, error) from error
    told = handle.properties
    mpp = _scale(told.get("openslide.mpp-x"))
    power = told.get("openslide.objective-power")
    facts = _facts(handle.dimensions, handle.level_count, mpp, told.get("openslide.vendor"), power)
    return Slide(path, OpenSlideSource(path, handle, (openslide.OpenSlideError,)), mpp, facts)


def _with_tifffile(path: Path) -> Slide:
    with _reading(path):
        file = tifffile.TiffFile(path)
        levels = [_checked(level, path) for level in file.series[0].levels]
    page = levels[0].keyframe
    if page.compression not in (1, 8, 32946) and importlib.util.find_spec("imagecodecs") is None:
        raise InputError(
            f"is compressed as {page.compression.name}, which tifffile alone cannot read",
            where=path,
            remedy="Install OpenSlide with: pip install 'cryostat[slides]'",
        )
    mpp = _tiff_mpp(page)
    source = TiffSource(path, levels)
    return Slide(path, source, mpp, _facts(source.size, len(levels), mpp, "TIFF", None))


def _checked(level: Any, path: Path) -> Any:
    page = level.keyframe
    if page.dtype != np.uint8 or page.samplesperpixel not in (1, 3, 4) or page.planarconfig != 1 or page.imagedepth > 1:
        raise InputError(
            f"holds {page.samplesperpixel} channels of {page.dtype}, not 8-bit colour",
            where=path,
            remedy="Save it as RGB of 8 bits a channel",
        )
    return level


def _tiff_mpp(page: Any) -> float | None:
    """µm per pixel from the tags of resolution; None where they say nothing sane."""
    units: dict[int, float] = {2: 25_400.0, 3: 10_000.0}
    resolution, unit = (getattr(page.tags.get(name), "value", None) for name in ("XResolution", "ResolutionUnit"))
    if not isinstance(resolution, tuple) or not resolution[0] or unit not in units:
        return None
    mpp = units[int(unit)] * resolution[1] / resolution[0]
    return _sane(mpp)


def _scale(text: str | None) -> float | None:
    try:
        return _sane(float(text or ""))
    except ValueError:
        return None


def _sane(mpp: float) -> float | None:
    """A scale that a microscope can have; scanners and converters write others, of the screen for example."""
    return mpp if SCALES[0] <= mpp <= SCALES[1] else None


def _facts(
    size: tuple[int, int], levels: int, mpp: float | None, vendor: str | None, power: str | None
) -> tuple[tuple[str, str], ...]:
    found = [("Size", f"{size[0]:,} × {size[1]:,} px"), ("Levels", str(levels))]
    found.append(("Scale", f"{mpp:.3g} µm per pixel" if mpp else "not told by the file"))
    found += [(name, text) for name, text in (("Objective", f"{power}×" if power else ""), ("Form", vendor or ""))]
    return tuple((name, text) for name, text in found if text)
