"""Which nucleus each row of a phenotype table means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cells.building.phenotypes import Phenotypes
from cryostat.cells.field import nucleus_ids, nucleus_index
from cryostat.core.errors import InputError

ENOUGH = 20
"""Rows below which a field says nothing about a systematic mistake in its table."""


@dataclass(frozen=True)
class Join:
    """Rows of a phenotype table matched to nuclei.

    Attributes:
        phenotype_of: Nucleus id to phenotype.
        rows: Rows of the table.
        missed: Rows that mean no nucleus: the id is not in the map, or the position lies on background or outside.
        shared: Rows that lost their nucleus to one whose position is nearer to its centre.
        contested: Nuclei that rows of different phenotypes hit.
        bare: Nuclei that no row means.
    """

    phenotype_of: Mapping[int, str]
    rows: int
    missed: int
    shared: int
    contested: int
    bare: int

    @property
    def unmatched(self) -> int:
        """Rows that name no nucleus in the end."""
        return self.missed + self.shared


def join(phenotypes: Phenotypes, instances: NDArray[Any]) -> Join:
    """Match a field's rows to its nuclei.

    Args:
        phenotypes: Rows of the table.
        instances: (H, W) nucleus ids.

    Raises:
        InputError: No row at all meets a nucleus, or rows fit much better with x and y exchanged.
    """
    ids = nucleus_ids(instances)
    if phenotypes.positions is not None:
        result = _by_position(phenotypes, phenotypes.positions, instances, ids)
    else:
        result = _by_id(phenotypes, ids)
    if result.missed == result.rows >= ENOUGH:
        raise InputError(
            f"none of the {result.rows} rows meets a nucleus of its mask",
            where=phenotypes.path,
            remedy="Check that positions are px of this image, ids those of this mask, and fields paired rightly",
        )
    return result


def _by_id(phenotypes: Phenotypes, ids: NDArray[np.int64]) -> Join:
    there = set(ids.tolist())
    listed = () if phenotypes.cell_ids is None else phenotypes.cell_ids.tolist()
    chosen = {cell: row for row, cell in enumerate(listed) if cell in there}
    return _result(phenotypes, chosen, len(ids), hit=len(chosen), contested=0)


def _by_position(
    phenotypes: Phenotypes, positions: NDArray[np.float64], instances: NDArray[Any], ids: NDArray[np.int64]
) -> Join:
    under = nuclei_under(positions, instances)
    hit = np.flatnonzero(under)
    _check_order(phenotypes, positions, instances, len(hit))
    distance = np.hypot(*(positions[hit] - centres(instances, ids)[np.searchsorted(ids, under[hit])]).T)
    # The nearest row of each nucleus comes first; among equals the first in the table.
    order = hit[np.lexsort((hit, distance, under[hit]))]
    first = np.append(True, np.diff(under[order]) > 0) if len(order) else np.zeros(0, bool)
    chosen = {int(under[row]): int(row) for row in order[first]}
    names = np.array(phenotypes.names, object)
    contested = {int(under[row]) for row in order[~first] if names[row] != names[chosen[int(under[row])]]}
    return _result(phenotypes, chosen, len(ids), hit=len(hit), contested=len(contested))


def _result(phenotypes: Phenotypes, chosen: Mapping[int, int], nuclei: int, *, hit: int, contested: int) -> Join:
    rows = len(phenotypes.names)
    return Join(
        {cell: phenotypes.names[row] for cell, row in chosen.items()},
        rows,
        missed=rows - hit,
        shared=hit - len(chosen),
        contested=contested,
        bare=nuclei - len(chosen),
    )


def nuclei_under(positions: NDArray[np.float64], instances: NDArray[Any]) -> NDArray[np.int64]:
    """(n,) nucleus id under each x, y (pixel centres at whole numbers); 0 on background and outside the image."""
    height, width = instances.shape
    x, y = np.rint(np.clip(positions, -1, max(height, width))).astype(np.int64).T
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    under = np.zeros(len(positions), np.int64)
    under[inside] = instances[y[inside], x[inside]]
    return under


def centres(instances: NDArray[Any], ids: NDArray[np.int64]) -> NDArray[np.float64]:
    """(n, 2) x and y of the centre of each nucleus in px."""
    which = nucleus_index(instances, ids)
    pixels = np.flatnonzero(which)
    index = which.ravel()[pixels] - 1
    y, x = np.divmod(pixels, instances.shape[1])
    area = np.bincount(index, minlength=len(ids))
    return np.stack([np.bincount(index, x, len(ids)) / area, np.bincount(index, y, len(ids)) / area], axis=1)


def _check_order(phenotypes: Phenotypes, positions: NDArray[np.float64], instances: NDArray[Any], hits: int) -> None:
    if len(positions) < ENOUGH or 2 * hits >= len(positions):
        return
    exchanged = int(np.count_nonzero(nuclei_under(positions[:, ::-1], instances)))
    if 2 * exchanged > len(positions) and exchanged > 2 * hits:
        raise InputError(
            f"{hits} of {len(positions)} positions lie on a nucleus, but {exchanged} do with x and y exchanged",
            where=phenotypes.path,
            remedy="Exchange the columns x (to the right) and y (downwards)",
        )
