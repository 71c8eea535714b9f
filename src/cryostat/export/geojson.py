"""Nuclei of a run as GeoJSON for QuPath: a FeatureCollection a field of view."""

from __future__ import annotations

import io
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tifffile
from numpy.typing import NDArray
from PIL import ImageColor

from cryostat.cells.dataset import GROUP, CellDataset
from cryostat.cells.drawing import class_colors
from cryostat.cells.pictures.nuclei import field_nuclei
from cryostat.cells.pictures.segments import read_segments
from cryostat.cells.runs.origin import dataset_of
from cryostat.core.errors import SettingError
from cryostat.core.files import atomic_write, safe_name
from cryostat.core.home import Home
from cryostat.core.progress import track
from cryostat.export.polygons import nucleus_polygons
from cryostat.export.predictions import BACKGROUND
from cryostat.results.predictions import probability_columns
from cryostat.results.records import RunRecord

PREDICTED, TRUE, FOUND = "predicted", "true", "found"

SHOWN: Mapping[str, str] = {
    PREDICTED: "the given nuclei in the classes that the run predicted",
    TRUE: "the given nuclei in their true classes",
    FOUND: "the nuclei that the run outlined by itself, in the classes that it gave them",
}
"""What may be shown; each is a folder of its own."""


@dataclass(frozen=True)
class GeoJsonExport:
    """What was written.

    Attributes:
        folder: Where.
        files: The GeoJSON files.
        nuclei: How many objects they hold.
    """

    folder: Path
    files: tuple[Path, ...]
    nuclei: int


@dataclass(frozen=True)
class _Objects:
    """The nuclei of a field that are to be written.

    Attributes:
        instances: (H, W) nucleus ids.
        table: A row a nucleus, ids ascending: cell_id, class_id (0: none), notes, measurements.
    """

    instances: NDArray[Any]
    table: pd.DataFrame


def export_geojson(
    record: RunRecord,
    folder: Path,
    home: Home,
    *,
    shown: Sequence[str] = (PREDICTED,),
    fovs: Sequence[str] | None = None,
    images: bool = False,
) -> GeoJsonExport:
    """Write `FOLDER/predicted/FIELD.geojson` (and `true/`, `found/`) with the outlines of nuclei in px of the field.

    Beside them lie `fovs.csv` and `classes.csv`, so that the folder is one that `cryostat data import qupath` reads,
    and with `images` the pixels in `images/`.

    Args:
        record: A run of cells.
        folder: Where to write; files of the same names are replaced.
        home: Where its dataset is.
        shown: Of `SHOWN`.
        fovs: Fields of view; by default all that the run predicted.
        images: Write the fields too, as TIFF with their scale.

    Raises:
        SettingError: Something else shall be shown, a field was not predicted, or the run outlined no nuclei by itself.
        IdentityError: The dataset is not that of the run.
        InputError: The run is damaged.
    """
    if unknown := [name for name in shown if name not in SHOWN]:
        raise SettingError(f"{unknown[0]!r} cannot be shown", remedy=f"Choose of {', '.join(SHOWN)}")
    dataset, table = dataset_of(record, home), record.predictions()
    chosen = _chosen(table, fovs)
    found: dict[Path, int] = {}
    for fov in track(chosen, "Outlining nuclei"):
        for what in shown:
            path = folder / what / f"{safe_name(fov)}.geojson"
            features = _features(_objects(record, dataset, table, fov, what), dataset, (record.run_id, fov, what))
            _write_features(path, features)
            found[path] = len(features)
        if images:
            _write_image(folder / "images" / f"{safe_name(fov)}.tif", dataset, fov)
    _write_tables(folder, dataset, chosen)
    return GeoJsonExport(folder, tuple(found), sum(found.values()))


def _chosen(table: pd.DataFrame, fovs: Sequence[str] | None) -> list[str]:
    predicted = list(dict.fromkeys(table["fov_id"]))
    if strangers := [fov for fov in fovs or () if fov not in set(predicted)]:
        some = ", ".join(predicted[:8]) + (", …" if len(predicted) > 8 else "")
        raise SettingError(
            f"the run predicted no field of view {strangers[0]!r}",
            remedy=f"Choose of its {len(predicted)} fields: {some}",
        )
    return list(dict.fromkeys(fovs)) if fovs else predicted


def _objects(record: RunRecord, dataset: CellDataset, table: pd.DataFrame, fov: str, what: str) -> _Objects:
    return _found(record, dataset, fov) if what == FOUND else _given(dataset, table, fov, what)


