"""LongNet's dilated attention: a few branches, each seeing longer segments more sparsely, mixed by log-sum-exp.

A branch of segment length s and dilation ratio r cuts the sequence into segments of s. In each of them the heads, in
r groups, see every r-th position: group j the positions j, j + r, j + 2r and so on. Where a head saw a position in
several branches, their outputs are weighed by the softmax over the branches' log-sum-exps.

The original pads the projected sequence with zeros to whole segments, and segments to multiples of r, and lets these
zeros take part as keys. So do we, in closed form (see `attention`): padding is counted, never made.

Queries a head does not attend in any branch come out as zeros; with a branch of ratio 1 there are none.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cryostat.encoders.slide.attention import attention

SHORTEST = 1024
"""Length of the first branch's segments."""

BRANCHES = 5


def segment_lengths(max_slide_px: int, tile_px: int) -> tuple[int, ...]:
    """Segment lengths as the original derives them: five powers of two, evenly spaced in their exponent.

    The last exponent is that of the longest sequence, (max_slide_px / tile_px)², rounded down: 262,144 px of 256 px
    tiles give 1024, 5792, 32768, 185363, 1048576.
    """
    last = math.floor(math.log2((max_slide_px // tile_px) ** 2))
    first = math.log2(SHORTEST)
    return tuple(int(2 ** (first + (last - first) * i / (BRANCHES - 1))) for i in range(BRANCHES))


class View(NamedTuple):
    """The positions that one group of heads sees in segments of one length.

    Attributes:
        span: Positions of the sequence that make whole segments of this length.
        segment: The segments' length.
        first: First position seen in a segment.
        step: Dilation ratio.
        heads: The heads that see them.
        zeros: Zero keys that the original's padding adds to each segment.
    """

    span: slice
    segment: int
    first: int
    step: int
    heads: slice
    zeros: int

    def of(self, sequence: Tensor) -> Tensor:
        """This part of a (L, H, ...) sequence as a view (segments, heads, positions, ...)."""
        part = sequence[self.span]
        cut = part.view(-1, self.segment, *part.shape[1:])
        return cut[:, self.first :: self.step, self.heads].transpose(1, 2)


def views(length: int, heads: int, segment: int, ratio: int) -> Iterator[View]:
    """The views of one branch, which together hold every position and head that it attends, once.

    Args:
        length: Positions in the sequence.
        heads: Attention heads, a multiple of the ratio.
        segment: Segment length; a shorter sequence is one segment.
        ratio: Dilation ratio.
    """
    segment = min(segment, length)
    whole = length - length % segment
    slots = math.ceil(segment / ratio)
    group = heads // ratio
    for span, size in ((slice(0, whole), segment), (slice(whole, length), length - whole)):
        for first in range(min(ratio, size)):
            seen = math.ceil((size - first) / ratio)
            yield View(span, size, first, ratio, slice(first * group, (first + 1) * group), slots - seen)


def dilated_attention(
    queries: Tensor, keys: Tensor, values: Tensor, segments: Sequence[int], ratios: Sequence[int]
) -> Tensor:
    """Dilated attention of a sequence, without gradients; memory is linear in its length.

    Args:
        queries: (L, H, d).
        keys: (L, H, d).
        values: (L, H, d).
        segments: Segment length of each branch.
        ratios: Dilation ratio of each branch.

    Returns:
        (L, H, d).
    """
    length, heads, _ = queries.shape
    mixed = torch.zeros_like(queries)
    total = queries.new_full((length, heads), -math.inf)
    for segment, ratio in zip(segments, ratios, strict=True):
        for view in views(length, heads, segment, ratio):
            found = attention(view.of(queries), view.of(keys), view.of(values), zeros=view.zeros)
            _mix(view.of(mixed), view.of(total), *found)
    return mixed


def _mix(mixed: Tensor, total: Tensor, branch: Tensor, branch_total: Tensor) -> None:
    """Mix a branch into what there is, in place: the weights are the shares of the branches' denominators."""
    both = torch.logaddexp(total, branch_total)
    mixed.mul_((total - both).exp_().unsqueeze(-1))
    mixed.add_(branch * (branch_total - both).exp_().unsqueeze(-1))
    total.copy_(both)
