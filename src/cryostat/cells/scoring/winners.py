"""From mean probabilities to a class; no torch, so that tables are scored without it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def most_probable(means: NDArray[Any], ids: NDArray[Any], *, background_may_win: bool) -> NDArray[Any]:
    """The class of the highest probability, the first of equals.

    Args:
        means: (n, C) mean probabilities.
        ids: (C,) class id of each column, 0 background.
        background_may_win: Background takes part, as published.

    Returns:
        (n,) class ids.
    """
    allowed = means if background_may_win else np.where(ids == 0, -1, means)
    winners: NDArray[Any] = ids[allowed.argmax(1)]
    return winners
