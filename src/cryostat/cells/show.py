"""Contact sheets: fields of view on one page, nuclei outlined in the colours of their classes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont
from scipy import ndimage

from cryostat.cells.dataset import CellDataset, Split
from cryostat.core.errors import SettingError
from cryostat.core.files import atomic_write
from cryostat.core.progress import track

PALETTE = ("#0072ff", "#00a650", "#ffd400", "#e6194b", "#00c8d7", "#f58231", "#911eb4", "#aaff00", "#ff5fd2", "#805500")
"""Colours of classes that state none: bright against pink and purple."""
NO_CLASS = "#ffffff"
PAGE, INK, FAINT = "#fbfaf8", "#1d1b22", "#77727f"
MARGIN, GAP, CAPTION = 36, 22, 42
LINE = 0.35
"""Width of outlines in µm, kept between 1 and 1.7 pixels of the page."""
OVERSAMPLED = 3
"""Outlines are drawn at this multiple of the page's resolution and averaged down."""
BARS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Lengths of scale bars in µm."""
PLAIN = str.maketrans({"µ": "u", "×": "x", "–": "-", "·": "|", "…": "..."})


@dataclass(frozen=True)
class Window:
    """A rectangle of a field of view, pixels, half open."""

    y0: int
    x0: int
    y1: int
    x1: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """Rows and columns."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)


def contact_sheet(
    dataset: CellDataset,
    path: Path,
    *,
    fovs: Sequence[str] | None = None,
    split: Split | None = None,
    part: str | None = None,
    limit: int = 12,
    columns: int | None = None,
    size: int = 400,
    crop: float | None = None,
    outlines: bool = True,
) -> Path:
    """Draw fields of view with their nuclei outlined, and a legend with counts, as one PNG.

    Args:
        dataset: The dataset.
        path: Where the picture goes; written whole or not at all.
        fovs: Fields to show, in this order; by default all of the dataset, or of the part.
        split: Show the fields of a split, each with its part.
        part: Show this part of the split only.
        limit: Show at most so many, evenly spaced over the choice.
        columns: Pictures a row; by default as square a page as may be.
        size: Longest side of each picture, pixels.
        crop: Show a square of this side in µm, where the field has most nuclei, instead of the whole field.
        outlines: Outline the nuclei.

    Returns:
        The path.

    Raises:
        SettingError: A field, part or number is unknown or impossible.
    """
    chosen = _choice(dataset, fovs, split, part)
    shown = _evenly(chosen, limit)
    if not shown or size < 64 or (columns is not None and columns < 1) or (crop is not None and crop <= 0):
        raise SettingError(
            "there is nothing to show",
            where=f"{len(chosen)} fields, limit {limit}, columns {columns}, size {size}, crop {crop}",
            remedy="Choose at least one field, one column, 64 pixels and a crop above 0 µm",
        )
    windows = {fov: _window(dataset, fov, crop) for fov in shown}
    pictures = [
        _picture(dataset, fov, windows[fov], size, outlines, (split.parts.get(fov) if split else None))
        for fov in track(shown, "Drawing")
    ]
    counts = sum((_class_counts(dataset, fov, windows[fov]) for fov in shown), Counter[int]())
    about = _about(dataset, len(shown), len(chosen), split, part, crop)
    page = _page(pictures, columns or _columns(len(shown)), dataset, about, counts)
    with atomic_write(path) as stream:
        page.save(stream, format="PNG")
    return path


def _choice(dataset: CellDataset, fovs: Sequence[str] | None, split: Split | None, part: str | None) -> list[str]:
    known = list(dataset.fovs.index)
    if part is not None and (split is None or part not in split.parts.values()):
        raise SettingError(
            f"there is no part {part!r} to show", remedy="Name a split with --split, and train, valid or test"
        )
    wanted = list(fovs) if fovs else known if split is None else split.fovs(part) if part else list(split.parts)
    if strangers := [fov for fov in wanted if fov not in set(known)]:
        raise SettingError(
            f"dataset {dataset.name!r} has no field of view {strangers[0]!r}",
            remedy=f"Its fields are named like {known[0]!r}",
        )
    return wanted


