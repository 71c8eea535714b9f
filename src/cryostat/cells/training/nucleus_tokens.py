"""Token maps pooled over the nuclei of each tile, while training: on any device, with gradients, without a loop.

Every pixel of a nucleus takes the feature of the token it lies in; a nucleus' feature is the mean over its pixels. What
`cells.pooling` reads from a store for tiles that never change, this does for tiles that were augmented just now.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cryostat.core.errors import InputError


class TokenPool(NamedTuple):
    """Features of the nuclei of a batch of tiles, by tile and id, ascending.

    Attributes:
        tiles: (n,) int64 position in the batch.
        ids: (n,) int64 nucleus id.
        means: (n, C), or (n, 2C) with a ring of context, float32 or float64.
    """

    tiles: Tensor
    ids: Tensor
    means: Tensor


def pool_tokens(tokens: Tensor, instances: Tensor, rings: Tensor | None = None) -> TokenPool:
    """Mean of the tokens under each nucleus, each token by the share of the nucleus that lies in it.

    Args:
        tokens: (N, h, w, C) float; gradients flow back into it.
        instances: (N, S, S) integer nucleus ids, 0 outside, on the device of the tokens.
        rings: (N, S, S) id of the nucleus in whose ring of context a pixel lies, 0 for none. The mean over it is
            appended; a nucleus without a ring in its tile gets its own mean there.

    Raises:
        InputError: The shapes or types do not fit, or ids are negative.
    """
    for ids in (instances,) if rings is None else (instances, rings):
        _must_fit(tokens, ids)
    base = 1 + max(_largest(ids) for ids in (instances, rings) if ids is not None)
    nuclei, means = _pool(tokens, instances, base)
    if rings is not None:
        means = torch.cat([means, _around(nuclei, means, *_pool(tokens, rings, base))], 1)
    return TokenPool(nuclei // base, nuclei % base, means)


def _pool(tokens: Tensor, instances: Tensor, base: int) -> tuple[Tensor, Tensor]:
    """Nuclei as tile · base + id (n,), ascending, and the mean of each (n, C)."""
    count, height, width, channels = tokens.shape
    tile, row, column = instances.nonzero(as_tuple=True)
    nucleus = tile * base + instances[tile, row, column].long()
    token = (row * height // instances.shape[1]) * width + column * width // instances.shape[2]
    plane = height * width
    # Pixels in one token follow each other in runs: few are left to sort.
    runs, lengths = torch.unique_consecutive(nucleus * plane + token, return_counts=True)
    pairs, of_pair = torch.unique(runs, return_inverse=True)
    pixels = torch.zeros_like(pairs).index_add_(0, of_pair, lengths)
    nuclei, of_nucleus = torch.unique_consecutive(pairs // plane, return_inverse=True)
    area = torch.zeros_like(nuclei).index_add_(0, of_nucleus, pixels)
    place = (pairs // plane // base) * plane + pairs % plane
    table = tokens.reshape(count * plane, channels)
    table = table if table.dtype == torch.float64 else table.float()
    share = (pixels / area[of_nucleus]).to(table.dtype)
    means = table.new_zeros(len(nuclei), channels)
    return nuclei, means.index_add(0, of_nucleus, table.index_select(0, place) * share[:, None])


def _around(nuclei: Tensor, own: Tensor, ringed: Tensor, means: Tensor) -> Tensor:
    """(n, C): means of rings where a nucleus has one, its own elsewhere; rings of nuclei not in the tile are left."""
    known = torch.isin(ringed, nuclei)
    return own.index_copy(0, torch.searchsorted(nuclei, ringed[known]), means[known])


def _largest(instances: Tensor) -> int:
    return int(instances.max()) if instances.numel() else 0


def _must_fit(tokens: Tensor, instances: Tensor) -> None:
    shaped = tokens.ndim == 4 and instances.ndim == 3 and len(tokens) == len(instances)
    if not shaped or not tokens.is_floating_point() or instances.is_floating_point() or instances.dtype == torch.bool:
        raise InputError(
            f"tokens {tuple(tokens.shape)} of {tokens.dtype} do not fit "
            f"nuclei {tuple(instances.shape)} of {instances.dtype}",
            remedy="Supply floats (N, h, w, C) and integers (N, S, S)",
        )
    if instances.numel() and int(instances.min()) < 0:
        raise InputError("an instance map holds negative ids", remedy="Number nuclei from 1, with 0 for background")
