"""The extent of datasets as published, so that a study can be planned before they are imported."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import MappingProxyType

import pandas as pd

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.splits import published
from cryostat.cells.splits.lizard import base_rows
from cryostat.core.errors import SettingError


@dataclass(frozen=True)
class Extent:
    """How large a published dataset is.

    Attributes:
        fields: Makes the names of its fields of view, as its importer names them.
        height: Of a field, px.
        width: Of a field, px.
        mpp: µm per pixel.
        classes: Cell types, without background.
        exact: Whether all fields have that size; otherwise it is their average.
        shares: Splits whose fields are not published, by their published shares of train, valid and test.
        clinical: Splits that an import makes only where a table of patients tells their group, with what it must tell.
    """

    fields: Callable[[], list[str]]
    height: int
    width: int
    mpp: float
    classes: int
    exact: bool = True
    shares: Mapping[str, tuple[float, float, float]] = field(default_factory=dict)
    clinical: Mapping[str, str] = field(default_factory=dict)


def _pannuke() -> list[str]:
    return [f"fold{fold}_{i}" for fold, count in ((1, 2656), (2, 2523), (3, 2722)) for i in range(count)]


def _arctique() -> list[str]:
    """The 1,450 of the released training part, from which the benchmark makes its own parts."""
    return [f"train_{i}" for i in range(1450)]


ABSENT = (
    *(f"{region:03}_A" for region in (13, 14, 24, 57, 69, 70)),
    *(f"{region:03}_B" for region in (15, 19, 34, 38, 43, 44, 46, 47, 49, 53, 54, 55, 56, 57, 58)),
    *(f"{region:03}_B" for region in (61, 62, 63, 64, 65, 66, 67, 68, 69, 70)),
)
"""The 31 of PathoCell's 140 spots that were left out."""


def _pathocell() -> list[str]:
    spots = [f"{region:03}_{spot}" for region in range(1, 71) for spot in "AB"]
    return [f"reg{spot}" for spot in spots if spot not in ABSENT]


def _consep() -> list[str]:
    return [f"{part}_{i}" for part, count in (("train", 27), ("test", 14)) for i in range(1, count + 1)]


def _conic() -> list[str]:
    return [str(i) for i in range(4981)]


EXTENTS: Mapping[str, Extent] = MappingProxyType(
    {
        "lizard": Extent(lambda: list(base_rows()), 1016, 917, 0.5, 6, exact=False),
        "pannuke": Extent(_pannuke, 256, 256, 0.25, 5),
        "arctique": Extent(_arctique, 512, 512, 0.29, 5),
        "pathocell": Extent(
            _pathocell,
            1440,
            1920,
            0.377,
            14,
            shares={"tumour-type": (0.63, 0.16, 0.21), "tumour-stage": (0.64, 0.16, 0.20)},
            clinical={
                "tumour-type": "histology (adenocarcinoma, mucinous)",
                "tumour-stage": "stage (3, 4)",
                "mss-to-msi": "msi (MSS, MSI)",
            },
        ),
        "consep": Extent(_consep, 1000, 1000, 0.25, 4),
        "conic": Extent(_conic, 256, 256, 0.5, 6),
    }
)
"""Name that a dataset has when imported by its format, to its published extent."""


class UnseenDataset(CellDataset):
    """A published dataset that is not imported: the table of its fields and its splits, without a pixel.

    Args:
        name: Of a dataset in `EXTENTS`.
    """

    def __init__(self, name: str) -> None:
        self.folder = Path(name)
        self.extent = EXTENTS[name]
        numbers = range(1, self.extent.classes + 1)
        self.facts = {"name": name, "identity": "", "classes": [{"id": i, "name": str(i)} for i in numbers]}

    @cached_property
    def fovs(self) -> pd.DataFrame:
        """One row a field of view, indexed by `fov_id`; patients and sites are unknown."""
        names = self.extent.fields()
        table = pd.DataFrame({"fov_id": names, "patient_id": None, "site": None, "source": names})
        sizes = {"height": self.extent.height, "width": self.extent.width, "mpp": self.extent.mpp}
        return table.assign(**sizes).set_index("fov_id", drop=False)

    @cached_property
    def _splits(self) -> dict[str, Split]:
        made = {split.name: split for split in published(self.name, self.fovs.reset_index(drop=True))}
        unshared = {name: dealt(name, self.fov_ids) for name in self.extent.clinical}
        return (
            made | unshared | {name: dealt(name, self.fov_ids, shares) for name, shares in self.extent.shares.items()}
        )

    @property
    def fov_ids(self) -> list[str]:
        """Names of the fields of view."""
        return [str(fov) for fov in self.fovs.index]

    def split_names(self) -> list[str]:
        """Names of the splits that an import makes, and of those that it makes with a clinical table."""
        return sorted(self._splits)

    def split(self, name: str) -> Split:
        """A split by name.

        Raises:
            SettingError: An import would not make it.
        """
        if name not in self._splits:
            raise SettingError(
                f"an import of {self.name!r} makes no split {name!r} (it makes: {', '.join(self.split_names())})",
                remedy="Choose one of these, or make one after the import with: cryostat data split",
            )
        return self._splits[name]


def dealt(name: str, fovs: list[str], shares: tuple[float, float, float] = (0.70, 0.15, 0.15)) -> Split:
    """Fields dealt in given shares, in their order: a stand-in whose parts have the right sizes only."""
    n, (train, valid, _) = len(fovs), shares
    borders = round(train * n), round((train + valid) * n)
    parts = {fov: "train" if i < borders[0] else "valid" if i < borders[1] else "test" for i, fov in enumerate(fovs)}
    return Split(name, parts)
