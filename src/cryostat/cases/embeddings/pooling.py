"""From several files of a patient, of one or many vectors each, to what a modality is."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.embeddings.arrays import Embedding
from cryostat.cases.evidence import Bags, Vectors
from cryostat.core.errors import InputError

ATTENTION = "attention"
"""The pooling that is left to the fold."""


def mean(files: Sequence[Embedding]) -> NDArray[np.float32]:
    """(d,) mean over files of each file's mean: every slide counts the same."""
    return _mean(np.stack([_mean(file.values) for file in files]))


def weighted(files: Sequence[Embedding]) -> NDArray[np.float32]:
    """(d,) mean over files weighted by their tiles: every tile counts the same."""
    means = np.stack([_mean(file.values) for file in files]).astype(np.float64)
    weight = np.array([[file.tiles] for file in files]) * ~np.isnan(means)
    total = weight.sum(0)
    found = (np.nan_to_num(means) * weight).sum(0) / np.maximum(total, 1)
    return np.where(total > 0, found, np.nan).astype(np.float32)


def first(files: Sequence[Embedding]) -> NDArray[np.float32]:
    """(d,) mean of the first file's vectors."""
    return _mean(files[0].values)


RULES: Mapping[str, Callable[[Sequence[Embedding]], NDArray[np.float32]]] = MappingProxyType(
    {"mean": mean, "weighted": weighted, "first": first}
)
"""Pooling by name."""


def _mean(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(d,) mean of (k, d) over what is known; NaN where nothing is."""
    if len(values) == 1:
        return np.asarray(values[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # an empty column is unknown, and stays so
        return np.asarray(np.nanmean(values, 0, dtype=np.float64), np.float32)


def pooled(patients: Sequence[Sequence[Embedding]], pool: str) -> Vectors | Bags:
    """The modality of n patients.

    Args:
        patients: Of each patient the files; none where the modality is missing.
        pool: One of `RULES`, or `attention`.

    Raises:
        InputError: Two files have vectors of different width, or columns of different names.
    """
    width = one_width(patients)
    if pool == ATTENTION:
        empty = np.zeros((0, width), np.float32)
        return Bags(tuple(np.concatenate([empty, *(file.values for file in files)]) for files in patients))
    values = np.full((len(patients), width), np.nan, np.float32)
    for row, files in zip(values, patients, strict=True):
        if files:
            row[:] = RULES[pool](files)
    return Vectors(values, np.array([bool(files) for files in patients], bool))


def one_width(patients: Sequence[Sequence[Embedding]]) -> int:
    """d, the same in all files; 0 without any file.

    Raises:
        InputError: It is not; the message names a file of the rarer width and one of the commonest.
    """
    files: dict[int, list[Embedding]] = {}
    for file in (file for each in patients for file in each):
        files.setdefault(file.values.shape[1], []).append(file)
    if len(files) > 1:
        (common, most), *_, (odd, few) = sorted(files.items(), key=lambda item: -len(item[1]))
        number = sum(map(len, files.values()))
        raise InputError(
            f"holds vectors of {odd} numbers ({len(few)} of {number} files), {most[0].where} of {common} "
            f"({len(most)} of {number})",
            where=few[0].where,
            remedy="Encode all patients with one encoder, or make two modalities of them",
        )
    return next(iter(files), 0)


def common_columns(patients: Sequence[Sequence[Embedding]]) -> tuple[list[list[Embedding]], dict[str, str]]:
    """Tables of patients with the columns that are numbers in all of them, in the order of the first.

    Returns:
        The same with these columns alone, and the columns that are left out with the reason.

    Raises:
        InputError: A table has a column that another lacks; the message names both.
    """
    files = [file for each in patients for file in each if file.columns is not None]
    left_out = {name: reason for file in files for name, reason in file.left_out.items()}
    names = [name for name in (files[0].columns or ()) if name not in left_out] if files else []
    for file in files:
        theirs = {*(file.columns or ()), *file.left_out}
        if strange := sorted(theirs ^ {*names, *left_out}):
            has, lacks = (file.where, files[0].where) if strange[0] in theirs else (files[0].where, file.where)
            raise InputError(
                f"has a column {strange[0]!r} that {lacks} lacks",
                where=has,
                remedy="Give all patients the same columns",
            )
    return [[_of_columns(file, names) for file in each] for each in patients], left_out


def _of_columns(file: Embedding, names: Sequence[str]) -> Embedding:
    if file.columns is None or list(file.columns) == list(names):
        return file
    place = {name: i for i, name in enumerate(file.columns)}
    values = file.values[:, [place[name] for name in names]]
    return Embedding(values, file.where, file.tiles, columns=tuple(names), left_out=file.left_out)
