from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from cryostat.core.errors import EncoderError
from cryostat.encoders.catalogue import Recipe, read_recipe, shipped
from cryostat.encoders.loading import Order
from cryostat.encoders.registry import card, load_encoder, names
from cryostat.encoders.tile.hf_models import MODEL, timm_arguments
from cryostat.encoders.tile.timm_models import build, derive_card, load
from cryostat.encoders.weights import weights_sha256

RECIPES = {name: read_recipe(path) for name, path in shipped().items()}
BUILT = [name for name, recipe in RECIPES.items() if recipe.way in ("timm", "hf")]
BLOCKS = [name for name in BUILT if RECIPES[name].card.depth]

PUBLISHED = {
    "prov-gigapath": 1_134_953_984,
    "uni": 303_350_784,
    "uni2-h": 681_394_176,
    "virchow": 631_229_184,
    "virchow2": 631_239_424,
    "h-optimus-0": 1_134_774_272,
    "h-optimus-1": 1_134_774_272,
    "h0-mini": 85_739_520,
    "phikon": 85_798_656,
    "kaiko-vits16": 21_665_664,
    "dinov2-small": 22_056_192,
    "dinov2-base": 86_579_712,
    "dinov2-large": 304_367_616,
    "dinov2-giant": 1_136_479_232,
    "resnet50-imagenet": 23_508_032,
}
"""Parameter counts, exact or as given in millions, of repositories and papers."""

TENSORS = {"prov-gigapath": 566, "uni2-h": 343, "virchow2": 455, "h-optimus-0": 567}
"""Tensors in published files."""

KNOWN = {
    "uni": ("cls_token", "pos_embed", "blocks.0.attn.qkv.weight", "blocks.23.ls2.gamma", "norm.weight"),
    "uni2-h": ("reg_token", "blocks.23.mlp.fc1.weight"),
    "virchow2": ("reg_token", "blocks.31.mlp.fc2.bias"),
    "virchow": ("blocks.31.ls1.gamma",),
    "prov-gigapath": ("patch_embed.proj.weight", "blocks.39.attn.proj.bias"),
    "h-optimus-0": ("reg_token", "blocks.39.ls1.gamma"),
    "h0-mini": ("reg_token", "blocks.11.mlp.fc1.weight"),
    "dinov3-small": ("reg_token", "blocks.0.gamma_1"),
    "resnet50-imagenet": ("conv1.weight", "layer3.5.conv3.weight", "layer4.2.bn3.running_var"),
    "lunit-dino-s8": ("blocks.11.norm2.bias",),
}
"""Names of tensors in published files."""

SHAPES = {
    ("uni2-h", "pos_embed"): (1, 256, 1536),
    ("h-optimus-0", "pos_embed"): (1, 256, 1536),
    ("uni2-h", "reg_token"): (1, 8, 1536),
    ("prov-gigapath", "blocks.0.mlp.fc1.weight"): (8192, 1536),
    ("virchow2", "blocks.0.mlp.fc1.weight"): (6832, 1280),
    ("kaiko-vitl14", "pos_embed"): (1, 1369, 1024),
}


def construction(recipe: Recipe) -> tuple[str, dict[str, Any]]:
    """timm's model and arguments."""
    if recipe.timm:
        return recipe.timm["model"], dict(recipe.timm.get("args", {}))
    settings = recipe.settings
    return MODEL, timm_arguments(settings["model_type"], settings["config"], where=recipe.card.name)


@pytest.fixture(scope="module")
def skeletons() -> dict[str, Any]:
    """The networks of the cards, without memory; equal ones are built once."""
    built: dict[str, Any] = {}
    wanted = {name: construction(RECIPES[name]) for name in BUILT}
    with torch.device("meta"):
        for model, arguments in wanted.values():
            key = f"{model}{arguments}"
            built[key] = built.get(key) or build(model, arguments, where=model)
    return {name: built[f"{model}{arguments}"] for name, (model, arguments) in wanted.items()}


def test_all_encoders_that_users_expect_are_there() -> None:
    wanted = {f"kaiko-vit{size}" for size in ("s16", "s8", "b16", "b8", "l14")}
    wanted |= {f"dinov2-{size}{r}" for size in ("small", "base", "large", "giant") for r in ("", "-reg")}
    wanted |= {"phikon", "phikon-v2", "midnight", "gpfm", "hibou-b", "hibou-l", "lunit-dino-s16", "lunit-dino-s8"}
    wanted |= {"dinov3-small", "dinov3-base", "dinov3-large", "vit-b16-imagenet", *PUBLISHED}
    assert wanted <= set(names())


