"""What pictures of fields of view share: colours, painted nuclei, scale bars, text, legends."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageColor, ImageDraw, ImageFont
from scipy import ndimage

from cryostat.cells.dataset import CellDataset
from cryostat.cells.field import nucleus_ids, nucleus_index

PALETTE = ("#0072ff", "#ffd400", "#00b894", "#d62800", "#002f80", "#6fe7ff", "#6b3a00", "#00522f", "#ff9a3c", "#c8ff5a")
"""Colours of classes that state none, told apart without red or green cones too: the first six by 35 CIELAB units or
more under simulated deuteranopia and protanopia, all by 12."""
NO_CLASS = "#ffffff"
PAGE, INK, FAINT, TISSUE = "#fbfaf8", "#1d1b22", "#77727f", "#c9b3d6"
OVERSAMPLED = 3
"""Nuclei are painted at this multiple of the page's resolution and averaged down."""
STRIPE = 7
"""Distance of the stripes of a hatched nucleus, pixels of the page."""
SMOOTHED = 16
"""Pixels from which an enlarged nucleus has its corners rounded; smaller ones would vanish."""
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


def densest_window(dataset: CellDataset, fov: str, crop: float | None) -> Window:
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


def field_image(dataset: CellDataset, fov: str, window: Window, size: int) -> Image.Image:
    """The window of a field of view, its longest side `size` pixels."""
    pixels = for_display(dataset.image(fov))[window.slices]
    scale = size / max(pixels.shape[:2])
    width, height = (max(1, round(side * scale)) for side in pixels.shape[1::-1])
    return Image.fromarray(np.ascontiguousarray(pixels)).resize((width, height), Image.Resampling.LANCZOS)


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
class Style:
    """How a nucleus is painted.

    Attributes:
        line: Colour of the outline, which lies just inside the nucleus; None for none.
        width: Its width, pixels of the page.
        fill: Colour of the inside; None for none.
        cover: Opacity of the fill.
        hatched: The fill is slanting stripes.
    """

    line: str | None
    width: float = 1.5
    fill: str | None = None
    cover: float = 0.3
    hatched: bool = False


def painted(drawn: Image.Image, instances: NDArray[Any], styles: Mapping[int, Style]) -> Image.Image:
    """Paint nuclei over a picture, smooth at any scale: drawn large and averaged down.

    Args:
        drawn: The picture, of any size in the proportions of the instance map.
        instances: (H, W) nucleus ids, 0 background.
        styles: Nucleus id to its style; others are left as they are.
    """
    ink = next(_inked(drawn.size, instances, [styles]))
    mixed = np.asarray(drawn, np.float32) * (1 - ink[..., 3:]) + ink[..., :3]
    return Image.fromarray(np.clip(mixed + 0.5, 0, 255).astype(np.uint8))


def overlays(
    size: tuple[int, int], instances: NDArray[Any], ways: Iterable[Mapping[int, Style]]
) -> Iterator[Image.Image]:
    """Painted nuclei alone, RGBA: what `painted` lays over a picture of that size (width, height), in several ways."""
    for ink in _inked(size, instances, ways):
        cover = ink[..., 3:]
        color = np.divide(ink[..., :3], cover, out=np.zeros_like(ink[..., :3]), where=cover > 0)
        pixels = np.concatenate([color, 255 * cover], 2)
        yield Image.fromarray(np.clip(pixels + 0.5, 0, 255).astype(np.uint8), "RGBA")


def _inked(
    size: tuple[int, int], instances: NDArray[Any], ways: Iterable[Mapping[int, Style]]
) -> Iterator[NDArray[np.float32]]:
    """(H, W, 4) colour times opacity, and opacity, for each way of painting the same nuclei."""
    ids = nucleus_ids(instances)
    labels = _enlarged(nucleus_index(instances, ids), (size[0] * OVERSAMPLED, size[1] * OVERSAMPLED))
    for styles in ways:
        kinds = [Style(None), *dict.fromkeys(styles.values())]
        number = {style: i for i, style in enumerate(kinds)}
        style_of = np.array([0, *(number[styles[int(i)]] if int(i) in styles else 0 for i in ids)], np.int16)
        yield _averaged(_ink(labels, style_of.take(labels), kinds))


