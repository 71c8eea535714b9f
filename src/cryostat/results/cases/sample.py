"""Metrics of one arm on one set of patients: as measured in each replicate, and on thousands of resamples at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cryostat.results.cases.chances import resampled_chances
from cryostat.results.cases.metrics import Floats, Undefined, confusion_metrics, mean_of_known, probability_metrics

CHUNK = 2**23
"""Numbers held at once while confusion matrices are resampled (32 MB)."""


AS_STATED = Undefined()
"""The rule of scores: never predicted counts as precision 0, a class without patients is left out."""


@dataclass(frozen=True, eq=False)
class Sample:
    """What R replicates predicted of n patients, all of whom each replicate tested.

    Attributes:
        true: (n,) index of the true class.
        predicted: (R, n) index of the predicted class.
        p: (R, n, C) probabilities, or None.
        classes: C.
        undefined: What stands for ratios whose denominator is 0.
    """

    true: NDArray[np.int64]
    predicted: NDArray[np.int16]
    p: NDArray[np.float32] | None
    classes: int
    undefined: Undefined = AS_STATED

    @property
    def replicates(self) -> int:
        """R."""
        return len(self.predicted)

    @cached_property
    def confusion(self) -> NDArray[np.int64]:
        """(R, C, C) patients by true and predicted class."""
        c, r = self.classes, self.replicates
        flat = (np.arange(r)[:, None] * c + self.true) * c + self.predicted
        return np.bincount(flat.ravel(), minlength=r * c * c).reshape(r, c, c)

    def values(self, *, ordinal: bool = False) -> dict[str, Floats]:
        """Each metric in each replicate, (R,) each."""
        found = confusion_metrics(self.confusion, ordinal=ordinal, undefined=self.undefined)
        return found if self.p is None else found | probability_metrics(self.true, self.p)

    def resampled(self, weights: NDArray[np.float32], *, ordinal: bool = False) -> dict[str, Floats]:
        """Each metric on weighted patients, mean over replicates.

        Args:
            weights: (B, n) how often each patient counts.
            ordinal: The classes are ordered.

        Returns:
            Name to (B,) values; NaN where undefined. The average precision is linearised about equal weights, since
            its resamples would each need a sorting; the other metrics are exact.
        """
        step = max(1, CHUNK // (self.replicates * self.classes**2))
        parts = [self._of_classes(weights[at : at + step], ordinal) for at in range(0, len(weights), step)]
        found = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
        return found if self.p is None else found | resampled_chances(self.true, self.p, weights)

    def _of_classes(self, weights: NDArray[np.float32], ordinal: bool) -> dict[str, Floats]:
        counts = np.zeros((len(weights), self.replicates, self.classes, self.classes), np.float32)
        for c in range(self.classes):
            rows = np.flatnonzero(self.true == c)
            called = (self.predicted[:, rows].T[:, :, None] == np.arange(self.classes)).astype(np.float32)
            product = weights[:, rows] @ called.reshape(len(rows), self.replicates * self.classes)
            counts[:, :, c] = product.reshape(len(weights), self.replicates, self.classes)
        found = confusion_metrics(counts, ordinal=ordinal, undefined=self.undefined)
        return {name: mean_of_known(value) for name, value in found.items()}

    def beside(self, other: Sample) -> Sample:
        """The same 2n rows for two models: this one's patients, then the other's."""
        both = None if self.p is None or other.p is None else np.concatenate([self.p, other.p], 1)
        predicted = np.concatenate([self.predicted, other.predicted], 1)
        return Sample(np.concatenate([self.true, other.true]), predicted, both, self.classes, self.undefined)


Samples = Sequence[tuple[Sample, NDArray[np.int64]]]
"""Replicates that test the same patients, together; with the positions of these among all that are resampled."""


def measure(samples: Samples, *, ordinal: bool = False) -> dict[str, Floats]:
    """Each metric in each replicate of all samples, (R,) each."""
    parts = [sample.values(ordinal=ordinal) for sample, _ in samples]
    return {name: np.concatenate([np.atleast_1d(part[name]) for part in parts]) for name in _shared(parts)}


def measure_resampled(samples: Samples, weights: NDArray[np.float32], *, ordinal: bool = False) -> dict[str, Floats]:
    """Each metric on weighted patients, mean over all replicates.

    Args:
        samples: Of the arm.
        weights: (B, n) how often each of the resampled patients counts.
        ordinal: The classes are ordered.

    Returns:
        Name to (B,) values.
    """
    parts = [sample.resampled(weights[:, inside], ordinal=ordinal) for sample, inside in samples]
    replicates = np.array([sample.replicates for sample, _ in samples], np.float32)
    return {name: mean_of_known(np.stack([p[name] for p in parts], -1), replicates) for name in _shared(parts)}


def _shared(parts: Sequence[dict[str, Floats]]) -> list[str]:
    return [name for name in parts[0] if all(name in part for part in parts)]
