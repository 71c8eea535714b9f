from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from cryostat.encoders.slide import attention as module
from cryostat.encoders.slide.attention import attention, fused, plain_attention


def draw(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_two_keys_by_hand() -> None:
    query = torch.tensor([[[[2.0, 0.0, 0.0, 0.0]]]])
    keys = torch.tensor([[[[math.log(3), 0, 0, 0], [0, 0, 0, 0]]]])
    values = torch.tensor([[[[4.0, 0, 0, 0], [0, 8.0, 0, 0]]]])
    # Scores log 3 and 0, so that the weights are 3/4 and 1/4.
    mixed, total = attention(query, keys, values)
    assert mixed.flatten().tolist() == pytest.approx([3, 2, 0, 0])
    assert total.item() == pytest.approx(math.log(4))
    with_zeros, total = attention(query, keys, values, zeros=4)
    assert with_zeros.flatten().tolist() == pytest.approx([1.5, 1, 0, 0])
    assert total.item() == pytest.approx(math.log(8))


@given(n=st.integers(1, 40), m=st.integers(1, 40), zeros=st.integers(0, 9), scores=st.sampled_from([1, 7, 64, 10**6]))
@settings(max_examples=40, deadline=None)
def test_zero_keys_in_closed_form_are_zero_keys(n: int, m: int, zeros: int, scores: int) -> None:
    queries, keys, values = draw(2, 3, n, 8), draw(2, 3, m, 8), draw(2, 3, m, 8)
    padding = torch.zeros(2, 3, zeros, 8)
    padded = torch.cat([keys, padding], 2), torch.cat([values, padding], 2)
    expected = plain_attention(queries, *padded, scores=scores)
    for found, wanted in zip(attention(queries, keys, values, zeros=zeros), expected, strict=True):
        torch.testing.assert_close(found, wanted, rtol=1e-5, atol=2e-6)


def test_plain_attention_is_torchs() -> None:
    queries, keys, values = draw(2, 3, 21, 8), draw(2, 3, 34, 8), draw(2, 3, 34, 8)
    expected = torch.nn.functional.scaled_dot_product_attention(queries, keys, values)
    torch.testing.assert_close(plain_attention(queries, keys, values, scores=100)[0], expected)


def test_kernels_are_used_only_when_right(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mixed, total = plain_attention(q, k, v)
        return mixed, total + 1e-3

    def failing(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        raise RuntimeError("no kernel")

    def padded(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        mixed, total = plain_attention(q, k, v)
        return mixed, torch.nn.functional.pad(total, (0, 3))

    for kernel, used in ((wrong, False), (failing, False), (padded, False), (plain_attention, True)):
        monkeypatch.setitem(module._KERNELS, "cpu", kernel)
        fused.cache_clear()
        assert (fused("cpu", 8) is kernel) == used
    fused.cache_clear()


def test_devices_without_a_kernel_have_none() -> None:
    assert fused("abacus", 8) is None
