"""Storing splits beside a dataset, never over another of the same name unasked."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cryostat.cells.dataset import CellDataset, Split
from cryostat.cells.writer import write_split
from cryostat.core.errors import SettingError


def store_splits(dataset: CellDataset, splits: Iterable[Split], *, overwrite: bool = False) -> None:
    """Store splits beside a dataset; one that is there already and is the same stays as it is.

    Args:
        dataset: The dataset.
        splits: The splits.
        overwrite: Replace a different split of the same name.

    Raises:
        SettingError: A name cannot be a file name, or a different split has it.
        InputError: A split names unknown fields, or lacks a part.
    """
    new = [split for split in splits if not _is_stored(dataset, split, overwrite)]
    for split in new:
        write_split(dataset.folder, split, dataset.fovs.index)


def _is_stored(dataset: CellDataset, split: Split, overwrite: bool) -> bool:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9.+_-]*", split.name):
        raise SettingError(f"{split.name!r} is no split name", remedy="Use letters, digits, dots and hyphens")
    if split.name not in dataset.split_names():
        return False
    if dict(dataset.split(split.name).parts) == dict(split.parts):
        return True
    if not overwrite:
        raise SettingError(
            f"dataset {dataset.name!r} has another split {split.name!r}",
            remedy="Choose another --split-name, or pass --overwrite to replace it",
        )
    return False
