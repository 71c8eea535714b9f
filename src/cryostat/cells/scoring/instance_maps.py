"""Folders of predicted instance maps, a file a field of view, and the class of each instance."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.dataset import PARTS, CellDataset, Split
from cryostat.cells.datasets.folders import read_label_map, table_in
from cryostat.cells.datasets.tables import find_column, read_text_table, require_column, whole_number
from cryostat.cells.field import check_labels, nucleus_ids, nucleus_index
from cryostat.cells.scoring.external import MISSING
from cryostat.cells.scoring.field_files import files_of
from cryostat.cells.scoring.names import ClassNames, FieldNames
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import read_npy, read_npz
from cryostat.core.progress import meter
from cryostat.results.segmentation import SegmentationScores, score_segmentation

INSTANCE_MAPS = frozenset({".npy", ".npz", ".png", ".tif", ".tiff"})
"""Endings of instance maps."""

CLASS_TABLE = "classes.csv"
"""Table of the classes of the instances of all fields; `.tsv`, `.parquet` and `.xlsx` do too."""

MATCH_UM = 3.0
"""Match radius in µm: HoVer-NeXt's 6 px at Lizard's 0.5 µm per pixel, about the radius of a lymphocyte's nucleus."""

FIELD, CELL = ("fov_id", "fov", "field"), ("cell_id", "instance_id", "instance", "id")
CLASS = ("class", "class_id", "class_name", "y_pred", "type")
"""What the columns of class tables may be called."""

ClassIds = Mapping[int, int]
"""Instance id to class id, 0 where the instance has no class."""


@dataclass(frozen=True)
class ScoredMaps:
    """Scores of a folder of instance maps.

    Attributes:
        scores: The scores.
        missing: Fields without a file, scored as if nothing had been predicted.
        unlabelled: True nuclei to which the dataset gives no class.
    """

    scores: SegmentationScores
    missing: tuple[str, ...]
    unlabelled: int


class LazyMaps(Sequence[NDArray[Any]]):
    """Maps that are read when they are asked for, so that a set need not fit into memory."""

    def __init__(self, n: int, read: Callable[[int], NDArray[Any]]) -> None:
        self._n, self._read = n, read

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, index: Any) -> Any:
        return self._read(range(self._n)[index])


def score_instance_maps(
    dataset: CellDataset,
    split: str | Split,
    part: str,
    folder: Path,
    *,
    match_um: float = MATCH_UM,
    missing: str = "refuse",
) -> ScoredMaps:
    """Score predicted instance maps against a part of a dataset's split.

    Args:
        dataset: The dataset they are for.
        split: One of its splits.
        part: `train`, `valid` or `test`; maps of other fields of the dataset are passed over.
        folder: See `PredictedMaps`.
        match_um: Longest distance in µm of two centres that count as one nucleus.
        missing: `refuse` when a field has no map, or count all its nuclei as missed (`wrong`).

    Raises:
        InputError: The maps or class tables are damaged, do not fit the dataset, or are incomplete.
        SettingError: A setting or the split is unknown.
    """
    for name, value, allowed in (("part", part, PARTS), ("missing", missing, MISSING)):
        if value not in allowed:
            raise SettingError(f"there is no {name} {value!r}", remedy=f"Choose one of: {', '.join(allowed)}")
    fovs = (dataset.split(split) if isinstance(split, str) else split).fovs(part)
    if not fovs:
        raise InputError(f"the {part} part holds no field", where=dataset.folder, remedy="Choose another part")
    predicted = PredictedMaps(folder, dataset)
    absent = tuple(fov for fov in fovs if fov not in predicted.files)
    if absent and missing == "refuse":
        raise _incomplete(absent, fovs, folder)
    with meter("Scoring maps", len(fovs), "fields") as show:
        scores = score_segmentation(
            LazyMaps(len(fovs), lambda i: true_map(dataset, fovs[i])),
            LazyMaps(len(fovs), partial(_read_shown, predicted, fovs, show)),
            dataset.classes,
            match_um=match_um,
            mpp=[dataset.mpp(fov) for fov in fovs],
        )
    cells = dataset.cells
    unlabelled = int((cells["fov_id"].astype(str).isin(set(fovs)) & (cells["class_id"] == 0)).sum())
    return ScoredMaps(scores, absent, unlabelled)


