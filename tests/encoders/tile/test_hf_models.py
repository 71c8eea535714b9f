from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from cryostat.core.errors import EncoderError
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.catalogue import Recipe, read_recipe, shipped
from cryostat.encoders.loading import Order
from cryostat.encoders.tile.hf_models import MODEL, load, timm_arguments, with_positions
from cryostat.encoders.tile.timm_models import TimmEncoder, build

transformers = pytest.importorskip("transformers")

SHRUNK = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 3, "patch_size": 4, "image_size": 32}
FAMILIES: dict[str, dict[str, Any]] = {
    "vit": {"intermediate_size": 96, "layer_norm_eps": 1e-6},
    "dinov2": {},
    "dinov2-swiglu": {"use_swiglu_ffn": True},
    "dinov2_with_registers": {"num_register_tokens": 4},
    "dinov2_with_registers-swiglu": {"num_register_tokens": 4, "use_swiglu_ffn": True},
}
IMAGES = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(3))


def reference(family: str, **changes: Any) -> Any:
    """A small model of transformers with random weights, all parts of which matter."""
    kind = family.partition("-")[0]
    config = transformers.AutoConfig.for_model(kind, **{**SHRUNK, **FAMILIES[family], **changes})
    torch.manual_seed(1)
    model = transformers.AutoModel.from_config(config).eval()
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    return model


def published(model: Any, folder: Path) -> Path:
    """Its file, in the names in which models are published."""
    model.save_pretrained(folder)
    return folder / "model.safetensors"


def recipe(family: str, **changes: Any) -> Recipe:
    kind = family.partition("-")[0]
    registers = FAMILIES[family].get("num_register_tokens", 0)
    card = EncoderCard(
        "tiny", "Tiny", "ViT", 32, 4, 48, 3, prefix_tokens=1 + registers, mean=(0.4, 0.5, 0.6), flexible_size=True
    )
    return Recipe(card, "hf", {"model_type": kind, "config": {**SHRUNK, **FAMILIES[family], **changes}})


def tiny(family: str, file: Path) -> TimmEncoder:
    return load(recipe(family), Order(weights=str(file)))


@pytest.mark.parametrize("family", FAMILIES)
def test_outputs_are_those_of_transformers(family: str, tmp_path: Path) -> None:
    model = reference(family)
    encoder = tiny(family, published(model, tmp_path))
    prefix = encoder.card.prefix_tokens
    normalised = (IMAGES - torch.tensor(encoder.card.mean).view(3, 1, 1)) / torch.tensor(encoder.card.std).view(3, 1, 1)
    with torch.no_grad():
        wanted = model(normalised, output_hidden_states=True)
    found = encoder.encode(IMAGES, ("block-1", "block-3", "final"))
    for layer, tokens in (
        ("block-1", wanted.hidden_states[1]),
        ("block-3", wanted.hidden_states[3]),
        ("final", wanted.last_hidden_state),
    ):
        assert torch.allclose(found[layer].flatten(1, 2), tokens[:, prefix:], atol=2e-5), layer
    assert not torch.allclose(found["block-3"], found["final"], atol=1e-2)


@pytest.mark.parametrize("family", ["dinov2", "dinov2_with_registers"])
def test_position_tables_of_another_size_are_resized_as_transformers_does(family: str, tmp_path: Path) -> None:
    model = reference(family, image_size=60)
    encoder = tiny(family, published(model, tmp_path))
    normalised = (IMAGES - torch.tensor(encoder.card.mean).view(3, 1, 1)) / torch.tensor(encoder.card.std).view(3, 1, 1)
    with torch.no_grad():
        wanted = model(normalised).last_hidden_state[:, encoder.card.prefix_tokens :]
    assert torch.allclose(encoder.encode(IMAGES)["final"].flatten(1, 2), wanted, atol=2e-5)


def test_tables_that_are_no_grid_are_left_for_the_check_of_shapes() -> None:
    odd = {"pos_embed": torch.zeros(1, 1 + 7, 48)}
    assert with_positions(odd, 8) is odd
    assert with_positions({"other": torch.zeros(3)}, 8)["other"].shape == (3,)