def _given(dataset: CellDataset, table: pd.DataFrame, fov: str, what: str) -> _Objects:
    """Given nuclei, with both classes in their notes and the probabilities of the predicted one and all others."""
    names = {0: BACKGROUND} | {c.id: c.name for c in dataset.classes}
    nuclei = field_nuclei(dataset, table, fov)
    rows = table[table["fov_id"] == fov]
    likely = rows.groupby("cell_id")[probability_columns(rows.columns)].mean().reindex(nuclei["cell_id"])
    labels = [f"p {names.get(int(column[2:]), column[2:])}" for column in likely.columns]
    measurements = [_measurements(labels, values) for values in likely.to_numpy(np.float64)]
    notes = [
        {
            "cell_id": str(cell),
            "true": names.get(true, str(true)),
            "predicted": names.get(said, ""),
            "state": str(state),
        }
        for cell, true, said, state in nuclei.itertuples(index=False)
    ]
    shown = nuclei["predicted" if what == PREDICTED else "truth"]
    columns = {"cell_id": nuclei["cell_id"], "class_id": shown, "notes": notes, "measurements": measurements}
    return _Objects(np.asarray(dataset.instances(fov)), pd.DataFrame(columns))


def _measurements(labels: Sequence[str], values: NDArray[np.float64]) -> dict[str, float]:
    """Probabilities by label; none where there are none."""
    return {label: round(float(value), 4) for label, value in zip(labels, values, strict=True) if np.isfinite(value)}


def _found(record: RunRecord, dataset: CellDataset, fov: str) -> _Objects:
    about = dataset.fovs.loc[fov]
    shape = (int(about["height"]), int(about["width"]))
    segments = read_segments(record.folder, fov, shape) if record.folder else None
    if segments is None:
        raise SettingError(
            f"run {record.run_id!r} outlined no nuclei by itself in field {fov!r}",
            remedy=f"Show {PREDICTED} or {TRUE}, or choose a run whose head segments",
        )
    table = pd.DataFrame({"cell_id": segments.cell_ids, "class_id": segments.class_ids}).sort_values("cell_id")
    notes = [{"cell_id": str(cell)} for cell in table["cell_id"]]
    return _Objects(segments.instances, table.assign(notes=notes, measurements=[{} for _ in notes]))


def _features(objects: _Objects, dataset: CellDataset, origin: tuple[str, str, str]) -> list[dict[str, Any]]:
    names, colors = {c.id: c.name for c in dataset.classes}, class_colors(dataset)
    rows = {row["cell_id"]: row for row in objects.table.to_dict("records")}
    features = []
    for cell, geometry in nucleus_polygons(objects.instances, objects.table["cell_id"].to_numpy(np.int64)):
        row = rows[cell]
        properties: dict[str, Any] = {"objectType": "detection"}
        if (class_id := int(row["class_id"])) in names:
            color = list(ImageColor.getrgb(colors[class_id])[:3])
            properties["classification"] = {"name": names[class_id], "color": color}
        properties |= {"measurements": row["measurements"], "metadata": row["notes"]}
        name = str(uuid.uuid5(uuid.NAMESPACE_URL, "/".join((*origin, str(cell)))))
        features.append({"type": "Feature", "id": name, "geometry": geometry, "properties": properties})
    return features


def _write_features(path: Path, features: Sequence[Mapping[str, Any]]) -> None:
    """A feature a line: small, and still readable beside another export."""
    lines = ",\n".join(json.dumps(feature, ensure_ascii=False, separators=(",", ":")) for feature in features)
    with atomic_write(path) as stream:
        stream.write(f'{{"type":"FeatureCollection","features":[\n{lines}\n]}}\n'.encode())


def _write_image(path: Path, dataset: CellDataset, fov: str) -> None:
    """One field as TIFF; its resolution is in pixels per centimetre, as QuPath reads it."""
    per_cm, pixels, encoded = 1e4 / dataset.mpp(fov), np.ascontiguousarray(dataset.image(fov)), io.BytesIO()
    tifffile.imwrite(
        encoded,
        pixels,
        photometric="rgb",
        compression="zlib",
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
    )
    with atomic_write(path) as stream:
        stream.write(encoded.getvalue())


def _write_tables(folder: Path, dataset: CellDataset, fovs: Sequence[str]) -> None:
    groups = [name for name in dataset.fovs.columns if name.startswith(GROUP)]
    about = dataset.fovs.loc[list(fovs), ["fov_id", "patient_id", "site", "mpp", *groups]]
    about = about.rename(columns={name: name.removeprefix(GROUP) for name in groups})
    colors = class_colors(dataset)
    classes = pd.DataFrame([{"id": c.id, "name": c.name, "color": colors[c.id]} for c in dataset.classes])
    for name, frame in (("fovs.csv", about.assign(fov_id=about["fov_id"].map(safe_name))), ("classes.csv", classes)):
        with atomic_write(folder / name) as stream:
            stream.write(frame.to_csv(index=False).encode())
