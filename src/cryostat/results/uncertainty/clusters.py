"""Sufficient statistics of clusters: what is summed once, so that thousands of resamples are one matrix product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from cryostat.core.errors import InputError


def cluster_codes(*levels: Sequence[Any] | NDArray[Any] | pd.Series) -> NDArray[np.int64]:
    """Number the clusters of rows.

    Args:
        *levels: Columns of n ids from the coarsest (patients) to the finest (fields of view); where a coarse id is
            missing, the next one stands in for it.

    Returns:
        (n,) numbers from 0 in the order of first appearance.

    Raises:
        InputError: A row has no id at any level.
    """
    codes, found = np.full(len(levels[0]), -1, np.int64), 0
    for level in levels:
        here, ids = pd.factorize(np.asarray(level, object))
        codes = np.where((codes < 0) & (here >= 0), here + found, codes)
        found += len(ids)
    if (codes < 0).any():
        raise InputError(
            f"has {int((codes < 0).sum())} rows that belong to no cluster",
            where="clusters",
            remedy="Give each row a patient, or at least a field of view",
        )
    _, first, place = np.unique(codes, return_index=True, return_inverse=True)
    order: NDArray[np.int64] = np.argsort(np.argsort(first))
    return order[place]


def cluster_sums(codes: NDArray[Any], values: NDArray[Any], clusters: int | None = None) -> NDArray[np.float64]:
    """Sum rows by cluster.

    Args:
        codes: (n,) number of each row's cluster.
        values: (n, k) or (n,).
        clusters: How many there are; by default the highest number and one.

    Returns:
        (clusters, k).
    """
    columns = values.reshape(len(values), -1)
    size = clusters if clusters is not None else int(codes.max(initial=-1)) + 1
    sums = [np.bincount(codes, column, size) for column in columns.T]
    return np.stack(sums, 1) if sums else np.zeros((size, 0))


def cluster_confusions(
    codes: NDArray[Any],
    true: ArrayLike,
    predicted: ArrayLike,
    classes: Sequence[int],
    clusters: int | None = None,
) -> NDArray[np.float64]:
    """Confusion matrices by cluster.

    Args:
        codes: (n,) number of each row's cluster.
        true: (n,) true class ids.
        predicted: (n,) predicted class ids.
        classes: The k ids that count, in the order of the matrix.
        clusters: How many clusters there are.

    Returns:
        (clusters, k · k) counts, rows by true class and columns by predicted class, flattened.

    Raises:
        InputError: A class is not listed.
    """
    index = pd.Index(classes)
    rows, columns = index.get_indexer(np.asarray(true)), index.get_indexer(np.asarray(predicted))
    if (stray := (rows < 0) | (columns < 0)).any():
        first = int(np.argmax(stray))
        raise InputError(
            f"holds a class that is none of {list(classes)} (true {np.asarray(true)[first]}, "
            f"predicted {np.asarray(predicted)[first]})",
            where="predictions table",
            remedy="Name every class of the dataset",
        )
    k = len(index)
    size = clusters if clusters is not None else int(codes.max(initial=-1)) + 1
    flat = (np.asarray(codes) * k + rows) * k + columns
    return np.bincount(flat, minlength=size * k * k).reshape(size, k * k).astype(np.float64)
