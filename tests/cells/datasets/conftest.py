"""Releases forged from real tissue, a home to import into, and what a refused import must leave behind: nothing."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import scipy.io
from PIL import Image

from cryostat.cells.dataset import CellDataset
from cryostat.cells.datasets.importing import ImportOptions, import_dataset
from cryostat.core.errors import CryostatError
from cryostat.core.home import Home


class Forged(NamedTuple):
    """A folder in a release's layout, and the number of nuclei of each class id that it holds."""

    folder: Path
    counts: dict[int, int]


@pytest.fixture(autouse=True)
def no_fsync(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody cuts the power in a test."""
    monkeypatch.setattr("os.fsync", lambda handle: None)


@pytest.fixture(scope="session")
def real_crops(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Crops of nine real annotated images in CoNSeP's layout, small enough to forge releases of in a test."""
    folder, side = tmp_path_factory.mktemp("crops"), 320
    for part in ("Images", "Labels"):
        (folder / part).mkdir()
    for path in sorted((shared / "data/consep/Train/Images").glob("*.png"))[:9]:
        Image.open(path).crop((0, 0, side, side)).save(folder / "Images" / path.name)
        mat = scipy.io.loadmat(shared / "data/consep/Train/Labels" / f"{path.stem}.mat")
        ids, renumbered = np.unique(mat["inst_map"][:side, :side], return_inverse=True)
        types = mat["inst_type"][ids[1:] - 1]
        labels = {"inst_map": renumbered.reshape(side, side).astype(np.int32), "inst_type": types}
        scipy.io.savemat(folder / "Labels" / f"{path.stem}.mat", labels)
    return folder


@pytest.fixture(scope="session")
def forge(shared: Path, real_crops: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, int], Forged]:
    """Lays real tissue out as a release of so many images or tiles."""

    def make(name: str, limit: int) -> Forged:
        folder = tmp_path_factory.mktemp(name)
        command = [sys.executable, str(shared / "data/forge.py"), name, str(real_crops), str(folder)]
        done = subprocess.run([*command, "--limit", str(limit)], capture_output=True, text=True, check=True)
        return Forged(folder, {int(number): n for number, n in json.loads(done.stdout).items()})

    return make


@pytest.fixture
def import_into_home(tmp_path: Path) -> Callable[..., CellDataset]:
    """Imports into a home of the test's own; options as keywords."""

    def run(name: str, source: Path, *, skip_bad: bool = False, **options: Any) -> CellDataset:
        return import_dataset(
            name, source, Home(tmp_path / "home"), options=ImportOptions(**options), skip_bad=skip_bad
        )

    return run


@pytest.fixture
def refused(tmp_path: Path, import_into_home: Callable[..., CellDataset]) -> Callable[..., CryostatError]:
    """The error of an import that must fail, after a look that it left nothing behind."""

    def run(name: str, source: Path, **options: Any) -> CryostatError:
        with pytest.raises(CryostatError) as caught:
            import_into_home(name, source, **options)
        datasets = tmp_path / "home/datasets"
        assert not datasets.exists() or not list(datasets.iterdir())
        return caught.value

    return run


def class_counts(dataset: CellDataset) -> dict[int, int]:
    return {int(k): int(n) for k, n in dataset.cells["class_id"].value_counts().sort_index().items()}


@pytest.fixture(scope="session")
def counted() -> Callable[[CellDataset], dict[int, int]]:
    """Nuclei of each class id in a dataset."""
    return class_counts
