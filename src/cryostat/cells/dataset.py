"""The canonical form of an annotated cell dataset, as every part of the benchmark reads it.

A folder with `dataset.toml`, `fovs.parquet`, `cells.parquet`, `images/*.npy`, `instances/*.npy`, `semantic/*.npy`
(only for fields whose published pixel labels say more than their nuclei do) and `splits/*.parquet`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cryostat.cells.field import CellClass, nucleus_index
from cryostat.core.errors import InputError, SettingError
from cryostat.core.files import original_name, read_npy, read_table, read_toml, safe_name
from cryostat.core.home import Home

FORMAT = 1
"""Version of the folder's layout."""

GROUP = "group_"
"""Prefix of the columns of `fovs` that hold clinical or technical groups."""

PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Split:
    """Which field of view plays which part.

    Attributes:
        name: Name of the split.
        parts: fov_id to `train`, `valid` or `test`; fields of view that are left out do not occur.
    """

    name: str
    parts: Mapping[str, str]

    def fovs(self, part: str) -> list[str]:
        """The field-of-view ids of one part, in the order of the split."""
        return [fov for fov, p in self.parts.items() if p == part]


class CellDataset:
    """An imported dataset, memory-mapped.

    Args:
        folder: Folder that a `DatasetWriter` made.

    Raises:
        InputError: The folder is not a dataset, or is of a newer layout.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        if not (folder / "dataset.toml").exists():
            raise InputError("is not an imported dataset", where=folder, remedy="Import one with: cryostat data import")
        self.facts: dict[str, Any] = read_toml(folder / "dataset.toml")
        if self.facts.get("format") != FORMAT:
            raise InputError(
                f"has layout {self.facts.get('format')}, this version reads {FORMAT}",
                where=folder,
                remedy="Import the dataset again",
            )

    @property
    def name(self) -> str:
        """Short name."""
        return str(self.facts["name"])

    @property
    def identity(self) -> str:
        """Hash of the classes, pixels, nuclei and scale (not of the splits)."""
        return str(self.facts["identity"])

    @cached_property
    def classes(self) -> tuple[CellClass, ...]:
        """The cell types, ids ascending, without background."""
        return tuple(CellClass(int(c["id"]), str(c["name"]), str(c.get("color", ""))) for c in self.facts["classes"])

    @cached_property
    def fovs(self) -> pd.DataFrame:
        """One row a field of view, indexed by `fov_id`: patient_id, site, height, width, mpp, group_*, source."""
        return self._table("fovs").set_index("fov_id", drop=False)

    @cached_property
    def cells(self) -> pd.DataFrame:
        """One row a nucleus: fov_id, cell_id, class_id, area, centroid_y/x, y0, x0, y1, x1, purity."""
        return self._table("cells")

    @cached_property
    def _cells_by_fov(self) -> dict[str, pd.DataFrame]:
        return dict(tuple(self.cells.groupby("fov_id", sort=False)))

    def cells_of(self, fov_id: str) -> pd.DataFrame:
        """The nuclei of one field of view, cell ids ascending."""
        return self._cells_by_fov.get(fov_id, self.cells.iloc[:0])

    def _table(self, name: str) -> pd.DataFrame:
        table: pd.DataFrame = read_table(self.folder / f"{name}.parquet")
        return table

    def image(self, fov_id: str) -> NDArray[Any]:
        """(H, W, 3) uint8 or uint16, mapped read-only."""
        return read_npy(self.folder / "images" / f"{safe_name(fov_id)}.npy")

    def instances(self, fov_id: str) -> NDArray[Any]:
        """(H, W) nucleus ids, uint16 or int32, mapped read-only."""
        return read_npy(self.folder / "instances" / f"{safe_name(fov_id)}.npy")

    def semantic(self, fov_id: str) -> NDArray[Any]:
        """(H, W) class of each pixel: as published where that was kept, else the class of its nucleus."""
        path = self.folder / "semantic" / f"{safe_name(fov_id)}.npy"
        return read_npy(path) if path.exists() else self.class_map(fov_id)

    def class_map(self, fov_id: str) -> NDArray[np.int16]:
        """(H, W) class of the nucleus that each pixel belongs to, 0 outside nuclei."""
        instances, cells = self.instances(fov_id), self.cells_of(fov_id)
        at = nucleus_index(instances, cells["cell_id"].to_numpy(np.int64))
        classes = np.concatenate([np.zeros(1, np.int16), cells["class_id"].to_numpy(np.int16)])
        mapped: NDArray[np.int16] = classes[at]
        return mapped

    def mpp(self, fov_id: str) -> float:
        """µm per pixel of a field of view."""
        return float(self.fovs.at[fov_id, "mpp"])

    def split_names(self) -> list[str]:
        """Names of the splits stored beside the data."""
        return sorted(original_name(path.stem) for path in (self.folder / "splits").glob("*.parquet"))

    def split(self, name: str) -> Split:
        """A stored split by name.

        Raises:
            SettingError: There is none of that name; the message lists those there are.
        """
        path = self.folder / "splits" / f"{safe_name(name)}.parquet"
        if not path.exists():
            known = ", ".join(self.split_names()) or "none yet"
            raise SettingError(
                f"dataset {self.name!r} has no split {name!r} (there are: {known})",
                remedy="Choose one of these, or make one with: cryostat data split",
            )
        table = read_table(path)
        return Split(name, dict(zip(table["fov_id"].astype(str), table["part"].astype(str), strict=True)))


def load_dataset(name: str | Path, home: Home | None = None) -> CellDataset:
    """An imported dataset by name (under the home folder) or by path."""
    home = home or Home.find()
    path = Path(name)
    if (path / "dataset.toml").exists():
        return CellDataset(path)
    folder = home.datasets / str(name)
    if not (folder / "dataset.toml").exists():
        known = ", ".join(dataset_names(home)) or "none yet"
        raise SettingError(
            f"no dataset {str(name)!r} in {home.datasets} (there are: {known})",
            remedy=f"Import it with: cryostat data import FORMAT SOURCE --name {name}",
        )
    return CellDataset(folder)


def dataset_names(home: Home) -> list[str]:
    """Names of the datasets imported under a home folder."""
    return sorted(p.parent.name for p in home.datasets.glob("*/dataset.toml") if not p.parent.name.startswith("."))