def _evenly(items: Sequence[str], limit: int) -> list[str]:
    n = min(limit, len(items))
    return [items[int((i + 0.5) * len(items) / n)] for i in range(n)] if n > 0 else []


def _columns(n: int) -> int:
    return max(1, math.ceil(math.sqrt(n)))


def _window(dataset: CellDataset, fov: str, crop: float | None) -> Window:
    """The whole field, or the square of `crop` µm in which most nuclei have their centre."""
    height, width = (int(dataset.fovs.at[fov, side]) for side in ("height", "width"))
    if crop is None:
        return Window(0, 0, height, width)
    side = max(8, round(crop / dataset.mpp(fov)))
    rows, columns = min(side, height), min(side, width)
    cells = dataset.cells_of(fov)
    centres = np.zeros((height + 1, width + 1), np.int32)
    at = np.round(cells[["centroid_y", "centroid_x"]].to_numpy()).astype(int)
    np.add.at(centres, (at[:, 0] + 1, at[:, 1] + 1), 1)
    total = centres.cumsum(0).cumsum(1)
    inside = total[rows:, columns:] - total[:-rows, columns:] - total[rows:, :-columns] + total[:-rows, :-columns]
    y, x = (int(i) for i in np.unravel_index(int(inside.argmax()), inside.shape))
    return Window(y, x, y + rows, x + columns)


def _class_counts(dataset: CellDataset, fov: str, window: Window) -> Counter[int]:
    seen = np.unique(dataset.instances(fov)[window.slices])
    cells = dataset.cells_of(fov)
    return Counter(cells.loc[cells["cell_id"].isin(seen), "class_id"].tolist())


def for_display(image: NDArray[Any]) -> NDArray[np.uint8]:
    """An image as 8-bit RGB for the eye; 8-bit images as they are.

    16-bit images are stretched: the 99.5th percentile of each channel becomes white, which takes out the colour of the
    lamp, and the 0.1th percentile of all becomes black.

    Args:
        image: (H, W, 3) uint8 or uint16.
    """
    if image.dtype == np.uint8:
        return np.asarray(image)
    pixels = np.asarray(image, np.float32)
    black = float(np.percentile(pixels[::4, ::4], 0.1))
    white = np.maximum(np.percentile(pixels[::4, ::4], 99.5, axis=(0, 1)), black + 1)
    stretched: NDArray[np.uint8] = np.clip((pixels - black) / (white - black) * 255, 0, 255).astype(np.uint8)
    return stretched


def class_colors(dataset: CellDataset) -> dict[int, str]:
    """The colour of each class: its own, else the next of a palette; white for nuclei without a class."""
    spare = iter(color for _ in range(1 + len(dataset.classes) // len(PALETTE)) for color in PALETTE)
    return {0: NO_CLASS} | {c.id: c.color if _is_color(c.color) else next(spare) for c in dataset.classes}


def _is_color(text: str) -> bool:
    try:
        ImageColor.getrgb(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class _Picture:
    """One field as drawn, and what its caption says."""

    image: Image.Image
    title: str
    line: str


def _picture(dataset: CellDataset, fov: str, window: Window, size: int, outlines: bool, part: str | None) -> _Picture:
    pixels = for_display(dataset.image(fov))[window.slices]
    scale = size / max(pixels.shape[:2])
    width, height = (max(1, round(side * scale)) for side in pixels.shape[1::-1])
    drawn = Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), Image.Resampling.LANCZOS)
    if outlines:
        classes = dataset.class_map(fov)[window.slices]
        thick = float(np.clip(LINE * scale / dataset.mpp(fov), 1.0, 1.7))
        drawn = _outlined(drawn, dataset.instances(fov)[window.slices], classes, class_colors(dataset), thick)
    _scale_bar(drawn, dataset.mpp(fov) / scale)
    row = dataset.fovs.loc[fov]
    cells = sum(_class_counts(dataset, fov, window).values())
    facts = [part, _text(row["site"]), f"patient {row['patient_id']}" if _text(row["patient_id"]) else None]
    line = " · ".join([*(fact for fact in facts if fact), f"{cells:,} nuclei"])
    return _Picture(drawn, fov, line)


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str) and value else None


