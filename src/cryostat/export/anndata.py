"""Embeddings of nuclei as AnnData, for scanpy, squidpy and their kin."""

from __future__ import annotations

import importlib.metadata
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cells.dataset import CellDataset
from cryostat.cells.drawing import class_colors
from cryostat.cells.pooling import PooledCells
from cryostat.cells.runs.embeddings import FINAL, embeddings
from cryostat.cells.runs.origin import dataset_of
from cryostat.cells.splits import subset
from cryostat.core.errors import SettingError
from cryostat.core.home import Home
from cryostat.export.optional import require
from cryostat.results.predictions import KEY, WHOLE, group_columns, probability_columns
from cryostat.results.records import RunRecord

if TYPE_CHECKING:
    from anndata import AnnData

NAMES = {"true": "y_true", "predicted": "y_pred"}
"""Column of class names to the column of ids behind it."""

CENTRE = 0.5
"""From pixel indices, whose centroids our tables hold, to coordinates in which pixel (0, 0) spans 0 to 1."""


def export_anndata(
    record: RunRecord,
    path: Path,
    home: Home,
    *,
    layer: str = FINAL,
    ring_um: float = 0.0,
    everything: bool = False,
) -> AnnData:
    """Write a run's nuclei with their embeddings as `.h5ad`.

    Args:
        record: A run of cells.
        path: The file, ending in `.h5ad`.
        home: Where its dataset and features are.
        layer: Layer of the encoder.
        ring_um: Width in µm of a ring round each nucleus whose mean is appended to X; 0 for none.
        everything: All nuclei of the dataset; by default those that the run predicted.

    Returns:
        What was written.

    Raises:
        MissingExtraError: anndata is not installed.
        SettingError: The file has another ending, or as from `to_anndata`.
        CryostatError: As from `to_anndata`.
    """
    if path.suffix.lower() != ".h5ad":
        raise SettingError("AnnData is written as .h5ad", where=path, remedy="Choose a file that ends in .h5ad")
    cells = to_anndata(record, home, layer=layer, ring_um=ring_um, everything=everything)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    try:
        cells.write_h5ad(draft, compression="gzip")
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return cells


def to_anndata(
    record: RunRecord, home: Home, *, layer: str = FINAL, ring_um: float = 0.0, everything: bool = False
) -> AnnData:
    """A run's nuclei with their embeddings.

    Args:
        record: A run of cells.
        home: Where its dataset and features are.
        layer: Layer of the encoder.
        ring_um: Width in µm of a ring round each nucleus whose mean is appended to X; 0 for none.
        everything: All nuclei of the dataset; by default those that the run predicted.

    Returns:
        X: (n, C) float32, means over nuclei of the encoder's tokens, (n, 2C) with a ring. obs: `fov_id`, `tile` (−1:
        whole nuclei), `cell_id`, `patient_id`, `site`, `group_*`, `part` of the split, `y_true`, `y_pred` (0: none),
        `true`, `predicted` (names), `p_*`, `area_um2`. obsm: `spatial` and `spatial_px`, (n, 2) x and y within the
        field, µm and px. uns: `cryostat`, and the colours of the classes.

    Raises:
        MissingExtraError: anndata is not installed.
        SettingError: The run is of cases, or has no frozen encoder.
        StoreError: The features are not stored.
        IdentityError: Dataset or tiles are not those of the run.
        InputError: The run is damaged.
    """
    require("anndata", "Writing AnnData")
    from anndata import AnnData

    dataset = dataset_of(record, home)
    rows, features = _chosen(embeddings(record, dataset, home, layer=layer, ring_um=ring_um), record, everything)
    names = [f"{layer}_{i}" for i in range(features.shape[1])]
    obs = _obs(rows, record, dataset)
    cells = AnnData(X=features, obs=obs, var=pd.DataFrame(index=pd.Index(names, dtype=object)))
    pixels, mpp = _places(rows, dataset)
    cells.obsm["spatial"], cells.obsm["spatial_px"] = pixels * mpp[:, None], pixels
    colors = class_colors(dataset)
    for name in NAMES:
        cells.uns[f"{name}_colors"] = [colors[c.id] for c in dataset.classes]
    cells.uns["cryostat"] = _about(record, dataset, layer, ring_um)
    return cells


