from __future__ import annotations

import pytest
import torch

from cryostat.core.errors import EncoderError
from cryostat.encoders.registry import card, load_encoder
from cryostat.encoders.tile.timm_models import split_stage

IMAGE = torch.rand(2, 3, 160, 160, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", ["test_vit", "test_vit4"])
def test_final_map_is_the_patch_tokens_in_rows(name: str) -> None:
    encoder = load_encoder(name)
    facts = encoder.card
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (facts.mean, facts.std))
    tokens = encoder.module.forward_features((IMAGE - mean) / std)
    found = encoder.encode(IMAGE)["final"]
    for row, column in ((0, 0), (0, 3), (7, 2), (9, 9)):
        number = facts.prefix_tokens + row * facts.grid + column
        assert torch.allclose(found[:, row, column], tokens[:, number], atol=1e-5)


def test_blocks_are_the_outputs_of_the_blocks() -> None:
    encoder = load_encoder("test_vit")
    seen = {}
    for number, block in enumerate(encoder.module.blocks, 1):
        block.register_forward_hook(lambda _, __, out, n=number: seen.__setitem__(n, out))
    maps = encoder.encode(IMAGE, ("block-2", "block-5", "final"))
    for number in (2, 5):
        assert torch.equal(maps[f"block-{number}"].flatten(1, 2), seen[number][:, 1:])
    only = encoder.encode(IMAGE, ("block-5", "block-2"))
    assert list(only) == ["block-5", "block-2"]
    assert torch.equal(only["block-2"], maps["block-2"])


def test_other_sizes_than_the_native_one() -> None:
    encoder = load_encoder("test_vit")
    assert encoder.encode(torch.rand(1, 3, 224, 224))["final"].shape == (1, 14, 14, 64)
    with pytest.raises(EncoderError, match="multiple of 16"):
        encoder.encode(torch.rand(1, 3, 200, 200))


def test_stages_of_a_convolutional_network() -> None:
    facts = card("resnet18+stage3")
    assert (facts.patch_size, facts.width, facts.layers()) == (8, 128, ("final",))
    encoder = load_encoder("timm:resnet18+stage3")
    module = encoder.module
    images = torch.rand(1, 3, 64, 64)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (facts.mean, facts.std))
    stem = module.maxpool(module.act1(module.bn1(module.conv1((images - mean) / std))))
    wanted = module.layer2(module.layer1(stem))
    assert torch.allclose(encoder.encode(images)["final"], wanted.permute(0, 2, 3, 1), atol=1e-5)
    assert card("resnet18").patch_size == 32


def test_stage_names() -> None:
    assert split_stage("resnet18+stage3") == ("resnet18", 3)
    assert split_stage("vit_base.augreg") == ("vit_base.augreg", None)


def test_half_precision_is_part_of_the_identity() -> None:
    full, half = load_encoder("test_vit"), load_encoder("test_vit", precision="bf16")
    assert half.identity()["precision"] == "bf16"
    a, b = full.encode(IMAGE)["final"], half.encode(IMAGE)["final"]
    assert b.dtype == torch.float32
    assert 0 < float((a - b).norm() / a.norm()) < 0.05
