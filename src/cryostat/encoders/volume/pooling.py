"""From features of tokens to one vector a series and one a patient."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from cryostat.core.errors import InputError, SettingError
from cryostat.encoders.volume.tokens import Tokens

POOLINGS = ("series-mean", "token-mean", "tumour")
"""`series-mean`: the mean of each series' tokens, then the mean of the series. `token-mean`: the mean of all tokens, so
that a series with more tokens weighs more. `tumour`: as series-mean, each token weighed by the tumour in it."""


def check_pooling(pooling: str, allowed: Sequence[str] = POOLINGS) -> str:
    """The name of a pooling, if it exists.

    Raises:
        SettingError: It does not.
    """
    if pooling not in allowed:
        raise SettingError(f"there is no pooling {pooling!r} here", remedy=f"Choose one of: {', '.join(allowed)}")
    return pooling


def pooled(
    features: Sequence[NDArray[np.float32]], series: Sequence[Tokens], pooling: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """One vector a patient, and one a series.

    Args:
        features: For each series (N, width) features of its tokens.
        series: The tokens themselves.
        pooling: One of POOLINGS.

    Returns:
        (width,) and (S, width).

    Raises:
        InputError: Pooling by tumour, and a series has no tumour in its tokens.
        SettingError: There is no such pooling.
    """
    check_pooling(pooling)
    weights = [_tumour(tokens) if pooling == "tumour" else np.ones(len(tokens)) for tokens in series]
    each = np.stack([np.average(f.astype(float), axis=0, weights=w) for f, w in zip(features, weights, strict=True)])
    counts = [len(tokens) for tokens in series] if pooling == "token-mean" else None
    return np.average(each, axis=0, weights=counts).astype(np.float32), each.astype(np.float32)


def _tumour(tokens: Tokens) -> NDArray[np.float64]:
    remedy = "Supply a tumour mask for every series, or pool with series-mean"
    if tokens.tumour is None:
        raise InputError(f"the series {tokens.series} has no tumour mask", where=tokens.where, remedy=remedy)
    if not tokens.tumour.any():
        raise InputError(
            f"the tumour mask of the series {tokens.series} marks nothing in its tokens",
            where=tokens.where,
            remedy=remedy,
        )
    return tokens.tumour
