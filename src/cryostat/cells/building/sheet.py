"""Contact sheets of fields proposed for exclusion, to be confirmed by eye."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from scipy import ndimage
from skimage.segmentation import find_boundaries

from cryostat.core.files import atomic_write

OVERVIEW, CLOSE_UP, GAP, CAPTION = 440, 440, 16, 78
"""Widths of the two pictures of a field, the space between things and the height of the text below, in px."""

COLUMNS, ROWS = 2, 3
"""Fields a page."""

WINDOW = 220
"""Side of the close-up in px of the field."""

OUTLINE, SUSPECT, MISSED, FRAME = (20, 120, 90), (255, 120, 0), (0, 90, 255), (20, 20, 20)
INK, GREY, PAPER = (25, 25, 30), (110, 110, 118), (255, 255, 255)


@dataclass(frozen=True)
class Entry:
    """One field on a sheet.

    Attributes:
        fov_id: The field.
        reason: Why it is proposed; empty for a field shown for comparison.
        figures: One line of figures.
        image: (H, W, 3) uint8 or uint16.
        instances: (H, W) nucleus ids.
        suspects: Ids of nuclei that may be several.
        missed: (H, W) positive where haematoxylin is not covered, or None.
    """

    fov_id: str
    reason: str
    figures: str
    image: NDArray[Any]
    instances: NDArray[Any]
    suspects: NDArray[Any]
    missed: NDArray[Any] | None


def draw_page(entries: Sequence[Entry], title: str) -> Image.Image:
    """One page of at most `COLUMNS` × `ROWS` fields, each as an overview and a close-up of its worst spot."""
    width, height = OVERVIEW + CLOSE_UP + GAP, OVERVIEW + CAPTION
    rows = -(-len(entries) // COLUMNS)
    columns = min(COLUMNS, len(entries))
    page = Image.new("RGB", (columns * (width + 2 * GAP) + GAP, 76 + rows * (height + GAP)), PAPER)
    pen = ImageDraw.Draw(page)
    pen.text((2 * GAP, 14), title, fill=INK, font=_font(22))
    _legend(pen, 2 * GAP, 46)
    for index, entry in enumerate(entries):
        x, y = 2 * GAP + index % COLUMNS * (width + 2 * GAP), 76 + index // COLUMNS * (height + GAP)
        _draw_entry(page, pen, entry, x, y)
    return page


def _legend(pen: ImageDraw.ImageDraw, x: int, y: int) -> None:
    for color, text in (
        (OUTLINE, "nucleus"),
        (SUSPECT, "may be several nuclei"),
        (MISSED, "haematoxylin without a nucleus"),
    ):
        pen.rectangle((x, y + 2, x + 14, y + 14), outline=color, width=3)
        pen.text((x + 22, y), text, fill=GREY, font=_font(14))
        x += 44 + int(pen.textlength(text, font=_font(14)))


def _draw_entry(page: Image.Image, pen: ImageDraw.ImageDraw, entry: Entry, x: int, y: int) -> None:
    picture = outlined(entry)
    top, left = worst_spot(entry)
    side = min(WINDOW, *picture.shape[:2])
    overview = Image.fromarray(picture)
    overview.thumbnail((OVERVIEW, OVERVIEW), Image.Resampling.LANCZOS)
    close = Image.fromarray(picture[top : top + side, left : left + side])
    page.paste(overview, (x, y))
    page.paste(close.resize((CLOSE_UP, CLOSE_UP), Image.Resampling.BICUBIC), (x + OVERVIEW + GAP, y))
    scale = overview.width / picture.shape[1]
    corners = (x + left * scale, y + top * scale, x + (left + side) * scale, y + (top + side) * scale)
    pen.rectangle(corners, outline=FRAME, width=2)
    text_y = y + OVERVIEW + 8
    pen.text((x, text_y), entry.fov_id, fill=INK, font=_font(17))
    reason = entry.reason or "not proposed, for comparison"
    pen.text((x, text_y + 22), _fitted(pen, reason), fill=SUSPECT if entry.reason else GREY, font=_font(14))
    pen.text((x, text_y + 42), _fitted(pen, entry.figures), fill=GREY, font=_font(14))


def _fitted(pen: ImageDraw.ImageDraw, text: str) -> str:
    while pen.textlength(text, font=_font(14)) > OVERVIEW + CLOSE_UP + GAP:
        text = text[:-2].rstrip(" …") + "…"
    return text


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def eight_bit(image: NDArray[Any]) -> NDArray[np.uint8]:
    """The image as a screen shows it; 16 bits are stretched between the darkest and lightest parts of each channel."""
    if image.dtype == np.uint8:
        return np.array(image)
    low, high = np.percentile(image[::4, ::4], (0.5, 99.5), axis=(0, 1))
    stretched = (image - low) / np.maximum(high - low, 1) * 255
    shown: NDArray[np.uint8] = np.clip(stretched, 0, 255).astype(np.uint8)
    return shown


def outlined(entry: Entry) -> NDArray[np.uint8]:
    """(H, W, 3) uint8: the image with nuclei, suspects and missed nuclei outlined."""
    picture = eight_bit(entry.image)
    picture[find_boundaries(entry.instances, mode="inner")] = OUTLINE
    several = np.where(np.isin(entry.instances, entry.suspects), entry.instances, 0)
    picture[ndimage.binary_dilation(find_boundaries(several, mode="inner"))] = SUSPECT
    if entry.missed is not None:
        picture[ndimage.binary_dilation(find_boundaries(entry.missed, mode="inner"))] = MISSED
    return picture


def worst_spot(entry: Entry) -> tuple[int, int]:
    """Top and left of the window that holds most suspects and missed nuclei, else of the middle of the field."""
    height, width = entry.instances.shape
    marked = np.isin(entry.instances, entry.suspects).astype(np.float32)
    if entry.missed is not None:
        marked += entry.missed > 0
    side = min(WINDOW, height, width)
    density = ndimage.uniform_filter(marked, side, mode="constant")
    if density.max() <= 0:
        row, column = height // 2, width // 2
    else:
        row, column = np.unravel_index(int(density.argmax()), density.shape)
    return int(np.clip(row - side // 2, 0, height - side)), int(np.clip(column - side // 2, 0, width - side))


def save_page(page: Image.Image, path: Path) -> None:
    """Write a page as PNG, whole or not at all."""
    with atomic_write(path) as stream:
        page.save(stream, format="PNG")
