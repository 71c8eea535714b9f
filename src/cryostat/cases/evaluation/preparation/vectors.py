"""Vectors of a modality inside a fold: columns standardised, then components."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cryostat.cases.evaluation.preparation.columns import Columns
from cryostat.cases.evaluation.preparation.components import Components

ROWS = 65_536
"""Rows transformed at once."""


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


@dataclass(frozen=True)
class Reduction:
    """How vectors are standardised and reduced.

    Attributes:
        components: At most; 0: all columns, those that are not used 0.
        clip: As in `Columns.learnt`.
        least_known: As there.
    """

    components: int
    clip: float
    least_known: float

    def learnt(self, values: NDArray[np.float32]) -> Reduced:
        """From training rows (n, d), unknown numbers NaN or infinite."""
        columns = Columns.learnt(values, clip=self.clip, least_known=self.least_known)
        shown = columns.standardised(values)
        components = Components.learnt(shown, self.components) if self.components else None
        width = min(self.components, values.shape[1]) if self.components else values.shape[1]
        return Reduced(columns, components, width, values.shape[1])


@dataclass(frozen=True, eq=False)
class Reduced:
    """What was learnt of vectors.

    Attributes:
        columns: How they are standardised.
        components: How they are reduced, or None.
        width: Numbers that come out.
        columns_given: Numbers that go in.
    """

    columns: Columns
    components: Components | None
    width: int
    columns_given: int

    def transformed(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        """(n, width) of (n, d)."""
        found = np.zeros((len(values), self.width), np.float32)
        for start in range(0, len(values), ROWS):
            shown = self.columns.standardised(values[start : start + ROWS])
            if self.components is None:
                found[start : start + ROWS, self.columns.kept] = shown
            else:
                found[start : start + ROWS, : self.components.width] = self.components.transformed(shown)
        return found

    @property
    def facts(self) -> dict[str, Any]:
        """Columns used and left out, share of variance kept."""
        used = len(self.columns.kept)
        facts: dict[str, Any] = {"columns": used, "left_out": self.columns_given - used}
        return facts if self.components is None else {**facts, "variance_kept": self.components.explained}


def prepared_vectors(values: NDArray[np.float32], rows: NDArray[np.bool_], reduction: Reduction) -> Block:
    """Standardise columns and reduce them to their principal components.

    Args:
        values: (n, d), unknown numbers NaN or infinite.
        rows: (n,) those to learn from.
        reduction: How.
    """
    fitted = reduction.learnt(values[rows])
    # A row of zeros goes along, so that it is treated as any patient's.
    found = fitted.transformed(np.concatenate([values, np.zeros((1, values.shape[1]), np.float32)]))
    return Block(found[:-1], found[-1], {"patients": int(rows.sum()), **fitted.facts})
