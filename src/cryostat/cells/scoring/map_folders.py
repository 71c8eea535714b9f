"""Folders of label maps or probability maps that were made elsewhere, a file a field of view."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from cryostat.cells.dataset import CellDataset
from cryostat.cells.datasets.folders import read_label_map
from cryostat.cells.field import check_labels
from cryostat.cells.scoring.field_files import files_of
from cryostat.cells.scoring.nuclei import NucleusIndex, index_nuclei
from cryostat.cells.scoring.winners import most_probable
from cryostat.core.errors import InputError
from cryostat.core.files import read_npy
from cryostat.core.progress import track
from cryostat.results.predictions import SUM_TOLERANCE

LABEL_MAPS = frozenset({".npy", ".png", ".tif", ".tiff"})
"""Endings of label maps."""

PROBABILITY_MAPS = frozenset({".npy"})
"""Endings of probability maps."""


def holds_probabilities(path: Path) -> bool:
    """A .npy file with three axes: probabilities; anything else is taken for labels."""
    return path.suffix.lower() == ".npy" and read_npy(path).ndim == 3


def read_labels(folder: Path, dataset: CellDataset, fovs: Sequence[str], *, background_may_win: bool) -> pd.DataFrame:
    """The class of each nucleus by the majority of its pixels (ties: the lower id).

    Args:
        folder: A (H, W) map of class ids a field, as .npy, .png or .tif.
        dataset: The dataset that the maps belong to.
        fovs: Fields to read; those without a file are left out.
        background_may_win: Background pixels vote; otherwise only a nucleus without any class is background.

    Returns:
        fov_id, cell_id, y_pred.

    Raises:
        InputError: A map is damaged, does not fit its field, or holds what is no class.
    """
    files = files_of(folder, dataset, LABEL_MAPS)
    rows = []
    for fov in track([fov for fov in fovs if fov in files], "Reading labels"):
        index = _nuclei(dataset, fov)
        votes = index.votes(_labels(files[fov], dataset, index.shape[1:]), dataset.classes[-1].id + 1).numpy()
        votes[:, 0] = votes[:, 0] if background_may_win else 0
        rows.append(pd.DataFrame({"fov_id": fov, "cell_id": index.ids.numpy(), "y_pred": votes.argmax(1)}))
    return _together(rows)


def _together(rows: Sequence[pd.DataFrame]) -> pd.DataFrame:
    none = pd.DataFrame({"fov_id": pd.Series(dtype=str), "cell_id": pd.Series(dtype=np.int64), "y_pred": []})
    return pd.concat(rows, ignore_index=True) if rows else none


def _labels(path: Path, dataset: CellDataset, shape: tuple[int, int]) -> Tensor:
    labels = read_label_map(path)
    check_labels(labels, shape, str(path), "label map")
    known = np.array([0, *(c.id for c in dataset.classes)])
    if len(strangers := np.setdiff1d(np.unique(labels), known)):
        raise InputError(
            f"holds the label {int(strangers[0])}, which is no class id",
            where=path,
            remedy=f"Label each pixel with one of {known.tolist()}",
        )
    return torch.from_numpy(labels.astype(np.int32))


def read_probabilities(
    folder: Path,
    dataset: CellDataset,
    fovs: Sequence[str],
    *,
    background_may_win: bool,
    background: str = "auto",
) -> pd.DataFrame:
    """Mean probabilities of each nucleus, and the class of the highest.

    Args:
        folder: A float map (C, H, W) or (H, W, C) a field, as .npy; channels in the order of the class ids.
        dataset: The dataset that the maps belong to.
        fovs: Fields to read; those without a file are left out.
        background_may_win: Background takes part in the argmax.
        background: `first`: channel 0 is background; `none`: no channel is; `auto`: by the number of channels.

    Returns:
        fov_id, cell_id, y_pred, `p_<class id>` …

    Raises:
        InputError: A map is damaged, does not fit its field, or does not hold probabilities.
    """
    files = files_of(folder, dataset, PROBABILITY_MAPS)
    rows = []
    for fov in track([fov for fov in fovs if fov in files], "Pooling probabilities"):
        index = _nuclei(dataset, fov)
        maps = _channels_first(read_npy(files[fov], mmap=False), index.shape[1:], dataset, background, files[fov])
        rows.append(_pooled(fov, index, maps, dataset, files[fov], background_may_win=background_may_win))
    return _together(rows)


def _pooled(
    fov: str, index: NucleusIndex, maps: Tensor, dataset: CellDataset, path: Path, *, background_may_win: bool
) -> pd.DataFrame:
    ids = np.array([c.id for c in dataset.classes])
    ids = ids if len(maps) == len(ids) else np.concatenate([[0], ids])
    try:
        means = index.means(maps).numpy()
    except InputError as error:
        raise InputError(error.problem, where=path, remedy=error.remedy) from error
    if (means < 0).any() or (np.abs(means.sum(1) - 1) > SUM_TOLERANCE).any():
        raise InputError(
            "does not hold probabilities: in some nuclei they are negative or do not sum to 1",
            where=path,
            remedy="Save the maps after the softmax over all channels",
        )
    winners = most_probable(means, ids, background_may_win=background_may_win)
    columns = {f"p_{key}": means[:, i] for i, key in enumerate(ids)}
    return pd.DataFrame({"fov_id": fov, "cell_id": index.ids.numpy(), "y_pred": winners, **columns})


def _channels_first(
    array: NDArray[Any], shape: tuple[int, int], dataset: CellDataset, background: str, path: Path
) -> Tensor:
    """A (C, H, W) float32 view of a probability map that may have its channels last."""
    classes = len(dataset.classes)
    channels = {"auto": (classes, classes + 1), "first": (classes + 1,), "none": (classes,)}[background]
    forms = [array, np.moveaxis(array, -1, 0)] if array.ndim == 3 and array.dtype.kind == "f" else []
    fitting = [form for form in forms if form.shape[0] in channels and form.shape[1:] == shape]
    if len(fitting) == 1:
        return torch.from_numpy(np.asarray(fitting[0], np.float32))
    wanted = " or ".join(f"({c}, {shape[0]}, {shape[1]})" for c in channels)
    raise InputError(
        f"is {array.dtype} of shape {array.shape}, which is {'ambiguous' if fitting else f'not float {wanted}'}",
        where=path,
        remedy="Save floats (classes, height, width), background first or absent, at the resolution of the field",
    )


def _nuclei(dataset: CellDataset, fov: str) -> NucleusIndex:
    return index_nuclei(torch.from_numpy(np.array(dataset.instances(fov))))