def test_counts_are_the_published_ones(skeletons: dict[str, Any]) -> None:
    for name, model in skeletons.items():
        assert sum(p.numel() for p in model.parameters()) == RECIPES[name].card.parameters, name
    assert {name: RECIPES[name].card.parameters for name in PUBLISHED} == PUBLISHED
    assert {name: len(skeletons[name].state_dict()) for name in TENSORS} == TENSORS


def test_networks_are_what_the_cards_say(skeletons: dict[str, Any]) -> None:
    for name in BLOCKS:
        model, facts = skeletons[name], RECIPES[name].card
        found = (model.embed_dim, len(model.blocks), model.num_prefix_tokens, model.patch_embed.patch_size[0])
        assert found == (facts.width, facts.depth, facts.prefix_tokens, facts.patch_size), name
        assert model.dynamic_img_size == facts.flexible_size, name


def test_the_convolutional_one_is_read_after_its_third_block() -> None:
    facts, derived = card("resnet50-imagenet"), derive_card("resnet50+stage4")
    assert (facts.patch_size, facts.width, facts.depth) == (16, 1024, 0)
    assert (derived.patch_size, derived.width, derived.depth) == (16, 1024, 0)


def test_names_of_tensors_are_the_published_ones(skeletons: dict[str, Any]) -> None:
    for name, wanted in KNOWN.items():
        assert set(wanted) <= set(skeletons[name].state_dict()), name
    for (name, tensor), shape in SHAPES.items():
        assert tuple(skeletons[name].state_dict()[tensor].shape) == shape, (name, tensor)


SHRUNK = {"embed_dim": 48, "depth": 2, "num_heads": 3}


ONE_OF_EACH_KIND = ("uni", "uni2-h", "virchow2", "prov-gigapath", "h0-mini", "gpfm", "kaiko-vitl14", "dinov3-small")


@pytest.mark.parametrize("name", ONE_OF_EACH_KIND)
def test_shrunken_models_load_strictly_from_a_file_and_give_their_grid(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]
    settings = {**recipe.settings, "args": {**recipe.settings.get("args", {}), **SHRUNK}, "weights": None}
    small = replace(recipe.card, width=48, depth=2, parameters=None, precision="fp32")
    source = build(settings["model"], settings["args"], where=name)
    save_file(source.state_dict(), tmp_path / "model.safetensors")
    order = Order(weights=str(tmp_path / "model.safetensors"))
    encoder = load(Recipe(small, "timm", settings), order)
    side = 4 * small.patch_size
    assert encoder.encode(torch.rand(1, 3, side, side), ("block-1", "final"))["final"].shape == (1, 4, 4, 48)
    assert encoder.weights_hash() == weights_sha256(source)
    state = dict(source.state_dict())
    state["blocks.0.wings"] = state.pop("blocks.1.norm2.weight")
    save_file(state, tmp_path / "model.safetensors")
    with pytest.raises(EncoderError, match=r"1 missing \(blocks.1.norm2.weight\); 1 unexpected \(blocks.0.wings\)"):
        load(Recipe(small, "timm", settings), order)


@pytest.mark.parametrize("name", [n for n, recipe in RECIPES.items() if recipe.builtin])
def test_built_in_encoders_bear_their_cards(name: str) -> None:
    assert load_encoder(name).card == RECIPES[name].card


@pytest.mark.parametrize("name", BUILT)
def test_cards_are_complete(name: str) -> None:
    facts = RECIPES[name].card
    assert facts.licence
    assert facts.training_data
    assert facts.trained_on
    assert facts.citation
    assert facts.access in ("open", "gated")
    if name != "random-vit":
        assert facts.hub_id
        assert facts.revision is None or re.fullmatch("[0-9a-f]{40}", facts.revision)
        assert (facts.revision is None) == any("not pinned" in note for note in facts.notes)


@pytest.mark.parametrize(("name", "side"), [("virchow2", 16), ("uni", 14), ("dinov2-base", 37), ("dinov3-base", 16)])
def test_grids(name: str, side: int) -> None:
    assert card(name).grid == side


@pytest.mark.parametrize(
    ("name", "mean"), [("h0-mini", 0.707223), ("midnight", 0.5), ("uni", 0.485), ("hibou-l", 0.7068)]
)
def test_normalisation(name: str, mean: float) -> None:
    assert card(name).mean[0] == mean
