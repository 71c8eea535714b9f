from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryostat.encoders.slide.dilated import dilated_attention, segment_lengths, views

HEADS, WIDTH = 4, 4


def test_published_segment_lengths() -> None:
    assert segment_lengths(262_144, 256) == (1024, 5792, 32768, 185363, 1048576)


def test_segment_lengths_of_another_slide_size() -> None:
    # 976² cells have 2^19.86: the exponent is rounded down to 19, five steps of 2.25 from 10.
    assert segment_lengths(250_000, 256) == (1024, 4870, 23170, 110217, 524288)


def literal(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, segments: list[int], ratios: list[int]) -> torch.Tensor:
    """Dilated attention word by word: padding made of zeros, one head, segment and branch at a time."""
    length = len(q)
    outputs = torch.zeros(len(segments), length, HEADS, WIDTH)
    totals = torch.full((len(segments), length, HEADS), -1e8)
    for branch, (segment, ratio) in enumerate(zip(segments, ratios, strict=True)):
        segment = min(segment, length)
        count = math.ceil(length / segment)
        slots = math.ceil(segment / ratio) * ratio
        for number in range(count):
            for head in range(HEADS):
                first = head // (HEADS // ratio)
                cut = []
                for whole in (q, k, v):
                    part = torch.zeros(slots, WIDTH)
                    piece = whole[number * segment : (number + 1) * segment, head]
                    part[: len(piece)] = piece
                    cut.append(part[first::ratio])
                scores = cut[0] @ cut[1].T / math.sqrt(WIDTH)
                total, mixed = scores.logsumexp(1), scores.softmax(1) @ cut[2]
                for slot in range(len(mixed)):
                    inside = first + slot * ratio
                    place = number * segment + inside
                    if inside < segment and place < length:
                        outputs[branch, place, head], totals[branch, place, head] = mixed[slot], total[slot]
    return (outputs * totals.softmax(0).unsqueeze(-1)).sum(0)


@given(length=st.integers(1, 45), segments=st.lists(st.integers(1, 50), min_size=3, max_size=3))
@settings(max_examples=40, deadline=None)
def test_it_is_what_it_says_word_by_word(length: int, segments: list[int]) -> None:
    draw = torch.Generator().manual_seed(length)
    q, k, v = (torch.randn(length, HEADS, WIDTH, generator=draw) for _ in range(3))
    expected = literal(q, k, v, segments, [1, 2, 4])
    torch.testing.assert_close(dilated_attention(q, k, v, segments, [1, 2, 4]), expected, rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("length", [1, 2, 15, 16, 17, 100])
@pytest.mark.parametrize("ratio", [1, 2, 4])
def test_views_of_a_branch_hold_each_attended_place_once(length: int, ratio: int) -> None:
    seen = torch.zeros(length, HEADS)
    for view in views(length, HEADS, 16, ratio):
        view.of(seen).add_(1)
    positions = torch.arange(length) % 16
    expected = positions[:, None] % ratio == torch.arange(HEADS)[None] // (HEADS // ratio)
    assert torch.equal(seen, expected.float())


def test_one_segment_without_dilation_is_plain_attention() -> None:
    q, k, v = (torch.randn(30, HEADS, WIDTH, generator=torch.Generator().manual_seed(i)) for i in range(3))
    heads_first = [part.transpose(0, 1) for part in (q, k, v)]
    expected = torch.nn.functional.scaled_dot_product_attention(*heads_first).transpose(0, 1)
    torch.testing.assert_close(dilated_attention(q, k, v, [64], [1]), expected)