def _read_shown(predicted: PredictedMaps, fovs: Sequence[str], show: Callable[[int], None], i: int) -> NDArray[Any]:
    show(i)
    return predicted.read(fovs[i])


def _incomplete(absent: Sequence[str], fovs: Sequence[str], folder: Path) -> InputError:
    return InputError(
        f"has no instance map for {len(absent)} of {len(fovs)} fields (first: {absent[0]!r})",
        where=folder,
        remedy="Predict these fields too, or count their nuclei as missed with --missing wrong",
    )


def true_map(dataset: CellDataset, fov: str) -> NDArray[np.int32]:
    """(H, W, 2) nucleus id and class id of each pixel, 0 background; a nucleus without a class has class 0."""
    return np.stack([dataset.instances(fov), dataset.class_map(fov)], axis=-1).astype(np.int32)


class PredictedMaps:
    """Predicted instance maps of a dataset's fields.

    Args:
        folder: A file a field, named after it: an (H, W) map of instance ids (.npy, .png, .tif; .npz with one array or
            with `instances`), or an (H, W, 2) map of instance and class ids (.npy; .npz with one array, with
            `instances` and `classes`, or with `instances`, `cell_ids` and `class_ids`). The classes of (H, W) maps
            stand in a table `FOV.csv` beside the map with the columns cell_id and class (name or id), or in
            `classes.csv`, which has fov_id too.
        dataset: The dataset they are for.

    Raises:
        InputError: The folder holds no map of a field, or `classes.csv` is damaged or names an unknown field.
    """

    def __init__(self, folder: Path, dataset: CellDataset) -> None:
        self.folder, self.dataset = folder, dataset
        self.files = files_of(folder, dataset, INSTANCE_MAPS)
        self._fields = FieldNames(map(str, dataset.fovs.index))
        table = table_in(folder, CLASS_TABLE)
        self._tables = {} if table is None else {table: self._table(table)}

    def read(self, fov: str) -> NDArray[Any]:
        """(H, W, 2) instance and class ids of a field; all background where it has no file.

        Raises:
            InputError: The map is damaged or does not fit its field, or an instance's class is missing or unknown.
        """
        shape = (int(self.dataset.fovs.at[fov, "height"]), int(self.dataset.fovs.at[fov, "width"]))
        path = self.files.get(fov)
        if path is None:
            return np.zeros((*shape, 2), np.int32)
        instances, classes = _read_map(path)
        check_labels(instances, shape, str(path), "instance map")
        if classes is None:
            classes = self._from_table(instances, fov, path)
        check_labels(classes, shape, str(path), "class map")
        self._check_classes(classes, path)
        return np.stack([instances.astype(np.int32), classes.astype(np.int32)], axis=-1)

    def _check_classes(self, classes: NDArray[Any], path: Path) -> None:
        known = [0, *(c.id for c in self.dataset.classes)]
        if len(strange := np.setdiff1d(np.unique(classes), known)):
            raise InputError(
                f"holds the class id {int(strange[0])}, which is no class of {self.dataset.name!r}",
                where=path,
                remedy=f"Put instance ids first and class ids second; use {known}",
            )

    def _from_table(self, instances: NDArray[Any], fov: str, path: Path) -> NDArray[Any]:
        ids = nucleus_ids(instances)
        if not len(ids):
            return np.zeros(instances.shape, np.int32)
        classes, table = self._classes_of(fov, path)
        absent, strange = [i for i in ids.tolist() if i not in classes], sorted(set(classes) - set(ids.tolist()))
        if absent or strange:
            what = f"no class for instance {absent[0]}" if absent else f"a class for instance {strange[0]}"
            raise InputError(
                f"has {what} of {fov!r}, {'which is' if absent else 'which is not'} in {path.name}",
                where=table,
                remedy="Give each instance of the map one row, with an empty class where it has none",
            )
        of_id = np.array([0, *(classes[i] for i in ids.tolist())], np.int32)
        return of_id[nucleus_index(instances, ids)]

    def _classes_of(self, fov: str, path: Path) -> tuple[ClassIds, Path]:
        own = table_in(self.folder, f"{path.stem}.csv")
        if own is not None:
            return self._table(own, fov).get(fov, {}), own
        for table, by_field in self._tables.items():
            return by_field.get(fov, {}), table
        raise InputError(
            "holds instances without classes",
            where=path,
            remedy=f"Add a table {path.stem}.csv (cell_id, class) or {CLASS_TABLE} (fov_id, cell_id, class) beside it, "
            "or save (height, width, 2) arrays of instance and class ids",
        )

    def _table(self, path: Path, of: str | None = None) -> dict[str, dict[int, int]]:
        """Field to its instances' classes; of the table of one field, `of`, no column need name the field."""
        frame = read_text_table(path, may_be_empty=True)
        cells, classes = frame[require_column(frame, CELL, path)], frame[require_column(frame, CLASS, path)]
        column = find_column(frame, FIELD) if of is not None else require_column(frame, FIELD, path)
        fields = [of] * len(frame) if column is None else frame[column]
        known = ClassNames(self.dataset.classes).require(classes.unique(), path)
        found: dict[str, dict[int, int]] = {}
        for name, cell, kind in zip(fields, cells, classes, strict=True):
            fov = self._fields.find(str(name))
            if fov is None or (of is not None and fov != of):
                raise InputError(f"names the field {name!r}", where=path, remedy=f"Use {of or 'ids of the dataset'}")
            number = whole_number(cell, "cell_id", path)
            if found.setdefault(fov, {}).setdefault(number, known[kind]) != known[kind]:
                raise InputError(f"gives instance {cell} of {fov!r} two classes", where=path, remedy="Keep one")
        return found


