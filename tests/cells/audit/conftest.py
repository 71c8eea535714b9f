"""Drawn tissue, exact to the pixel, and datasets made of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.draw import ellipse

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.field import CellClass, DatasetFacts, field_from_table
from cryostat.cells.writer import DatasetWriter


class Tissue(NamedTuple):
    """A drawn field of view: image, nucleus ids, class of each nucleus."""

    image: NDArray[Any]
    instances: NDArray[Any]
    classes: Mapping[int, int]


def draw_tissue(seed: int, size: int = 400, nuclei: int = 120) -> Tissue:
    """Purple ellipses on mottled pink, at 0.5 µm per pixel; classes 1, 2, 1, 2 ... in order of id."""
    rng = np.random.default_rng(seed)
    mottle = np.kron(rng.normal(0, 8, (size // 8 + 1, size // 8 + 1)), np.ones((8, 8)))[:size, :size]
    image = np.array([225.0, 175.0, 205.0]) + mottle[..., None] + rng.normal(0, 4, (size, size, 3))
    instances = np.zeros((size, size), np.int32)
    for _ in range(nuclei):
        at = ellipse(*rng.integers(8, size - 8, 2), *rng.integers(5, 9, 2), (size, size), rng.uniform(0, 3.14))
        if not instances[at].any():
            instances[at] = instances.max() + 1
            image[at] = np.array([95.0, 65.0, 145.0]) + rng.normal(0, 18) + rng.normal(0, 8, (len(at[0]), 3))
    classes = {i: 1 + (i + 1) % 2 for i in range(1, int(instances.max()) + 1)}
    return Tissue(np.clip(image, 0, 255).astype(np.uint8), instances, classes)


@pytest.fixture(scope="session")
def tissue() -> Callable[..., Tissue]:
    return draw_tissue


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., CellDataset]:
    """Writes fields of view, and splits, as a dataset of two classes."""

    def make(
        fields: Mapping[str, Tissue],
        *,
        splits: Iterable[Split] = (),
        name: str = "drawn",
        classes: Iterable[str] = ("round", "long"),
        about: Mapping[str, Mapping[str, Any]] | None = None,
        excluded: Mapping[str, str] | None = None,
        mpp: float = 0.5,
    ) -> CellDataset:
        table = tuple(CellClass(i, label) for i, label in enumerate(classes, 1))
        facts = DatasetFacts(name, name.title(), table, mpp, "CC0", "none")
        with DatasetWriter(tmp_path / "datasets" / name, facts, overwrite=True) as writer:
            for fov, (image, instances, labels) in fields.items():
                more = (about or {}).get(fov, {})
                writer.add(field_from_table(fov, image, instances, labels, mpp=mpp, source=fov, **more))
            for fov, reason in (excluded or {}).items():
                writer.exclude(fov, reason)
            writer.add_splits(splits)
        return CellDataset(tmp_path / "datasets" / name)

    return make
