"""Contact sheets: fields of view on one page, nuclei outlined in the colours of their classes."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.drawing import (
    FAINT,
    INK,
    PAGE,
    Key,
    Style,
    Window,
    class_colors,
    densest_window,
    field_image,
    fitted,
    font,
    legend,
    painted,
    ring,
    scale_bar,
    write,
)
from cryostat.core.errors import SettingError
from cryostat.core.files import atomic_write
from cryostat.core.progress import track

MARGIN, GAP, CAPTION = 36, 22, 42
LINE = 0.35
"""Width of outlines in µm, kept between 1 and 1.7 pixels of the page."""


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
    windows = {fov: densest_window(dataset, fov, crop) for fov in shown}
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


def _class_counts(dataset: CellDataset, fov: str, window: Window) -> Counter[int]:
    seen = np.unique(dataset.instances(fov)[window.slices])
    cells = dataset.cells_of(fov)
    return Counter(cells.loc[cells["cell_id"].isin(seen), "class_id"].tolist())


@dataclass(frozen=True)
class _Picture:
    """One field as drawn, and what its caption says."""

    image: Image.Image
    title: str
    line: str


def _picture(dataset: CellDataset, fov: str, window: Window, size: int, outlines: bool, part: str | None) -> _Picture:
    drawn = field_image(dataset, fov, window, size)
    mpp = dataset.mpp(fov) * max(window.y1 - window.y0, window.x1 - window.x0) / size
    if outlines:
        colors, width = class_colors(dataset), float(np.clip(LINE / mpp, 1.0, 1.7))
        cells = dataset.cells_of(fov)
        styles = {
            int(cell): Style(colors[int(c)], width) for cell, c in zip(cells["cell_id"], cells["class_id"], strict=True)
        }
        drawn = painted(drawn, dataset.instances(fov)[window.slices], styles)
    scale_bar(drawn, mpp)
    row = dataset.fovs.loc[fov]
    count = sum(_class_counts(dataset, fov, window).values())
    facts = [part, _text(row["site"]), f"patient {row['patient_id']}" if _text(row["patient_id"]) else None]
    line = " · ".join([*(fact for fact in facts if fact), f"{count:,} nuclei"])
    return _Picture(drawn, fov, line)


def _text(value: object) -> str | None:
    return str(value) if isinstance(value, str) and value else None


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
    title = fitted(str(dataset.facts.get("title") or dataset.name), font(26, bold=True), width - 2 * MARGIN)
    write(pen, (MARGIN, MARGIN + 22), title, font(26, bold=True), INK)
    write(pen, (MARGIN, MARGIN + 48), fitted(about, font(15), width - 2 * MARGIN), font(15), FAINT)
    page.paste(legend, (MARGIN, MARGIN + 62))
    for row, height in zip(rows, heights, strict=True):
        for column, picture in enumerate(row):
            _place(page, pen, picture, MARGIN + column * (cell_width + GAP), top)
        top += height
    return page


def _place(page: Image.Image, pen: ImageDraw.ImageDraw, picture: _Picture, left: int, top: int) -> None:
    page.paste(picture.image, (left, top))
    bottom, width = top + picture.image.height, picture.image.width
    title = fitted(picture.title, font(14, bold=True), width)
    write(pen, (left, bottom + 19), title, font(14, bold=True), INK)
    write(pen, (left, bottom + 37), fitted(picture.line, font(13), width), font(13), FAINT)


def _legend(dataset: CellDataset, counts: Mapping[int, int], width: int) -> Image.Image:
    """A ring and a name for each class, with how many of the nuclei shown are of it."""
    total = max(1, sum(counts.values()))
    names = {c.id: c.name for c in dataset.classes} | ({0: "without a class"} if counts.get(0) else {})
    colors = class_colors(dataset)
    return legend(
        [
            Key(ring(colors[i]), name, f"{counts.get(i, 0):,}  ({_share(counts.get(i, 0), total)})")
            for i, name in names.items()
        ],
        width,
    )


def _share(count: int, total: int) -> str:
    return "<1%" if 0 < count / total < 0.01 else f"{count / total:.0%}"
