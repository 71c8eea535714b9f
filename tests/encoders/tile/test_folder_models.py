from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import (
    DeiTConfig,
    Dinov2Config,
    Dinov2WithRegistersConfig,
    DINOv3ViTConfig,
    IJepaConfig,
    ViTConfig,
    ViTForImageClassification,
    ViTMSNConfig,
)

from cryostat.core.errors import CryostatError, EncoderError
from cryostat.encoders.registry import card, load_encoder
from cryostat.encoders.tile.selftest import check

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "image_size": 48,
    "patch_size": 8,
}
CONFIGS = {
    "vit": ViTConfig(**SMALL),
    "deit": DeiTConfig(**SMALL),
    "vit_msn": ViTMSNConfig(**SMALL),
    "ijepa": IJepaConfig(**SMALL),
    "dinov2": Dinov2Config(**SMALL, mlp_ratio=2),
    "dinov2_with_registers": Dinov2WithRegistersConfig(**SMALL, mlp_ratio=2, num_register_tokens=3),
    "dinov3_vit": DINOv3ViTConfig(**SMALL, num_register_tokens=2),
}
PREFIX = {
    "vit": 1,
    "deit": 2,
    "vit_msn": 1,
    "ijepa": 0,
    "dinov2": 1,
    "dinov2_with_registers": 4,
    "dinov3_vit": 3,
}


def saved(folder: Path, kind: str) -> Any:
    torch.manual_seed(0)
    model = transformers.AutoModel.from_config(CONFIGS[kind]).eval()
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("kind", CONFIGS)
def test_tokens_are_those_of_transformers(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "My Model"
    model = saved(folder, kind)
    encoder = load_encoder(str(folder), device="cpu")
    assert encoder.card.name == "hf:my-model"
    assert (encoder.card.prefix_tokens, encoder.card.depth, encoder.card.grid) == (PREFIX[kind], 3, 6)
    images = torch.rand(2, 3, 48, 48)
    found = encoder.encode(images, ("block-2", "final"))
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (encoder.card.mean, encoder.card.std))
    with torch.no_grad():
        told = model(pixel_values=(images - mean) / std, output_hidden_states=True)
    for layer, states in (("block-2", told.hidden_states[2]), ("final", told.last_hidden_state)):
        expected = states[:, PREFIX[kind] :].unflatten(1, (6, 6))
        torch.testing.assert_close(found[layer], expected, atol=1e-5, rtol=1e-4)
    assert encoder.encode(torch.rand(1, 3, 64, 64))["final"].shape == (1, 8, 8, 16)


def test_a_folder_passes_the_check(tmp_path: Path) -> None:
    saved(tmp_path / "vit", "dinov2")
    assert check(load_encoder(str(tmp_path / "vit"), device="cpu"), batch=1, seconds=0).passed


def test_a_classifier_is_passed_over_and_its_normalisation_kept(tmp_path: Path) -> None:
    ViTForImageClassification(CONFIGS["vit"]).save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.2, 0.2, 0.2]}')
    encoder = load_encoder(str(tmp_path), device="cpu")
    assert encoder.card.mean == (0.5, 0.5, 0.5)
    assert encoder.card.std == (0.2, 0.2, 0.2)
    assert encoder.card.notes == ()
    assert not any(p.requires_grad for p in encoder.module.parameters())


def test_the_identity_follows_weights_and_configuration_but_not_the_release(tmp_path: Path) -> None:
    saved(tmp_path / "vit", "vit")
    (tmp_path / "b").mkdir()
    copy = Path(shutil.copytree(tmp_path / "vit", tmp_path / "b" / "vit"))
    first = load_encoder(str(tmp_path / "vit")).identity()
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"transformers_version": "0"}))
    assert load_encoder(str(copy)).identity() == first
    (copy / "config.json").write_text(json.dumps(config | {"hidden_act": "relu"}))
    assert load_encoder(str(copy)).identity()["transformers"] != first["transformers"]
    tensors = load_file(copy / "model.safetensors")
    other = tmp_path / "other.safetensors"
    save_file({name: tensor + 1 for name, tensor in tensors.items()}, other)
    assert load_encoder(str(copy), weights=other).identity()["weights"] != first["weights"]
    assert load_encoder(str(copy), weights="random", seed=4).card.name == "hf:vit@random4"


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"model_type": "bert"}, "type 'bert', which is not known here.*encoders template"),
        ({"model_type": "theirs", "auto_map": {"AutoModel": "x.Y"}}, "code of its own, which is never run"),
        ({"model_type": "vit", "image_size": 50, "patch_size": 16}, "not a positive multiple of patch_size"),
        ({"model_type": "vit", "image_size": [48, 64]}, "input_size = .* is not int"),
        ({"model_type": "vit"}, "holds none of model.safetensors"),
        ([], "does not say its model_type"),
    ],
)
def test_folders_that_are_wrong(tmp_path: Path, config: object, problem: str) -> None:
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(CryostatError, match=problem):
        load_encoder(str(tmp_path))


def test_weights_that_lack_a_tensor(tmp_path: Path) -> None:
    saved(tmp_path, "dinov2")
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["embeddings.cls_token"]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(EncoderError, match=r"1 missing \(embeddings.cls_token\)"):
        load_encoder(str(tmp_path))


def test_no_weights_are_needed_for_the_card(tmp_path: Path) -> None:
    saved(tmp_path, "vit")
    (tmp_path / "model.safetensors").unlink()
    facts = card(str(tmp_path))
    assert facts.width == 16
    assert "ImageNet's normalisation is assumed" in facts.notes[0]