def _ink(labels: NDArray[np.int32], which: NDArray[np.int16], kinds: Sequence[Style]) -> NDArray[np.float32]:
    """(H, W, 4) colour times opacity, and opacity."""
    ink: NDArray[np.float32] = np.array([_rgba(s.fill, s.cover) for s in kinds], np.float32).take(which, axis=0)
    if any(s.hatched for s in kinds):
        rows, columns = np.ogrid[: which.shape[0], : which.shape[1]]
        between = (rows + columns) % (STRIPE * OVERSAMPLED) >= STRIPE * OVERSAMPLED // 3
        ink[between & np.array([s.hatched for s in kinds]).take(which)] = 0
    lines = np.array([_rgba(s.line, 1.0) for s in kinds], np.float32)
    for width in sorted({s.width for s in kinds if s.line}):
        reach = 2 * round(width * OVERSAMPLED) + 1
        edge = ndimage.minimum_filter(labels, reach) != ndimage.maximum_filter(labels, reach)
        edge &= np.array([bool(s.line) and s.width == width for s in kinds]).take(which)
        ink[edge] = lines[which[edge]]
    return ink


def _averaged(ink: NDArray[np.float32]) -> NDArray[np.float32]:
    """One pixel of the page for each block; strided sums are much faster than a mean over two axes."""
    total = np.zeros_like(ink[::OVERSAMPLED, ::OVERSAMPLED])
    for y in range(OVERSAMPLED):
        for x in range(OVERSAMPLED):
            total += ink[y::OVERSAMPLED, x::OVERSAMPLED]
    total /= OVERSAMPLED**2
    return total


def _rgba(color: str | None, cover: float) -> tuple[float, ...]:
    return (*(value * cover for value in ImageColor.getrgb(color)[:3]), cover) if color else (0, 0, 0, 0)


def _enlarged(labels: NDArray[np.int32], size: tuple[int, int]) -> NDArray[np.int32]:
    """The labels at another size (width, height); enlarged nuclei lose the stairs of their edges."""
    resized: NDArray[np.int32] = np.array(Image.fromarray(labels).resize(size, Image.Resampling.NEAREST))
    factor = size[0] / labels.shape[1]
    if factor < 2:
        return resized
    smooth = np.zeros_like(resized)
    for label, box in enumerate(ndimage.find_objects(labels), start=1):
        mask = labels[box] == label
        _stamp(smooth, resized, mask, label, (box[0].start, box[1].start), factor)
    return smooth


def _stamp(
    smooth: NDArray[np.int32],
    nearest: NDArray[np.int32],
    mask: NDArray[np.bool_],
    label: int,
    corner: tuple[int, int],
    factor: float,
) -> None:
    """Put one enlarged nucleus with rounded corners, or one too small for that as it is."""
    pad = 2
    top, left = (int(np.floor((at - pad) * factor)) for at in corner)
    height, width = (int(np.ceil((side + 2 * pad) * factor)) for side in mask.shape)
    target = (slice(max(top, 0), max(top + height, 0)), slice(max(left, 0), max(left + width, 0)))
    view = smooth[target]
    if mask.sum() < SMOOTHED:
        view[nearest[target] == label] = label
        return
    blurred = ndimage.gaussian_filter(np.pad(mask.astype(np.float32), pad + 1), 0.8)
    rows = (np.arange(view.shape[0]) + target[0].start + 0.5) / factor - 0.5 - corner[0] + pad + 1
    columns = (np.arange(view.shape[1]) + target[1].start + 0.5) / factor - 0.5 - corner[1] + pad + 1
    inside = ndimage.map_coordinates(blurred, np.meshgrid(rows, columns, indexing="ij"), order=1) > 0.5
    view[inside] = label