def test_identity_is_that_of_a_timm_model(tmp_path: Path) -> None:
    file = published(reference("dinov2"), tmp_path)
    first, again = tiny("dinov2", file), tiny("dinov2", file)
    assert first.identity() == again.identity()
    assert first.identity()["timm"]["model"] == MODEL
    assert len(first.identity()["weights"]) == 64
    bare = load(recipe("dinov2"), Order(weights="random"))
    assert bare.card.name == "tiny@random0"
    assert bare.identity()["weights"] != first.identity()["weights"]


@pytest.mark.parametrize("prefix", ["vit.", "module."])
def test_prefixes_are_cured_and_told(prefix: str, tmp_path: Path) -> None:
    tensors = load_file(published(reference("vit"), tmp_path))
    wrapped = {f"{prefix}{name}": tensor for name, tensor in tensors.items()} | {
        "classifier.weight": torch.zeros(2, 48)
    }
    save_file(wrapped, tmp_path / "wrapped.safetensors")
    encoder = tiny("vit", tmp_path / "wrapped.safetensors")
    assert encoder.identity()["weights"] == tiny("vit", tmp_path / "model.safetensors").identity()["weights"]
    assert repr(prefix) in encoder.card.notes[-1]


def test_what_does_not_fit_is_named(tmp_path: Path) -> None:
    tensors = load_file(published(reference("dinov2"), tmp_path))
    del tensors["encoder.layer.1.attention.attention.key.weight"]
    tensors["encoder.layer.2.mlp.fc1.bias"] = torch.zeros(5)
    tensors["neck.weight"] = torch.zeros(1)
    save_file(tensors, tmp_path / "broken.safetensors")
    with pytest.raises(EncoderError) as caught:
        tiny("dinov2", tmp_path / "broken.safetensors")
    text = str(caught.value)
    assert "1 missing (blocks.1.attn.qkv.weight)" in text
    assert "3 unexpected" in text
    assert "encoder.layer.1.attention.attention.query.weight" in text
    assert "blocks.2.mlp.fc1.bias is (5,) not (192,)" in text


@pytest.mark.parametrize(
    ("family", "changes", "problem"),
    [
        ("clip", {}, "'clip' is not a vision transformer"),
        ("vit", {"hidden_act": "gelu_new"}, "activation 'gelu_new'"),
        ("dinov2", {"hidden_size": None}, "lacks hidden_size"),
    ],
)
def test_configurations_that_cannot_be_built(family: str, changes: dict[str, Any], problem: str) -> None:
    config = {k: v for k, v in {**SHRUNK, **changes}.items() if v is not None}
    with pytest.raises(EncoderError, match=problem):
        timm_arguments(family, config, where="config.json")


TENSORS_BEYOND = {"phikon": 0, "phikon-v2": 1024, "hibou-b": 2 * 768, "hibou-l": 2 * 1024, "midnight": 1536}
"""Numbers in a published model that no patch token depends on: mask tokens, class positions joined to class tokens."""

PUBLISHED = {"phikon-v2": 303_351_808, "hibou-b": 85_741_056, "hibou-l": 303_659_264}


@pytest.mark.parametrize("name", TENSORS_BEYOND)
def test_cards_count_what_transformers_counts(name: str) -> None:
    found = read_recipe(shipped()[name])
    config = dict(found.settings["config"])
    kind = "dinov2_with_registers" if "num_register_tokens" in config else found.settings["model_type"]
    with torch.device("meta"):
        ours = build(MODEL, timm_arguments(kind, config, where=name), where=name)
        theirs = transformers.AutoModel.from_config(
            transformers.AutoConfig.for_model(kind, **config), **({"add_pooling_layer": False} if kind == "vit" else {})
        )
    counted = sum(p.numel() for p in theirs.parameters())
    assert counted == sum(p.numel() for p in ours.parameters()) + TENSORS_BEYOND[name]
    assert found.card.parameters == counted - TENSORS_BEYOND[name]
    assert counted == PUBLISHED.get(name, counted)