def _read_map(path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Instance ids, and class ids if the file holds them."""
    kind = path.suffix.lower()
    if kind == ".npz":
        arrays = read_npz(path)
        if {"instances", "cell_ids", "class_ids"} <= set(arrays):
            return arrays["instances"], _listed(arrays, path)
        if "instances" in arrays:
            return arrays["instances"], arrays.get("classes")
        if len(arrays) != 1:
            raise InputError(
                f"holds the arrays {', '.join(arrays)}", where=path, remedy="Call them instances and classes"
            )
        return _unstacked(next(iter(arrays.values())), path)
    return _unstacked(read_npy(path, mmap=False), path) if kind == ".npy" else (read_label_map(path), None)


def _listed(arrays: Mapping[str, NDArray[Any]], path: Path) -> NDArray[Any]:
    """(H, W) class ids from a list of the instances' classes, as runs keep their `segments`."""
    instances, ids, classes = (arrays[name] for name in ("instances", "cell_ids", "class_ids"))
    check_labels(instances, instances.shape[:2], str(path), "instance map")
    whole = all(array.ndim == 1 and array.dtype.kind in "iu" for array in (ids, classes)) and len(ids) == len(classes)
    order = np.argsort(ids) if whole else ids
    if not whole or not np.array_equal(ids[order], nucleus_ids(instances)):
        raise InputError(
            "lists cell_ids and class_ids that are not those of its instances",
            where=path,
            remedy="List each instance of the map once, with its class id",
        )
    of_id = np.concatenate([[0], classes[order]])
    listed: NDArray[Any] = of_id[nucleus_index(instances, ids[order].astype(np.int64))]
    return listed


def _unstacked(array: NDArray[Any], path: Path) -> tuple[NDArray[Any], NDArray[Any] | None]:
    if array.ndim == 3 and array.shape[2] == 2:
        return array[..., 0], array[..., 1]
    if array.ndim != 2:
        raise InputError(
            f"has shape {array.shape}, which is neither (height, width) nor (height, width, 2)",
            where=path,
            remedy="Save instance ids, or instance and class ids on the last axis",
        )
    return array, None
