from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from cryostat.core.errors import EncoderError
from cryostat.encoders.registry import load_encoder
from cryostat.encoders.tile.renaming import from_dinov2, from_hf
from cryostat.encoders.tile.timm_models import build_random

CARD = """
[card]
name = "mine"
title = "Mine"
architecture = "ViT"
input_size = 56
patch_size = 14
width = 48
depth = 2
prefix_tokens = {prefix}
flexible_size = true
[timm]
model = "vit_small_patch14{registers}_dinov2"
names = "{names}"
args = {{ img_size = 56, embed_dim = 48, depth = 2, num_heads = 3 }}
"""


def card(folder: Path, *, registers: bool = False, names: str = "dinov2") -> str:
    text = CARD.format(prefix=5 if registers else 1, registers="_reg4" if registers else "", names=names)
    (folder / "mine.toml").write_text(text)
    return str(folder / "mine.toml")


def network(*, registers: bool) -> dict[str, Tensor]:
    name = "vit_small_patch14_reg4_dinov2" if registers else "vit_small_patch14_dinov2"
    sizes = {"img_size": 56, "embed_dim": 48, "depth": 2, "num_heads": 3}
    return dict(build_random(name, sizes, 4, where="test").state_dict())


def test_names_of_transformers() -> None:
    one = torch.ones(4, 4)
    found = from_hf(
        {
            "embeddings.cls_token": torch.zeros(1, 1, 4),
            "encoder.layer.0.attention.attention.query.weight": one,
            "encoder.layer.0.attention.attention.key.weight": 2 * one,
            "encoder.layer.0.attention.attention.value.weight": 3 * one,
            "encoder.layer.0.attention.output.dense.bias": torch.zeros(4),
            "encoder.layer.11.layer_scale2.lambda1": torch.zeros(4),
            "encoder.layer.3.mlp.weights_in.weight": one,
            "encoder.layer.3.intermediate.dense.weight": one,
            "layernorm.bias": torch.zeros(4),
            "pooler.dense.bias": torch.zeros(4),
            "surprise": torch.zeros(1),
        }
    )
    assert set(found) == {
        "cls_token",
        "blocks.0.attn.qkv.weight",
        "blocks.0.attn.proj.bias",
        "blocks.11.ls2.gamma",
        "blocks.3.mlp.fc1.weight",
        "norm.bias",
        "surprise",
    }
    assert found["blocks.0.attn.qkv.weight"][:, 0].tolist() == [1.0] * 4 + [2.0] * 4 + [3.0] * 4


def test_pieces_that_do_not_make_a_layer_keep_their_names() -> None:
    name = "encoder.layer.0.attention.attention.query.weight"
    assert set(from_hf({name: torch.ones(4, 4)})) == {name}
    uneven = {name: torch.ones(4, 4), name.replace("query", "key"): torch.ones(3, 4)}
    assert set(from_hf(uneven | {name.replace("query", "value"): torch.ones(4, 4)})) == {
        name.replace("query", part) for part in ("query", "key", "value")
    }


def test_teachers_of_dinov2_load_with_heads_and_chunks(tmp_path: Path) -> None:
    state = network(registers=False)
    teacher = {f"backbone.{k.replace('blocks.', 'blocks.0.')}": v for k, v in state.items()}
    teacher |= {"backbone.mask_token": torch.zeros(1, 48), "dino_head.mlp.0.weight": torch.zeros(2, 2)}
    torch.save({"teacher": teacher}, tmp_path / "teacher.pth")
    encoder = load_encoder(card(tmp_path), weights=tmp_path / "teacher.pth")
    for name, tensor in encoder.module.state_dict().items():
        assert torch.equal(tensor, state[name]), name
    assert "'backbone.' was taken off" in encoder.card.notes[-1]


def test_registers_of_dinov2_have_no_position_and_the_class_token_has_its_own(tmp_path: Path) -> None:
    state = network(registers=True)
    position = torch.full((1, 1, 48), 0.25)
    theirs = {k: v for k, v in state.items() if k != "reg_token"}
    theirs |= {
        "register_tokens": state["reg_token"],
        "cls_token": state["cls_token"] - position,
        "pos_embed": torch.cat((position, state["pos_embed"]), 1),
    }
    save_file(theirs, tmp_path / "dinov2.safetensors")
    save_file(state, tmp_path / "timm.safetensors")
    path = card(tmp_path, registers=True)
    theirs_loaded, ours = (load_encoder(path, weights=tmp_path / f"{n}.safetensors") for n in ("dinov2", "timm"))
    images = torch.rand(1, 3, 56, 56)
    assert torch.allclose(theirs_loaded.encode(images)["final"], ours.encode(images)["final"], atol=1e-6)


def test_swiglu_of_dinov2() -> None:
    found = from_dinov2(
        {"cls_token": torch.zeros(1), "blocks.7.mlp.w12.weight": torch.zeros(1), "blocks.7.mlp.w3.bias": torch.zeros(1)}
    )
    assert set(found) == {"cls_token", "blocks.7.mlp.fc1.weight", "blocks.7.mlp.fc2.bias"}


def test_an_unknown_way_of_naming_is_refused(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match="names = 'jax' is no way of naming"):
        load_encoder(card(tmp_path, names="jax"), weights="random")
