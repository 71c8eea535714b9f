"""A page of fields of view: image, truth, prediction and errors side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageOps

from cryostat.cells.dataset import CellDataset
from cryostat.cells.drawing import (
    FAINT,
    INK,
    NO_CLASS,
    PAGE,
    TISSUE,
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
    scale_bar,
    write,
)
from cryostat.cells.pictures.nuclei import (
    MISSED,
    UNSCORED,
    WRONG,
    Pen,
    blank_style,
    class_style,
    class_styles,
    error_styles,
    field_nuclei,
    missed_style,
    right_style,
    wrong_style,
)
from cryostat.cells.pictures.segments import Segments
from cryostat.core.errors import SettingError
from cryostat.core.progress import track
from cryostat.results.scores import Classes, Scores, class_names, score

PANEL = 640
"""Longest side of each picture, pixels: a page of four columns is 23 cm wide at 300 dpi."""
MARGIN, GUTTER, ROW_GAP = 60, 22, 36
TITLE, HEAD, BODY, SMALL = 44, 29, 25, 21
"""Heights of text, pixels."""
SWATCH, KEY_PEN = 34, Pen(1.8, 3.2, 5.0)
"""Size of the nuclei in the legend, and how they are drawn."""
PALE = "#e9e7ec"
"""Ground of the swatches of errors."""


def choose_fields(table: pd.DataFrame, fields: int = 3) -> list[str]:
    """Fields of view from best to worst by accuracy, evenly spaced: one is the median, three are best, median, worst.

    Args:
        table: Predictions table.
        fields: How many at most.

    Returns:
        Their ids; equals stand in the order of their names. Fields without a scored nucleus are never chosen.

    Raises:
        SettingError: No field has a scored nucleus, or none is asked for.
    """
    ranked = _ranked(table)
    if not ranked or fields < 1:
        raise SettingError(
            "there is nothing to show",
            where=f"{len(ranked)} fields with scored nuclei, {fields} asked for",
            remedy="Choose at least one field, of a run that scored some nuclei",
        )
    if fields == 1:
        return [ranked[(len(ranked) - 1) // 2]]
    places = np.linspace(0, len(ranked) - 1, min(fields, len(ranked)))
    return [ranked[int(place)] for place in places]


def _ranked(table: pd.DataFrame) -> list[str]:
    accuracies = _accuracies(table)
    return sorted(accuracies, key=lambda fov: (-accuracies[fov], fov))


def _accuracies(table: pd.DataFrame) -> dict[str, float]:
    """Field to its accuracy, of fields with scored nuclei."""
    scored = table[table["y_true"] > 0]
    right = (scored["y_true"] == scored["y_pred"]).groupby(scored["fov_id"].astype(str)).mean()
    return {str(fov): float(share) for fov, share in right.items()}


def prediction_sheet(
    dataset: CellDataset,
    table: pd.DataFrame,
    fovs: Sequence[str],
    *,
    classes: Classes,
    title: str,
    segments: Mapping[str, Segments] | None = None,
    crop_um: float | None = None,
    class_set: str = "fixed",
    panel: int = PANEL,
) -> Image.Image:
    """Draw a row a field: the image, its nuclei by true class, by predicted class, and those that are wrong.

    Args:
        dataset: The dataset.
        table: Predictions table.
        fovs: The fields, in this order.
        classes: Cell types that were predicted; ids as in the dataset, whose colours they get.
        title: Headline.
        segments: Field to the nuclei that the model found by itself; adds a column.
        crop_um: Show a square of this side in µm, where the field has most nuclei. Figures are of whole fields.
        class_set: Rule for the macro means, of `results.scores.CLASS_SETS`.
        panel: Longest side of each picture, pixels.

    Returns:
        The page, RGB.

    Raises:
        SettingError: There is no field to show, a field is unknown, or a size impossible.
        IdentityError: The table does not fit the dataset.
    """
    if not fovs or panel < 64 or (crop_um is not None and not crop_um > 0):
        raise SettingError(
            "there is nothing to show",
            where=f"{len(fovs)} fields, crop {crop_um} µm, pictures of {panel} px",
            remedy="Choose at least one field, a crop above 0 µm, and 64 pixels",
        )
    page = _Sheet(
        dataset,
        table,
        tuple(dict.fromkeys(fovs)),
        class_names(classes),
        title,
        segments or {},
        crop_um,
        class_set,
        panel,
    )
    return page.drawn()


@dataclass(frozen=True)
class _Panel:
    """One picture of a row, and the two lines below it."""

    image: Image.Image
    line: str
    more: str
    bold: bool = False


@dataclass(frozen=True)
class _Sheet:
    dataset: CellDataset
    table: pd.DataFrame
    fovs: tuple[str, ...]
    names: Mapping[int, str]
    title: str
    segments: Mapping[str, Segments]
    crop_um: float | None
    class_set: str
    panel: int

    @cached_property
    def colors(self) -> dict[int, str]:
        return class_colors(self.dataset)

    @cached_property
    def accuracies(self) -> dict[str, float]:
        return _accuracies(self.table)

    @cached_property
    def nuclei(self) -> dict[str, pd.DataFrame]:
        return {fov: field_nuclei(self.dataset, self.table, fov) for fov in self.fovs}

    @property
    def heads(self) -> tuple[str, ...]:
        return ("Image", "Truth", "Prediction", "Errors", *(("Nuclei found by the model",) if self.segments else ()))

    def drawn(self) -> Image.Image:
        """The page."""
        rows = [self._row(fov) for fov in track(list(self.nuclei), "Drawing")]
        column = max(panel.image.width for row in rows for panel in row)
        width = 2 * MARGIN + len(self.heads) * column + (len(self.heads) - 1) * GUTTER
        keys = [legend(keys, width - 2 * MARGIN, BODY) for keys in (self._class_keys(), self._error_keys())]
        top = MARGIN + 2 * TITLE + 2 * HEAD + BODY
        heights = [max(panel.image.height for panel in row) + 3 * BODY + ROW_GAP for row in rows]
        below = top + sum(heights)
        height = below + sum(key.height + BODY // 3 for key in keys) + MARGIN - BODY // 2
        page = Image.new("RGB", (width, height), PAGE)
        self._headline(page, column, top - HEAD // 2)
        for row, row_height in zip(rows, heights, strict=True):
            for i, panel in enumerate(row):
                _place(page, panel, MARGIN + i * (column + GUTTER), top, column)
            top += row_height
        for key in keys:
            page.paste(key, (MARGIN, below))
            below += key.height + BODY // 3
        return page

    def _headline(self, page: Image.Image, column: int, baseline: int) -> None:
        pen, room = ImageDraw.Draw(page), page.width - 2 * MARGIN
        face = font(TITLE, bold=True)
        write(pen, (MARGIN, MARGIN + TITLE * 0.8), fitted(self.title, face, room), face, INK)
        about = fitted(self._about(), font(BODY), room)
        write(pen, (MARGIN, MARGIN + TITLE * 0.8 + 1.75 * BODY), about, font(BODY), FAINT)
        for i, head in enumerate(self.heads):
            text = fitted(head, font(HEAD, bold=True), column)
            write(pen, (MARGIN + i * (column + GUTTER), baseline), text, font(HEAD, bold=True), INK)

    def _about(self) -> str:
        scores = score(self.table, self.names, class_set=self.class_set)
        facts = [
            f"showing {len(self.fovs)} of {_number(self.table['fov_id'].nunique(), 'field', 'fields')}",
            f"all {scores.cells:,} nuclei: {_figures(scores)}",
            f"squares of {self.crop_um:g} µm where nuclei are densest, figures of whole fields" if self.crop_um else "",
        ]
        return "  ·  ".join(fact for fact in facts if fact)

    def _row(self, fov: str) -> list[_Panel]:
        window, nuclei = densest_window(self.dataset, fov, self.crop_um), self.nuclei[fov]
        plain = field_image(self.dataset, fov, window, self.panel)
        mpp = self.dataset.mpp(fov) * (window.x1 - window.x0) / plain.width
        instances, pen = self.dataset.instances(fov)[window.slices], Pen.at(mpp)
        truth, predicted = (
            painted(plain, instances, class_styles(nuclei["cell_id"], nuclei[side], self.colors, pen))
            for side in ("truth", "predicted")
        )
        errors = painted(_faded(plain), instances, error_styles(nuclei, self.colors, pen))
        rows = self.table[self.table["fov_id"] == fov]
        figures = _figures(score(rows, self.names, class_set=self.class_set))
        return [
            self._image_panel(fov, plain, window, mpp),
            _Panel(truth, *self._truth_lines(nuclei)),
            _Panel(predicted, figures, self._rank(fov)),
            _Panel(errors, *self._error_lines(nuclei)),
            *([self._found_panel(fov, plain, window, pen)] if self.segments else []),
        ]

    def _image_panel(self, fov: str, plain: Image.Image, window: Window, mpp: float) -> _Panel:
        image = plain.copy()
        scale_bar(image, mpp, SMALL)
        width, height = (
            (end - start) * self.dataset.mpp(fov) for start, end in ((window.x0, window.x1), (window.y0, window.y1))
        )
        row = self.dataset.fovs.loc[fov]
        about = [str(row[name]) for name in ("site", "patient_id") if isinstance(row[name], str) and row[name] != fov]
        return _Panel(image, fov, " · ".join([f"{width:.0f} × {height:.0f} µm", *about]), bold=True)

    def _truth_lines(self, nuclei: pd.DataFrame) -> tuple[str, str]:
        counts = np.bincount(nuclei.loc[nuclei["truth"] > 0, "truth"])
        commonest = [int(c) for c in np.argsort(-counts, kind="stable")[:3] if counts[c]]
        shares = [f"{self._name(c)} {counts[c] / len(nuclei):.0%}" for c in commonest]
        return _number(len(nuclei), "nucleus", "nuclei"), ", ".join(shares)

    def _error_lines(self, nuclei: pd.DataFrame) -> tuple[str, str]:
        wrong = nuclei[nuclei["state"].isin((WRONG, MISSED))]
        unscored = int((nuclei["state"] == UNSCORED).sum())
        line = f"{len(wrong):,} of {len(nuclei) - unscored:,} wrong" + (
            f", {unscored:,} not scored" if unscored else ""
        )
        if wrong.empty:
            return line, ""
        pairs = wrong.groupby(["truth", "predicted"]).size()
        (truth, predicted), count = pairs.idxmax(), int(pairs.max())
        often = "most often" if count > 1 else "such as"
        return line, f"{often} {self._name(truth)} taken for {self._name(predicted)} ({count:,})"

    def _found_panel(self, fov: str, plain: Image.Image, window: Window, pen: Pen) -> _Panel:
        segments = self.segments.get(fov)
        if segments is None:
            return _Panel(_faded(plain), "not kept for this field", "")
        styles = class_styles(segments.cell_ids, segments.class_ids, self.colors, pen)
        image = painted(plain, segments.instances[window.slices], styles)
        given = len(self.nuclei[fov])
        return _Panel(image, f"{_number(len(styles), 'nucleus', 'nuclei')} found", f"{given:,} annotated")

    def _rank(self, fov: str) -> str:
        """Its place among all fields; equals share the better one."""
        of = len(self.accuracies)
        if fov not in self.accuracies or of == 1:
            return ""
        better = sum(other > self.accuracies[fov] for other in self.accuracies.values())
        which = "best" if better == 0 else "worst" if better == of - 1 else f"rank {better + 1}"
        return f"{which} of {of} fields"

    def _name(self, class_id: int) -> str:
        return "background" if class_id == 0 else self.names.get(class_id, f"class {class_id}")

    def _class_keys(self) -> list[Key]:
        shown = pd.concat(self.nuclei.values())
        true, predicted = (shown[side].value_counts() for side in ("truth", "predicted"))
        return [
            Key(
                _swatch(class_style(self.colors.get(c, NO_CLASS), KEY_PEN), TISSUE),
                name,
                f"{true.get(c, 0):,} true, {predicted.get(c, 0):,} predicted",
            )
            for c, name in self.names.items()
        ]

    def _error_keys(self) -> list[Key]:
        states = set(pd.concat(self.nuclei.values())["state"])
        first, second = ([*(self.colors[c] for c in self.names if c in self.colors), *("#0072ff", "#ffd400")])[:2]
        keys = {
            "": Key(_swatch(right_style(KEY_PEN), PALE), "Errors: correct"),
            WRONG: Key(
                _swatch(wrong_style(first, second, KEY_PEN), PALE), "wrong", "inside: true class, line: predicted class"
            ),
            MISSED: Key(_swatch(missed_style(second, KEY_PEN), PALE), "taken for background", "stripes: true class"),
            UNSCORED: Key(_swatch(blank_style(KEY_PEN), PALE), "not scored"),
        }
        return [key for state, key in keys.items() if not state or state in states]


def _place(page: Image.Image, panel: _Panel, left: int, top: int, width: int) -> None:
    pen = ImageDraw.Draw(page)
    page.paste(panel.image, (left, top))
    baseline = top + panel.image.height + round(1.35 * BODY)
    face = font(BODY, bold=panel.bold)
    write(pen, (left, baseline), fitted(panel.line, face, width), face, INK)
    face = font(SMALL)
    write(pen, (left, baseline + round(1.35 * BODY)), fitted(panel.more, face, width), face, FAINT)


def _swatch(style: Style, ground: str) -> Image.Image:
    y, x = np.ogrid[:SWATCH, :SWATCH]
    middle = (SWATCH - 1) / 2
    disc = ((y - middle) ** 2 + (x - middle) ** 2 < (SWATCH / 2 - 1) ** 2).astype(np.int32)
    patch = Image.new("RGB", (SWATCH, SWATCH), PAGE)
    patch.paste(ground, (0, 0), Image.fromarray((disc * 255).astype(np.uint8)))
    return painted(patch, disc, {1: style})


def _faded(image: Image.Image) -> Image.Image:
    """Grey and pale, so that colours of errors stand out."""
    return Image.blend(ImageOps.grayscale(image).convert("RGB"), Image.new("RGB", image.size, "white"), 0.5)


def _figures(scores: Scores) -> str:
    return f"accuracy {_share(scores.accuracy)} · macro F1 {_share(scores.macro_f1)}"


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _number(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"
