"""Attention that also tells its log-sum-exp, which dilated attention needs to weigh its branches.

Torch's fused kernels compute it but keep it out of `scaled_dot_product_attention`. They are asked for directly, and
trusted only after they have reproduced the plain computation on the device at hand; otherwise that is used, in blocks
of queries, with bounded memory.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Attention = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]

SCORES = 2**24
"""Query-key scores that the plain computation holds at once: 64 MiB of float32."""

TRUST = 1e-5
"""Largest deviation from the plain computation at which a fused kernel is used."""


def attention(queries: Tensor, keys: Tensor, values: Tensor, *, zeros: int = 0) -> tuple[Tensor, Tensor]:
    """Softmax attention with its log-sum-exp.

    Args:
        queries: (B, H, n, d).
        keys: (B, H, m, d).
        values: (B, H, m, d).
        zeros: Further keys and values that are zero everywhere. Each scores 0 and adds exp(0) to the denominator,
            so that they need not exist.

    Returns:
        (B, H, n, d) mixed values, and the (B, H, n) log of the softmax's denominator.
    """
    compute = fused(queries.device.type, queries.shape[-1]) or plain_attention
    mixed, total = compute(queries, keys, values)
    if not zeros:
        return mixed, total
    with_zeros = torch.logaddexp(total, total.new_tensor(math.log(zeros)))
    return mixed * (total - with_zeros).exp().unsqueeze(-1), with_zeros


def plain_attention(queries: Tensor, keys: Tensor, values: Tensor, scores: int = SCORES) -> tuple[Tensor, Tensor]:
    """Attention and log-sum-exp in plain torch; at most `scores` query-key scores are held at once."""
    mixed, total = torch.empty_like(queries), queries.new_empty(queries.shape[:-1])
    rows = max(1, scores // keys.shape[2])
    for batch in range(queries.shape[0]):
        for head in range(queries.shape[1]):
            one = (batch, head)
            for first in range(0, queries.shape[2], rows):
                block = slice(first, first + rows)
                found = _block(queries[one][block], keys[one], values[one])
                mixed[one][block], total[one][block] = found
    return mixed, total


def _block(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    scores = (queries * queries.shape[-1] ** -0.5) @ keys.T
    total = scores.logsumexp(-1)
    return scores.sub_(total.unsqueeze(-1)).exp_() @ values, total


@functools.cache
def fused(device: str, head_width: int) -> Attention | None:
    """The fused float32 kernel of a kind of device, where there is one that does what it should; otherwise None."""
    kernel = _KERNELS.get(device)
    return kernel if kernel and _trustworthy(kernel, device, head_width) else None


def _trustworthy(kernel: Attention, device: str, head_width: int) -> bool:
    draw = torch.Generator().manual_seed(0)
    # Odd lengths and strided heads, as dilated attention brings them.
    shape = (2, 3, 53, 2 * head_width)
    keys, values = (torch.randn(shape, generator=draw).to(device)[..., :head_width] for _ in range(2))
    queries = torch.randn((2, 3, 37, head_width), generator=draw).to(device)
    try:
        found = kernel(queries, keys, values)
    except (AttributeError, RuntimeError, TypeError, ValueError):
        return False
    pairs = zip(found, plain_attention(queries, keys, values), strict=True)
    return all(a.shape == b.shape and torch.allclose(a, b, rtol=0, atol=TRUST) for a, b in pairs)


def _fused_cpu(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    found: Any = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(queries, keys, values)
    return found[0], found[1]


def _fused_cuda(queries: Tensor, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    found: Any = torch.ops.aten._scaled_dot_product_efficient_attention(queries, keys, values, None, True)
    return found[0], found[1][..., : queries.shape[2]]


_KERNELS: dict[str, Attention] = {"cpu": _fused_cpu, "cuda": _fused_cuda}
