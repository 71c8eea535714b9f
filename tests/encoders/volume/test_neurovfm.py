from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from cryostat.core.errors import EncoderError
from cryostat.encoders.volume.neurovfm import NeuroVfm, sinusoid


@pytest.fixture
def tiny() -> NeuroVfm:
    torch.manual_seed(0)
    return NeuroVfm(width=48, depth=2, heads=6).eval()


def packed(lengths: list[int]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    count = sum(lengths)
    return torch.rand(count, 1024), torch.randint(0, 9, (count, 3)), torch.tensor([0, *lengths]).cumsum(0)


def test_published_parameters_and_tensors() -> None:
    with torch.device("meta"):
        network = NeuroVfm()
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert sum(p.numel() for p in network.parameters()) == 85_803_234
    assert len(shapes) == 136
    assert shapes["token_embed.proj.weight"] == (738, 1024)
    assert shapes["blocks.11.mixer.qkv.bias"] == (2304,)
    assert shapes["blocks.0.mlp.fc2.weight"] == (768, 3072)
    assert "blocks.0.mixer.proj.bias" not in shapes


def test_meets_the_published_program(shared: Path) -> None:
    fixture = load_file(shared / "parity" / "neurovfm_encoder_tiny.safetensors")
    network = NeuroVfm(width=48, depth=2, heads=6)
    network.load_state_dict({n.removeprefix("weights/"): v for n, v in fixture.items() if n.startswith("weights/")})
    tokens = (fixture["input/tokens"] - 0.3141) / 0.2623
    with torch.no_grad():
        found = network(tokens, fixture["input/coords"], fixture["input/cu_seqlens"])
    assert (found - fixture["output/tokens"]).abs().max() < 1e-5


def test_places_are_told_by_sine_and_cosine_of_each_axis() -> None:
    row = sinusoid(torch.tensor([[3, 0, 40]]))[0]
    assert row.shape == (30,)
    assert row[0] == pytest.approx(math.sin(3))
    assert row[1] == pytest.approx(math.cos(3))
    assert row[2] == pytest.approx(math.sin(3 * 10000**-0.2))
    assert row[10:20].tolist() == [0.0, 1.0] * 5
    assert row[29] == pytest.approx(math.cos(40 * 10000**-0.8))


@torch.no_grad()
def test_series_do_not_see_each_other(tiny: NeuroVfm) -> None:
    tokens, coords, starts = packed([5, 1, 7])
    together = tiny(tokens, coords, starts)
    alone = tiny(tokens[5:6], coords[5:6], torch.tensor([0, 1]))
    torch.testing.assert_close(together[5:6], alone, atol=1e-6, rtol=0)
    changed = tokens.clone()
    changed[:5] = 0
    torch.testing.assert_close(tiny(changed, coords, starts)[5:], together[5:], atol=0, rtol=0)
    assert not torch.equal(tiny(tokens, coords, torch.tensor([0, 13])), together)


@torch.no_grad()
def test_order_of_tokens_in_a_series_does_not_matter(tiny: NeuroVfm) -> None:
    tokens, coords, starts = packed([9])
    shuffled = torch.randperm(9)
    found = tiny(tokens[shuffled], coords[shuffled], starts)
    torch.testing.assert_close(found, tiny(tokens, coords, starts)[shuffled], atol=1e-5, rtol=0)


@pytest.mark.parametrize("starts", [[0, 4, 9], [1, 10], [0, 5, 5, 10], [0]])
def test_boundaries_that_do_not_divide_the_tokens_are_refused(tiny: NeuroVfm, starts: list[int]) -> None:
    tokens, coords, _ = packed([10])
    with pytest.raises(EncoderError, match="do not divide 10 tokens"):
        tiny(tokens, coords, torch.tensor(starts))
