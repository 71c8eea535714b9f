"""Fields of view as switchable layers, and the most confident errors as crops."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from PIL import Image

from cryostat.cells.dataset import CellDataset, load_dataset
from cryostat.cells.drawing import Style, Window, class_colors, densest_window, for_display, overlays, painted
from cryostat.cells.pictures.nuclei import MISSED, UNSCORED, WRONG, Pen, class_styles, error_styles, field_nuclei
from cryostat.cells.pictures.sheet import choose_fields
from cryostat.core.errors import CryostatError
from cryostat.core.home import Home
from cryostat.core.progress import track
from cryostat.report.site.data import CellBoard, CellRow, Study
from cryostat.results.predictions import PROBABILITY
from cryostat.results.records import RunRecord

SIDE = 840
"""Longest side of a picture, pixels."""

FIELD_UM = 500.0
"""Side of what is shown of a larger field, where it has most nuclei, µm."""

MODELS, FIELDS = 3, 3
"""How many models are shown, and on how many fields."""

WORST, WORST_OF_A_KIND = 24, 4
"""How many errors are shown, and how many of one true and predicted class."""

CROP_UM, CROP_SIDE = 28.0, 168
"""Side of the crop of an error, µm and pixels."""


@dataclass(frozen=True)
class Layer:
    """A picture that lies over the field: what it shows, of which model (empty: of the annotation), file, and words."""

    kind: str
    model: str
    file: str
    about: str


@dataclass(frozen=True)
class FieldView:
    """One field of view: caption, picture, size, µm per pixel of the picture, and its layers."""

    name: str
    file: str
    size: tuple[int, int]
    mpp: float
    about: str
    layers: tuple[Layer, ...]


@dataclass(frozen=True)
class Error:
    """A nucleus that a model is sure of, and wrong."""

    file: str
    truth: str
    predicted: str
    confidence: float
    where: str = ""


@dataclass(frozen=True)
class Gallery:
    """Pictures of one dataset.

    Attributes:
        dataset: Its name.
        split: Test part that the fields are from.
        models: Names of the models, best first.
        colors: Class to its colour.
        fields: From best to worst, of the best model.
        errors: The most confident errors of the best model, surest first.
        of: How many errors it made in all.
    """

    dataset: str
    split: str
    models: tuple[str, ...]
    colors: Mapping[str, str]
    fields: tuple[FieldView, ...]
    errors: tuple[Error, ...]
    of: int


@dataclass
class Pictures:
    """Files made so far, name to bytes."""

    files: dict[str, bytes] = field(default_factory=dict)

    def keep(self, image: Image.Image, name: str) -> str:
        """Keep a picture: WebP without loss where it has transparency, JPEG else; returns its file name."""
        stream = io.BytesIO()
        if image.mode == "RGBA":
            file = f"images/{name}.webp"
            image.save(stream, "WEBP", lossless=True, quality=70, method=4, exact=False)
        else:
            file = f"images/{name}.jpg"
            image.save(stream, "JPEG", quality=84, optimize=True, progressive=True)
        self.files[file] = stream.getvalue()
        return file


def galleries(
    study: Study, records: Sequence[RunRecord], home: Home, pictures: Pictures, *, patients: bool = False
) -> dict[str, Gallery]:
    """A gallery for each dataset that is imported as it was when the best models ran on it.

    Args:
        study: The tables.
        records: The runs behind them.
        home: Where the datasets are.
        pictures: Where picture files go.
        patients: Name fields by their ids, which may tell the patient.
    """
    by_id = {record.run_id: record for record in records}
    found = {}
    for number, name in enumerate(track(list(study.datasets), "pictures")):
        board = _largest(study.boards_of(name))
        try:
            dataset = load_dataset(name, home)
            made = _gallery(dataset, board, by_id, pictures, f"{number}", patients) if board else None
        except CryostatError:
            continue  # not imported here, or not as it was: the report has no pictures of it
        if made is not None:
            found[name] = made
    return found


def _largest(boards: Sequence[CellBoard]) -> CellBoard | None:
    """The board with most rows that were run with all training fields."""
    return max((b for b in boards if b.full), key=lambda board: len(board.full), default=None)


def _gallery(
    dataset: CellDataset, board: CellBoard, records: Mapping[str, RunRecord], pictures: Pictures, stem: str, ids: bool
) -> Gallery | None:
    rows = [row for row in _models(board.full) if _same(dataset, row, records)]
    if not rows:
        return None
    tables = {row.name: _predictions(row, records) for row in rows}
    leading = tables[rows[0].name]
    chosen = choose_fields(leading, FIELDS)
    shown = {fov: _shown(fov, i, len(chosen), ids) for i, fov in enumerate(chosen)}
    views = [_field(dataset, fov, shown[fov], tables, pictures, f"{stem}-field{i + 1}") for i, fov in enumerate(chosen)]
    errors = confident_errors(leading)
    crops = [_crop(dataset, row, pictures, f"{stem}-error{i + 1}", ids) for i, row in enumerate(_few(errors))]
    colors = class_colors(dataset)
    return Gallery(
        board.dataset,
        board.split,
        tuple(tables),
        {c.name: colors[c.id] for c in dataset.classes},
        tuple(views),
        tuple(crops),
        len(errors),
    )


def _shown(fov: str, place: int, of: int, ids: bool) -> str:
    """What a field is called: its place among those shown, and its id where that may be told."""
    rank = "Best field" if place == 0 else "Worst field" if place == of - 1 else "Median field" if of == 3 else "Field"
    return f"{rank}, {fov}" if ids else rank


def _models(rows: Sequence[CellRow]) -> list[CellRow]:
    """The best row of each encoder, best first."""
    found: dict[str, CellRow] = {}
    for row in sorted(rows, key=lambda r: -r.macro_f1.value):
        found.setdefault(row.encoder, row)
    return list(found.values())[:MODELS]


def _same(dataset: CellDataset, row: CellRow, records: Mapping[str, RunRecord]) -> bool:
    return all(records[run].identity.get("dataset") == dataset.identity for run in row.runs)


def _predictions(row: CellRow, records: Mapping[str, RunRecord]) -> pd.DataFrame:
    """Those of the first seed, all folds."""
    seed = records[row.runs[0]].settings.get("seed")
    chosen = [records[run] for run in row.runs if records[run].settings.get("seed") == seed]
    return pd.concat([record.predictions() for record in chosen], ignore_index=True)


def _field(
    dataset: CellDataset, fov: str, name: str, tables: Mapping[str, pd.DataFrame], pictures: Pictures, stem: str
) -> FieldView:
    window = _window(dataset, fov)
    pixels = np.ascontiguousarray(for_display(dataset.image(fov))[window.slices])
    image = Image.fromarray(pixels)
    scale = min(1.0, SIDE / max(image.size))
    size = (round(image.width * scale), round(image.height * scale))
    shown = image.resize(size, Image.Resampling.LANCZOS)
    layers = list(_layers(dataset, fov, window, size, tables, pictures, stem))
    about = f"H&E-stained tissue, {round(window.x1 - window.x0) * dataset.mpp(fov):.0f} µm wide"
    return FieldView(name, pictures.keep(shown, stem), size, dataset.mpp(fov) / scale, about, tuple(layers))


def _window(dataset: CellDataset, fov: str) -> Window:
    whole = densest_window(dataset, fov, None)
    side = max(whole.y1, whole.x1) * dataset.mpp(fov)
    return whole if side <= FIELD_UM * 1.2 else densest_window(dataset, fov, FIELD_UM)


def _layers(
    dataset: CellDataset,
    fov: str,
    window: Window,
    size: tuple[int, int],
    tables: Mapping[str, pd.DataFrame],
    pictures: Pictures,
    stem: str,
) -> Iterator[Layer]:
    instances = np.asarray(dataset.instances(fov))[window.slices]
    colors, pen = class_colors(dataset), Pen.at(dataset.mpp(fov) * (window.x1 - window.x0) / size[0])
    planned = list(_planned(dataset, fov, tables, colors, pen))
    pictured = overlays(size, instances, [styles for *_, styles in planned])
    for number, ((kind, model, about, _), image) in enumerate(zip(planned, pictured, strict=True)):
        yield Layer(kind, model, pictures.keep(image, f"{stem}-{number}-{kind}"), about)


def _planned(
    dataset: CellDataset, fov: str, tables: Mapping[str, pd.DataFrame], colors: Mapping[int, str], pen: Pen
) -> Iterator[tuple[str, str, str, Mapping[int, Style]]]:
    """Kind of layer, model, words, and how each nucleus is painted."""
    truth = dataset.cells_of(fov)
    styles = class_styles(truth["cell_id"], truth["class_id"], colors, pen)
    yield "truth", "", f"{len(truth):,} nuclei outlined by their annotated class", styles
    for model, table in tables.items():
        nuclei = field_nuclei(dataset, table, fov)
        states = nuclei["state"].value_counts()
        wrong, scored = int(states.get(WRONG, 0) + states.get(MISSED, 0)), len(nuclei) - int(states.get(UNSCORED, 0))
        counts = f"{wrong:,} of {scored:,} nuclei wrong"
        said = class_styles(nuclei["cell_id"], nuclei["predicted"], colors, pen)
        yield "prediction", model, f"nuclei by the class that {model} predicts, {counts}", said
        yield "errors", model, f"errors of {model}: {counts}", error_styles(nuclei, colors, pen)


def confident_errors(table: pd.DataFrame) -> pd.DataFrame:
    """Nuclei whose predicted class is wrong, surest first, with `confidence`; none where there are no probabilities."""
    names = [name for name in table.columns if PROBABILITY.fullmatch(str(name))]
    wrong = table[(table["y_true"] > 0) & (table["y_true"] != table["y_pred"]) & (table["y_pred"] > 0)]
    if not names or wrong.empty:
        return wrong.assign(confidence=pd.Series(dtype=float)).iloc[:0]
    ids = np.array([int(name[2:]) for name in names])
    at = np.array([np.flatnonzero(ids == c)[0] if (ids == c).any() else -1 for c in wrong["y_pred"]])
    p = np.column_stack([wrong[names].to_numpy(float), np.full(len(wrong), np.nan)])
    sure = wrong.assign(confidence=p[np.arange(len(wrong)), at]).dropna(subset=["confidence"])
    return sure.sort_values(["confidence", "fov_id", "cell_id"], ascending=[False, True, True], kind="stable")


def _few(errors: pd.DataFrame) -> list[pd.Series]:
    """The surest errors, not too many of one kind, a nucleus once."""
    unique = errors.drop_duplicates(["fov_id", "cell_id"])
    kept = unique.groupby(["y_true", "y_pred"], sort=False).head(WORST_OF_A_KIND)
    return [row for _, row in kept.head(WORST).iterrows()]


def _crop(dataset: CellDataset, row: pd.Series, pictures: Pictures, stem: str, ids: bool) -> Error:
    fov, cell = str(row["fov_id"]), int(row["cell_id"])
    known = dataset.cells_of(fov).set_index("cell_id").loc[cell]
    window = _around(dataset, fov, float(known["centroid_y"]), float(known["centroid_x"]))
    pixels = np.ascontiguousarray(for_display(dataset.image(fov))[window.slices])
    image = Image.fromarray(pixels).resize((CROP_SIDE, CROP_SIDE), Image.Resampling.BICUBIC)
    instances = np.asarray(dataset.instances(fov))[window.slices]
    color = class_colors(dataset).get(int(row["y_pred"]), "#ffffff")
    drawn = painted(image, instances, {cell: Style(color, 2.0)})
    names = {c.id: c.name for c in dataset.classes}
    return Error(
        pictures.keep(drawn, stem),
        names.get(int(row["y_true"]), f"class {row['y_true']}"),
        names.get(int(row["y_pred"]), f"class {row['y_pred']}"),
        float(row["confidence"]),
        f"{fov}, nucleus {cell}" if ids else "",
    )


def _around(dataset: CellDataset, fov: str, y: float, x: float) -> Window:
    """The square round a nucleus, moved into the field where it would stand out."""
    height, width = (int(dataset.fovs.at[fov, side]) for side in ("height", "width"))
    side = max(8, min(round(CROP_UM / dataset.mpp(fov)), height, width))
    top, left = (round(min(max(at - side / 2, 0), most - side)) for at, most in ((y, height), (x, width)))
    return Window(top, left, top + side, left + side)