def _chosen(pooled: PooledCells, record: RunRecord, everything: bool) -> tuple[pd.DataFrame, NDArray[np.float32]]:
    """Rows with what the run predicted of them, and their features; in the order of the dataset."""
    predicted = record.predictions().drop(columns=["run_id", "patient_id", "site"])
    predicted = predicted.drop(columns=group_columns(predicted.columns))
    places = pooled.rows.assign(row=np.arange(len(pooled.rows)))
    places = places.astype({"fov_id": object, "tile": np.int32, "cell_id": np.int64})
    rows = places.merge(predicted, on=[*KEY], how="left" if everything else "inner")
    if not everything and len(rows) < len(predicted):
        raise SettingError(
            f"run {record.run_id!r} predicted {len(predicted) - len(rows)} nuclei that its dataset has not",
            remedy="Run it again",
        )
    features = np.ascontiguousarray(pooled.features[rows.pop("row").to_numpy()], np.float32)
    return rows, features


def _obs(rows: pd.DataFrame, record: RunRecord, dataset: CellDataset) -> pd.DataFrame:
    cells = _cells(rows, dataset)
    fovs = dataset.fovs.loc[rows["fov_id"]]
    groups = group_columns(dataset.fovs.columns)
    table: dict[str, Any] = {"fov_id": _categories(rows["fov_id"]), "tile": rows["tile"].to_numpy(np.int32)}
    table["cell_id"] = rows["cell_id"].to_numpy(np.int64)
    table |= {name: _categories(fovs[name]) for name in ("patient_id", "site", *groups)}
    table["part"] = _categories(rows["fov_id"].map(_parts(record, dataset)))
    table["y_true"] = rows["y_true"].fillna(cells["class_id"]).to_numpy(np.int32)
    table["y_pred"] = rows["y_pred"].fillna(0).to_numpy(np.int32)
    classes = {c.id: c.name for c in dataset.classes}
    for name, ids in NAMES.items():
        table[name] = pd.Categorical([classes.get(i) for i in table[ids].tolist()], categories=[*classes.values()])
    table |= {name: rows[name].to_numpy(np.float32) for name in probability_columns(rows.columns)}
    table["area_um2"] = (cells["area"].to_numpy() * fovs["mpp"].to_numpy() ** 2).astype(np.float32)
    return pd.DataFrame(table, index=pd.Index(_names(rows), dtype=object))


def _names(rows: pd.DataFrame) -> list[str]:
    """`field:cell`, or `field:tile:cell` where nuclei are cut by tiles."""
    return [
        f"{fov}:{cell}" if tile == WHOLE else f"{fov}:{tile}:{cell}"
        for fov, tile, cell in zip(rows["fov_id"], rows["tile"], rows["cell_id"], strict=True)
    ]


def _categories(values: pd.Series) -> pd.Categorical:
    """Text with gaps as categories, in the order of the alphabet."""
    texts = [None if pd.isna(value) else str(value) for value in values]
    return pd.Categorical(texts, categories=sorted({text for text in texts if text is not None}))


def _parts(record: RunRecord, dataset: CellDataset) -> Mapping[str, str]:
    """Field to the part that it played; fields that were left out do not occur."""
    about = record.settings
    name = about.get("split")
    if name not in dataset.split_names():
        return {}
    return subset(dataset.split(str(name)), float(about.get("fraction") or 1.0), int(about.get("seed") or 0)).parts


def _cells(rows: pd.DataFrame, dataset: CellDataset) -> pd.DataFrame:
    """What the dataset says of the nuclei of some rows, in their order and with their index."""
    table = dataset.cells.astype({"fov_id": object, "cell_id": np.int64})
    return rows[["fov_id", "cell_id"]].merge(table, on=["fov_id", "cell_id"], how="left").set_index(rows.index)


def _places(rows: pd.DataFrame, dataset: CellDataset) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """(n, 2) x and y of whole nuclei in px of their field, and (n,) µm per pixel."""
    pixels = _cells(rows, dataset)[["centroid_x", "centroid_y"]].to_numpy(np.float64) + CENTRE
    return pixels, dataset.fovs.loc[rows["fov_id"], "mpp"].to_numpy(np.float64)


def _about(record: RunRecord, dataset: CellDataset, layer: str, ring_um: float) -> dict[str, Any]:
    """What determines the cells: in words, and whole as JSON, which alone keeps nested facts in every version."""
    facts: Sequence[str] = ("encoder", "head", "protocol", "split", "mode")
    return {
        "run_id": record.run_id,
        "dataset": dataset.name,
        "dataset_identity": dataset.identity,
        "classes": {str(c.id): c.name for c in dataset.classes},
        "layer": layer,
        "ring_um": ring_um,
        "cryostat": importlib.metadata.version("cryostat"),
        "identity": json.dumps(record.identity, ensure_ascii=False),
        "settings": json.dumps(record.settings, ensure_ascii=False),
    } | {name: str(record.settings.get(name, "")) for name in facts}
