"""Vectors of a modality inside a fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.evaluation.preparation.columns import Columns
from cryostat.cases.evaluation.preparation.components import Components


@dataclass(frozen=True, eq=False)
class Block:
    """One modality of a fold.

    Attributes:
        values: (n, d) float32, rows of absent patients undefined.
        zero: (d,) float32: what a raw embedding of zeros becomes.
        facts: What was learnt.
    """

    values: NDArray[np.float32]
    zero: NDArray[np.float32]
    facts: Mapping[str, Any]


def prepared_vectors(
    values: NDArray[np.float32], train: NDArray[np.bool_], count: int, *, clip: float, least_known: float
) -> Block:
    """Standardise columns and reduce them to their principal components.

    Args:
        values: (n, d), unknown numbers NaN or infinite.
        train: (n,) rows to learn from.
        count: Components at most; 0: all columns, those that are not used 0.
        clip: As in `Columns.learnt`.
        least_known: As there.
    """
    columns = Columns.learnt(values[train], clip=clip, least_known=least_known)
    # A row of zeros goes along, so that it is treated as any patient's.
    shown = columns.standardised(np.concatenate([values, np.zeros((1, values.shape[1]), np.float32)]))
    facts = {
        "patients": int(train.sum()),
        "columns": len(columns.kept),
        "left_out": values.shape[1] - len(columns.kept),
    }
    if count == 0:
        found = np.zeros((len(shown), values.shape[1]), np.float32)
        found[:, columns.kept] = shown
        return Block(found[:-1], found[-1], facts)
    components = Components.learnt(shown[:-1][train], count)
    found = np.zeros((len(shown), min(count, values.shape[1])), np.float32)
    found[:, : components.width] = components.transformed(shown)
    return Block(found[:-1], found[-1], {**facts, "variance_kept": components.explained})
