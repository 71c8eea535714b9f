"""Principal components of training rows, by whichever side of the table is shorter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg

RANK = 1e-10
"""Share of the largest variance below which a component is rounding error."""


@dataclass(frozen=True, eq=False)
class Components:
    """A linear map that keeps most of the variance, its output of unit variance on average.

    Attributes:
        mean: (d,) of the training rows.
        axes: (d, k) directions, divided by the root of their mean variance; k may be less than asked for.
        width: Columns of the output; those beyond k are 0, so that all folds have one width.
        explained: Share of the training rows' variance that is kept.
    """

    mean: NDArray[np.float64]
    axes: NDArray[np.float64]
    width: int
    explained: float

    @classmethod
    def learnt(cls, x: Any, count: int) -> Components:
        """From training rows.

        Args:
            x: (n, d), an array or a sparse matrix.
            count: Components at most.
        """
        rows, columns = x.shape
        width = min(count, columns)
        mean = np.asarray(x.mean(0), np.float64).reshape(-1) if rows else np.zeros(columns)
        if min(rows - 1, width) < 1:
            return cls(mean, np.zeros((columns, 0)), width, 0.0)
        variance, axes, total = _by_columns(x, mean, width) if columns <= rows else _by_rows(x, mean, width)
        kept = variance > RANK * max(total, np.finfo(float).tiny)
        variance, axes = variance[kept], _signed(axes[:, kept])
        scale = np.sqrt(variance.mean()) if len(variance) else 1.0
        return cls(mean, axes / scale, width, float(variance.sum() / total) if total > 0 else 0.0)

    def transformed(self, x: Any) -> NDArray[np.float32]:
        """(n, width) float32 of (n, d)."""
        found = np.zeros((x.shape[0], self.width), np.float32)
        found[:, : self.axes.shape[1]] = np.asarray(x @ self.axes) - self.mean @ self.axes
        return found


def _by_columns(x: Any, mean: NDArray[np.float64], width: int) -> tuple[NDArray[Any], NDArray[Any], float]:
    """Variances, descending, their axes (d, k) and the variance in all, from the (d, d) covariance."""
    covariance = _dense(x.T @ x) / x.shape[0] - np.outer(mean, mean)
    variance, axes = _leading(covariance, width)
    return variance, axes, float(np.trace(covariance))


def _by_rows(x: Any, mean: NDArray[np.float64], width: int) -> tuple[NDArray[Any], NDArray[Any], float]:
    """The same from the (n, n) products of rows."""
    products = _dense(x @ x.T)
    centre = products.mean(0)
    products = (products - centre - centre[:, None] + centre.mean()) / x.shape[0]
    variance, left = _leading(products, width)
    length = np.sqrt(np.maximum(variance, np.finfo(float).tiny) * x.shape[0])
    return variance, np.asarray(x.T @ left - np.outer(mean, left.sum(0))) / length, float(np.trace(products))


def _leading(symmetric: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    size = len(symmetric)
    values, vectors = linalg.eigh(symmetric, subset_by_index=[max(0, size - count), size - 1])
    return values[::-1], vectors[:, ::-1]


def _signed(axes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each axis with its largest weight positive: which way it comes out of a solver is chance."""
    largest = np.take_along_axis(axes, np.abs(axes).argmax(0)[None], 0)
    return axes * np.where(largest < 0, -1.0, 1.0)


def _dense(x: Any) -> NDArray[np.float64]:
    return np.asarray(x.toarray() if hasattr(x, "toarray") else x, np.float64)
