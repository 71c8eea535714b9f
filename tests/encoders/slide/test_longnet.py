from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from slide_examples import SMALL, small_network, small_slide

from cryostat.encoders.slide.longnet import GigaPathNetwork, LongNetSettings, initialise

LAYER = (
    *(f"self_attn.{name}_proj" for name in "qkv"),
    "self_attn.out_proj",
    "self_attn.inner_attn_ln",
    "self_attn_layer_norm",
    "ffn.fc1",
    "ffn.fc2",
    "ffn.ffn_layernorm",
    "final_layer_norm",
)


def test_published_size_and_names_without_memory() -> None:
    with torch.device("meta"):
        network = GigaPathNetwork(LongNetSettings())
    assert sum(p.numel() for p in network.parameters()) == 86_330_880
    assert sum(p.numel() for p in network.encoder.parameters()) == 85_148_160
    modules = ["patch_embed.proj", "encoder.layer_norm", "norm"]
    modules += [f"encoder.layers.{i}.{name}" for i in range(12) for name in LAYER]
    names = {f"{module}.{part}" for module in modules for part in ("weight", "bias")} | {"cls_token"}
    assert set(network.state_dict()) == names
    assert len(names) == 247


def parity(folder: Path) -> tuple[GigaPathNetwork, dict[str, torch.Tensor]]:
    content = load_file(folder / "parity" / "gigapath_slide_encoder_tiny.safetensors")
    settings = LongNetSettings(width_in=32, width=64, depth=2, hidden=128, grid=100)
    network = GigaPathNetwork(settings).eval().requires_grad_(False)
    weights = {k.removeprefix("weights/"): v for k, v in content.items() if k.startswith("weights/")}
    network.load_state_dict(weights, strict=True)
    return network, content


NO_GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA GPU")


@pytest.mark.parametrize("kernel", ["fused", "plain"])
@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=NO_GPU)])
def test_parity_at_every_layer_and_both_poolings(
    shared: Path, device: str, kernel: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if kernel == "plain":
        monkeypatch.setattr("cryostat.encoders.slide.attention.fused", lambda device, width: None)
    network, content = parity(shared)
    network.to(device)
    cells = (content["input/coords"][0] / 256).long()
    for number, tokens in enumerate(network.states(content["input/tiles"][0], cells)):
        found = {"cls": network.norm(tokens[0]), "mean": network.norm(tokens[1:].mean(0))}
        for pooling, vector in found.items():
            torch.testing.assert_close(vector.cpu(), content[f"output/{pooling}/{number}"][0], rtol=0, atol=1e-5)


def last(network: GigaPathNetwork, tiles: int) -> torch.Tensor:
    features, corners = small_slide(tiles)
    *_, state = network.states(torch.from_numpy(features), torch.from_numpy(corners / 256).long())
    return state


@pytest.mark.parametrize("rows", [1, 37, 1000, 5000])
def test_blocks_of_rows_do_not_matter(rows: int) -> None:
    torch.testing.assert_close(last(small_network(rows=rows), 1100), last(small_network(), 1100), rtol=0, atol=1e-5)


@pytest.mark.parametrize("tiles", [1, 2, 15, 16, 1023, 1024, 1025, 6000])
def test_any_number_of_tiles(tiles: int) -> None:
    state = last(small_network(), tiles)
    assert state.shape == (1 + tiles, SMALL.width)
    assert state.isfinite().all()


def test_initial_weights_follow_from_the_seed_alone() -> None:
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    first, second, other = (GigaPathNetwork(SMALL) for _ in range(3))
    torch.random.set_rng_state(before)
    for network, seed in ((first, 0), (second, 0), (other, 1)):
        initialise(network, seed)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(first.cls_token, second.cls_token)
    assert not torch.equal(first.cls_token, other.cls_token)
    assert torch.equal(first.norm.weight, torch.ones(64))


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"width": 70}, "width 70 is no multiple"),
        ({"heads": 8}, "heads 8 is no multiple"),
        ({"ratios": (1, 2)}, "needs 5 ratios"),
        ({"max_slide_px": 2560}, "fewer than 1024 tiles"),
        ({}, "^$"),
    ],
)
def test_impossible_architectures(settings: dict[str, int], fault: str) -> None:
    assert re.search(fault, LongNetSettings(**settings).fault())