def scale_bar(drawn: Image.Image, mpp: float, size: int = 13) -> None:
    """Draw a bar of a round length into the lower right corner.

    Args:
        drawn: The picture, which is changed.
        mpp: µm per pixel of the picture.
        size: Height of the text, pixels.
    """
    length = max((bar for bar in BARS if bar / mpp <= drawn.width / 3), default=BARS[0])
    pixels, thick = round(length / mpp), max(3, round(size / 4))
    pen = ImageDraw.Draw(drawn)
    right, bottom = drawn.width - round(size * 0.8), drawn.height - round(size * 0.8)
    pen.rectangle((right - pixels - 1, bottom - thick - 2, right + 1, bottom), fill="black")
    pen.rectangle((right - pixels, bottom - thick - 1, right, bottom - 1), fill="white")
    above = (right - pixels / 2, bottom - thick - round(size * 0.4))
    write(pen, above, f"{length} µm", font(size, bold=True), "white", anchor="ms", stroke=("black", max(2, size // 7)))


@cache
def font(size: int, bold: bool = False) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """A plain font of this machine, else the one that Pillow brings."""
    names = ("LiberationSans", "DejaVuSans", "Arial", "Verdana", "Helvetica")
    suffixes = ("-Bold.ttf", " Bold.ttf") if bold else ("-Regular.ttf", ".ttf")
    for name in names:
        for suffix in suffixes:
            try:
                return ImageFont.truetype(name + suffix, size)
            except OSError:
                continue
    return ImageFont.load_default(size)


def write(
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
    line = one_line(text)
    pen.text(at, line.translate(PLAIN) if plain else line, fill, font, anchor, stroke_width=width, stroke_fill=color)


def one_line(text: str) -> str:
    """The text on one line, without what no font can draw: names come from files, with whatever they hold."""
    drawable = text.encode("utf-8", "replace").decode("utf-8")
    return "".join(c if c.isprintable() else " " for c in drawable).strip()


def fitted(text: str, font: Any, width: float) -> str:
    """The text, cut with an ellipsis when it is wider than `width` pixels."""
    line = one_line(text)
    if font.getlength(line) <= width:
        return line
    fits, too_long = 0, len(line)
    while fits + 1 < too_long:
        middle = (fits + too_long) // 2
        fits, too_long = (middle, too_long) if font.getlength(line[:middle] + "…") <= width else (fits, middle)
    return line[:fits].rstrip() + "…"


@dataclass(frozen=True)
class Key:
    """An entry of a legend: a swatch, what it stands for, and how many."""

    swatch: Image.Image
    name: str
    note: str = ""


def ring(color: str) -> Image.Image:
    """A nucleus outlined in a colour, 20 pixels wide."""
    swatch = Image.new("RGB", (4 * 20, 4 * 20), PAGE)
    ImageDraw.Draw(swatch).ellipse((6, 6, 73, 73), fill=TISSUE, outline=color, width=16)
    return swatch.resize((20, 20), Image.Resampling.LANCZOS)


def legend(keys: Sequence[Key], width: int, size: int = 15) -> Image.Image:
    """Entries side by side, in as many lines as they need.

    Args:
        keys: The entries; their swatches are of one size.
        width: Width of the picture, pixels.
        size: Height of the text, pixels.
    """
    face, gap = font(size), round(size * 0.55)
    names = [fitted(key.name, face, width * 0.6) for key in keys]
    notes = [fitted(key.note, face, width * 0.3) for key in keys]
    lengths = [
        key.swatch.width + gap + face.getlength(name) + gap + face.getlength(note) + 1.7 * size
        for key, name, note in zip(keys, names, notes, strict=True)
    ]
    places, x, y, step = [], 0.0, 0, round(size * 1.73)
    for length in lengths:
        if x and x + length - 1.7 * size > width:
            x, y = 0.0, y + step
        places.append((x, y))
        x += length
    drawn = Image.new("RGB", (width, y + 2 * size), PAGE)
    pen = ImageDraw.Draw(drawn)
    for (left, top), key, name, note in zip(places, keys, names, notes, strict=True):
        baseline, start = top + round(size * 1.33), left + key.swatch.width + gap
        drawn.paste(key.swatch, (round(left), baseline - round(size * 0.36) - key.swatch.height // 2))
        write(pen, (start, baseline), name, face, INK)
        write(pen, (start + face.getlength(name) + gap, baseline), note, face, FAINT)
    return drawn
