"""Encoders that learn: what may change does, what must not does not, and the original never."""

from __future__ import annotations

import importlib.util

import pytest
import torch
from torch import Tensor

from cryostat.core.errors import MissingExtraError, SettingError
from cryostat.encoders.registry import load_encoder
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.tuning import base_hash, learnt, tuned


def image(size: int = 160) -> Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(0))


IMAGE = image()


@pytest.fixture(scope="module")
def original() -> TileEncoder:
    return load_encoder("test_vit", device="cpu")


def step(encoder: TileEncoder) -> None:
    """Two steps: the first moves only one side of an adapter, for the other begins at zero."""
    optimiser = torch.optim.SGD(learnt(encoder).values(), lr=1.0)
    for _ in range(2):
        optimiser.zero_grad()
        maps = encoder.encode_with_gradients(image(encoder.card.input_size), ("block-3", "final"))
        sum(m.square().mean() for m in maps.values()).backward()
        optimiser.step()


@pytest.mark.parametrize("rank", [0, 4])
def test_a_copy_begins_as_the_original_and_alone_learns(original: TileEncoder, rank: int) -> None:
    before, weights = original.encode(IMAGE)["final"], original.weights_hash()
    copy = tuned(original, lora=rank)
    assert torch.equal(copy.encode(IMAGE)["final"], before)
    step(copy)
    assert (copy.encode(IMAGE)["final"] - before).abs().max() > 1e-4
    assert torch.equal(original.encode(IMAGE)["final"], before)
    assert original.weights_hash() == weights
    assert learnt(original) == {}


@pytest.mark.parametrize("rank", [0, 4])
def test_every_parameter_that_learns_gets_a_gradient(original: TileEncoder, rank: int) -> None:
    copy = tuned(original, lora=rank)
    step(copy)
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for n, p in learnt(copy).items() if "k_norm" not in n)
    assert not any(p.grad is not None for p in copy.module.parameters() if not p.requires_grad)


def test_encode_keeps_no_gradients_and_repeats_itself(original: TileEncoder) -> None:
    copy = tuned(original)
    assert not copy.encode(IMAGE)["final"].requires_grad
    assert copy.encode_with_gradients(IMAGE)["final"].requires_grad
    assert not original.encode_with_gradients(IMAGE)["final"].requires_grad
    assert not any(m.training for m in copy.module.modules())


def test_a_pass_without_gradients_leaves_those_of_the_next_alone(original: TileEncoder) -> None:
    copy = tuned(original)
    copy.precision = "bf16"
    with torch.autocast("cpu", torch.bfloat16):
        copy.encode(IMAGE)
        copy.encode_with_gradients(IMAGE)["final"].square().mean().backward()
    assert all(p.grad is not None for p in learnt(copy).values())


def test_whole_tuning_learns_all_and_shows_in_the_hash(original: TileEncoder) -> None:
    copy = tuned(original)
    assert list(learnt(copy)) == [n for n, _ in original.module.named_parameters()]
    assert base_hash(copy) == original.weights_hash()
    step(copy)
    assert base_hash(copy) != original.weights_hash()


def test_adapters_learn_beside_weights_that_stay(original: TileEncoder) -> None:
    copy = tuned(original, lora=4)
    depth, width = original.card.depth, original.card.width
    layers = {name.split(".lora_")[0] for name in learnt(copy)}
    assert layers == {f"blocks.{i}.attn.{part}" for i in range(depth) for part in ("qkv", "proj")}
    # Rank × (inputs + outputs) for each of the two layers of a block.
    assert sum(p.numel() for p in learnt(copy).values()) == depth * 4 * (width + 3 * width + width + width)
    adapted = copy.module.get_submodule("blocks.0.attn.qkv")
    assert adapted.scaling == {"default": 2.0}
    before = copy.weights_hash()
    step(copy)
    assert base_hash(copy) == original.weights_hash()
    assert copy.weights_hash() != before


def test_the_identity_follows_the_weights(original: TileEncoder) -> None:
    whole, low_rank = tuned(original), tuned(original, lora=2)
    assert whole.identity() != original.identity()
    assert low_rank.identity()["tuned"] == "lora-2"
    before = whole.identity()
    step(whole)
    assert whole.identity() != before


@pytest.mark.parametrize("rank", [0, 4])
def test_a_state_makes_the_same_encoder_again(original: TileEncoder, rank: int) -> None:
    copy = tuned(original, lora=rank)
    step(copy)
    again = tuned(original, lora=rank, seed=9)
    again.module.load_state_dict(copy.module.state_dict())
    assert torch.equal(again.encode(IMAGE)["final"], copy.encode(IMAGE)["final"])
    assert again.weights_hash() == copy.weights_hash()


def test_seeds_decide_adapters_and_global_randomness_is_left_alone(original: TileEncoder) -> None:
    before = torch.get_rng_state()
    first, again, other = (tuned(original, lora=2, seed=s).weights_hash() for s in (0, 0, 1))
    assert first == again != other
    assert torch.equal(torch.get_rng_state(), before)


def test_without_attention_all_linear_layers_are_adapted() -> None:
    copy = tuned(load_encoder("test_convnext", device="cpu"), lora=2)
    layers = {name.split(".lora_")[0].rsplit(".", 1)[1] for name in learnt(copy)}
    assert layers == {"fc1", "fc2"}


def test_layers_whose_weight_is_read_past_them_get_no_adapter() -> None:
    """EVA multiplies by the weight of `qkv` itself, so an adapter there would do nothing."""
    copy = tuned(load_encoder("eva02_tiny_patch14_224", device="cpu"), lora=1)
    assert {name.split(".lora_")[0].split(".", 2)[2] for name in learnt(copy)} == {"attn.proj"}
    step(copy)
    assert all(p.grad is not None for p in learnt(copy).values())


@pytest.mark.parametrize("name", ["stain-filters", "rcf", "none"])
def test_filters_cannot_learn(name: str) -> None:
    with pytest.raises(SettingError, match=rf"{name} has no trained parameters.*live or cached"):
        tuned(load_encoder(name, device="cpu"))


def test_impossible_adapters() -> None:
    with pytest.raises(SettingError, match=r"no linear layers.*rank 0"):
        tuned(load_encoder("resnet18", device="cpu"), lora=2)
    with pytest.raises(SettingError, match="rank -1"):
        tuned(load_encoder("test_vit", device="cpu"), lora=-1)


def test_peft_missing_is_told(original: TileEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name == "peft" else find(name, *a))
    with pytest.raises(MissingExtraError, match=r"cryostat\[training\]"):
        tuned(original, lora=2)