def _outlined(
    drawn: Image.Image, instances: NDArray[Any], classes: NDArray[Any], colors: Mapping[int, str], width: float
) -> Image.Image:
    """Lines just inside each nucleus, smooth at any scale: drawn large and averaged down."""
    large = (drawn.width * OVERSAMPLED, drawn.height * OVERSAMPLED)
    ids = _enlarged(instances.astype(np.int32), large)
    reach = 2 * round(width * OVERSAMPLED) + 1
    line = (ids > 0) & (ndimage.minimum_filter(ids, reach) != ndimage.maximum_filter(ids, reach))
    lookup = np.zeros((max(colors) + 1, 4), np.float32)
    for class_id, color in colors.items():
        lookup[class_id] = (*ImageColor.getrgb(color)[:3], 255)
    ink = lookup[_enlarged(classes.astype(np.int32), large)] * line[..., None]
    ink = ink.reshape(drawn.height, OVERSAMPLED, drawn.width, OVERSAMPLED, 4).mean((1, 3))
    cover = ink[..., 3:] / 255
    mixed = np.asarray(drawn, np.float32) * (1 - cover) + ink[..., :3]
    return Image.fromarray(np.clip(mixed + 0.5, 0, 255).astype(np.uint8))


def _enlarged(labels: NDArray[np.int32], size: tuple[int, int]) -> NDArray[np.int32]:
    resized: NDArray[np.int32] = np.asarray(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    return resized


def _scale_bar(drawn: Image.Image, mpp: float) -> None:
    length = max((bar for bar in BARS if bar / mpp <= drawn.width / 3), default=BARS[0])
    pixels = round(length / mpp)
    pen = ImageDraw.Draw(drawn)
    right, bottom = drawn.width - 10, drawn.height - 10
    label, font = f"{length} µm", _font(13, bold=True)
    middle = right - pixels / 2
    pen.rectangle((right - pixels - 1, bottom - 5, right + 1, bottom), fill="black")
    pen.rectangle((right - pixels, bottom - 4, right, bottom - 1), fill="white")
    _write(pen, (middle, bottom - 8), label, font, "white", anchor="ms", stroke=("black", 2))


@cache
def _font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    names = ("LiberationSans", "DejaVuSans", "Arial", "Verdana", "Helvetica")
    suffixes = ("-Bold.ttf", " Bold.ttf") if bold else ("-Regular.ttf", ".ttf")
    for name in names:
        for suffix in suffixes:
            try:
                return ImageFont.truetype(name + suffix, size)
            except OSError:
                continue
    return ImageFont.load_default(size)


def _write(
    pen: ImageDraw.ImageDraw,
    at: tuple[float, float],
    text: str,
    font: Any,
    fill: str,
    anchor: str = "ls",
    stroke: tuple[str, int] | None = None,
) -> None:
    """Write a line; the built-in font of last resort has no µ or ×."""
    plain = font.getname()[0] == "Aileron" if hasattr(font, "getname") else True
    color, width = stroke or (fill, 0)
    pen.text(at, text.translate(PLAIN) if plain else text, fill, font, anchor, stroke_width=width, stroke_fill=color)


def _fitted(pen: ImageDraw.ImageDraw, text: str, font: Any, width: float) -> str:
    """The text, cut with an ellipsis when it is wider than `width`."""
    if pen.textlength(text, font) <= width:
        return text
    while text and pen.textlength(text + "…", font) > width:
        text = text[:-1]
    return text + "…"


def _about(dataset: CellDataset, shown: int, of: int, split: Split | None, part: str | None, crop: float | None) -> str:
    scales = sorted({float(mpp) for mpp in dataset.fovs["mpp"]})
    scale = f"{scales[0]:g}" if len(scales) == 1 else f"{scales[0]:g}–{scales[-1]:g}"
    facts = [
        f"{shown} of {of} fields of view" if shown < of else f"{of} fields of view",
        f"split {split.name}" + (f", {part}" if part else "") if split else "",
        f"{scale} µm per pixel",
        f"squares of {crop:g} µm where nuclei are densest" if crop else "",
        "16-bit images stretched for the eye" if _sixteen_bits(dataset) else "",
    ]
    return "  ·  ".join(fact for fact in facts if fact)


def _sixteen_bits(dataset: CellDataset) -> bool:
    return bool(dataset.image(str(dataset.fovs.index[0])).dtype == np.uint16)


def _page(
    pictures: Sequence[_Picture], columns: int, dataset: CellDataset, about: str, counts: Mapping[int, int]
) -> Image.Image:
    columns = min(columns, len(pictures))
    rows = [pictures[i : i + columns] for i in range(0, len(pictures), columns)]
    cell_width = max(picture.image.width for picture in pictures)
    width = max(640, 2 * MARGIN + columns * cell_width + (columns - 1) * GAP)
    heights = [max(picture.image.height for picture in row) + CAPTION + GAP for row in rows]
    legend = _legend(dataset, counts, width - 2 * MARGIN)
    top = MARGIN + 62 + legend.height + 18
    page = Image.new("RGB", (width, top + sum(heights) - GAP + MARGIN), PAGE)
    pen = ImageDraw.Draw(page)
    title = _fitted(pen, str(dataset.facts.get("title") or dataset.name), _font(26, bold=True), width - 2 * MARGIN)
    _write(pen, (MARGIN, MARGIN + 22), title, _font(26, bold=True), INK)
    _write(pen, (MARGIN, MARGIN + 48), _fitted(pen, about, _font(15), width - 2 * MARGIN), _font(15), FAINT)
    page.paste(legend, (MARGIN, MARGIN + 62))
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            _place(page, pen, picture, MARGIN + column * (cell_width + GAP), top)
        top += height
    return page


def _place(page: Image.Image, pen: ImageDraw.ImageDraw, picture: _Picture, left: int, top: int) -> None:
    page.paste(picture.image, (left, top))
    bottom, width = top + picture.image.height, picture.image.width
    title = _fitted(pen, picture.title, _font(14, bold=True), width)
    _write(pen, (left, bottom + 19), title, _font(14, bold=True), INK)
    _write(pen, (left, bottom + 37), _fitted(pen, picture.line, _font(13), width), _font(13), FAINT)


def _legend(dataset: CellDataset, counts: Mapping[int, int], width: int) -> Image.Image:
    """A ring and a name for each class, with how many of the nuclei shown are of it."""
    total = max(1, sum(counts.values()))
    names = {c.id: c.name for c in dataset.classes} | ({0: "without a class"} if counts.get(0) else {})
    colors = class_colors(dataset)
    entries = [
        (colors[i], name, f"{counts.get(i, 0):,}  ({_share(counts.get(i, 0), total)})") for i, name in names.items()
    ]
    ruler = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    widths = [
        30 + ruler.textlength(name, _font(15)) + 8 + ruler.textlength(n, _font(15)) + 26 for _, name, n in entries
    ]
    places, x, y = [], 0.0, 0
    for step in widths:
        if x and x + step > width:
            x, y = 0.0, y + 26
        places.append((x, y))
        x += step
    legend = Image.new("RGB", (width, y + 30), PAGE)
    for (left, row), (color, name, n) in zip(places, entries, strict=True):
        _legend_entry(legend, left, row, color, name, n)
    return legend


def _share(count: int, total: int) -> str:
    return "<1%" if 0 < count / total < 0.01 else f"{count / total:.0%}"


def _legend_entry(legend: Image.Image, left: float, top: int, color: str, name: str, count: str) -> None:
    pen = ImageDraw.Draw(legend)
    swatch = Image.new("RGB", (4 * 20, 4 * 20), PAGE)
    ring = ImageDraw.Draw(swatch)
    ring.ellipse((6, 6, 73, 73), fill="#c9b3d6", outline=color, width=16)
    legend.paste(swatch.resize((20, 20), Image.Resampling.LANCZOS), (round(left), top + 5))
    _write(pen, (left + 28, top + 20), name, _font(15), INK)
    _write(pen, (left + 36 + pen.textlength(name, _font(15)), top + 20), count, _font(15), FAINT)
