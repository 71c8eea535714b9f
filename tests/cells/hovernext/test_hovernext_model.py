"""The network: size, shapes, what is dropped, and weights from files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import DropPath

from cryostat.cells.hovernext.model import HoverNeXt, pad_to_stride
from cryostat.core.errors import EncoderError, InputError, SettingError

LARGE = "convnextv2_large"


def parameters(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def convolution(channels: int, outputs: int, side: int = 3) -> int:
    return side * side * channels * outputs + outputs


def block(below: int, skip: int, width: int) -> int:
    return convolution(below + skip, width) + convolution(width, width)


def decoder(widths: tuple[int, int, int, int], outputs: int) -> int:
    """Five blocks, the last two without skip, and a 1×1 convolution."""
    s4, s8, s16, s32 = widths
    blocks = block(s32, s16, 256) + block(256, s8, 128) + block(128, s4, 64) + block(64, 0, 32) + block(32, 0, 16)
    return blocks + convolution(16, outputs, 1)


def backbone(name: str, width: int) -> int:
    """timm's count without the classifier and the normalisation in front of it (a weight and a bias a channel)."""
    return parameters(timm.create_model(name, num_classes=0)) - 2 * width


@pytest.fixture(scope="module")
def atto() -> HoverNeXt:
    return HoverNeXt(6, backbone="convnextv2_atto", instances=True).eval()


def test_the_paper_s_network_has_the_parameters_of_its_parts() -> None:
    widths = (192, 384, 768, 1536)
    with torch.device("meta"):
        model = HoverNeXt(15, backbone=f"{LARGE}.fcmae_ft_in22k_in1k")
        both = HoverNeXt(15, backbone=LARGE, instances=True)
        encoder = backbone(LARGE, 1536)
    assert encoder == 196_416_768
    assert decoder(widths, 15) == 7_039_967
    assert parameters(model) == 196_416_768 + 7_039_967
    assert parameters(both) - parameters(model) == decoder(widths, 5) == 7_039_797


@pytest.mark.parametrize(("height", "width"), [(64, 64), (50, 70), (5, 33)])
def test_maps_have_the_size_of_the_image(atto: HoverNeXt, height: int, width: int) -> None:
    image = torch.rand(2, 3, height, width)
    with torch.no_grad():
        maps = atto.forward_all(image)
        assert torch.equal(atto(image), maps.classes)
    assert maps.vectors is not None
    assert maps.parts is not None
    assert maps.classes.shape == (2, 6, height, width)
    assert maps.vectors.shape == (2, 2, height, width)
    assert maps.parts.shape == (2, 3, height, width)


def test_without_instances_there_are_classes_alone() -> None:
    model = HoverNeXt(3, backbone="convnextv2_atto").eval()
    with torch.no_grad():
        classes, vectors, parts = model.forward_all(torch.rand(1, 3, 32, 32))
    assert classes.shape == (1, 3, 32, 32)
    assert vectors is None
    assert parts is None


def test_padding_mirrors_or_where_the_image_is_too_small_repeats() -> None:
    row = torch.arange(30.0).reshape(1, 1, 1, 30)
    assert pad_to_stride(row)[0, 0, 31, 28:].tolist() == [28, 29, 29, 29]
    square = row.expand(1, 1, 31, 30)
    assert pad_to_stride(square)[0, 0, 31, 28:].tolist() == [28, 29, 28, 27]
    assert pad_to_stride(square).shape == (1, 1, 32, 32)
    fits = torch.rand(1, 3, 32, 64)
    assert pad_to_stride(fits) is fits


def test_every_parameter_learns() -> None:
    model = HoverNeXt(4, backbone="convnextv2_atto", instances=True, drop_path=0)
    maps = model.forward_all(torch.rand(2, 3, 64, 64))
    sum(m.square().mean() for m in maps if m is not None).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.requires_grad] == []


def test_drop_path_grows_to_its_rate_and_drop_reaches_the_encoder_without_effect() -> None:
    model = HoverNeXt(4, backbone="convnextv2_atto", drop=0.4, drop_path=0.22)
    rates = [m.drop_prob for m in model.encoder.modules() if isinstance(m, DropPath)]
    assert rates == pytest.approx([0.02 * i for i in range(1, 12)])  # 12 blocks, the first of rate 0
    assert model.encoder.drop_rate == 0.4
    assert model.training
    still = HoverNeXt(4, backbone="convnextv2_atto", drop=0.9, drop_path=0)
    image = torch.rand(1, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(still(image), still(image))
        assert not torch.equal(model(image), model(image))


@pytest.mark.parametrize("classifier", [True, False])
def test_weights_of_the_backbone_come_from_a_file(tmp_path: Path, classifier: bool) -> None:
    source = timm.create_model("convnextv2_atto", num_classes=10 if classifier else 0)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    torch.save(source.state_dict(), tmp_path / "w.pth")
    for name in ("w.safetensors", "w.pth"):
        model = HoverNeXt(2, backbone="convnextv2_atto", weights=tmp_path / name)
        state = model.encoder.state_dict()
        assert all(torch.equal(value, source.state_dict()[key]) for key, value in state.items())
        assert set(source.state_dict()) - set(state) <= {
            "head.norm.weight",
            "head.norm.bias",
            "head.fc.weight",
            "head.fc.bias",
        }


def test_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    save_file(timm.create_model("convnextv2_femto").state_dict(), tmp_path / "femto.safetensors")
    (tmp_path / "noise.pth").write_bytes(b"noise")
    with pytest.raises(EncoderError, match="do not fit"):
        HoverNeXt(2, backbone="convnextv2_atto", weights=tmp_path / "femto.safetensors")
    with pytest.raises(EncoderError, match=r"damaged|plain tensors"):
        HoverNeXt(2, backbone="convnextv2_atto", weights=tmp_path / "noise.pth")
    with pytest.raises(InputError, match="does not exist"):
        HoverNeXt(2, backbone="convnextv2_atto", weights=tmp_path / "none.pth")


@pytest.mark.parametrize(
    "name", ["convnext_of_my_own", "resnet18", "vit_tiny_patch16_224", "convnextv2_atto+stage2", "convnextv2_atto.mine"]
)
def test_other_backbones_are_refused_naming_some_that_work(name: str) -> None:
    with pytest.raises(SettingError, match="convnextv2_tiny"):
        HoverNeXt(2, backbone=name)


@pytest.mark.parametrize("wrong", [{"logits": 0}, {"logits": 2, "drop": 1.0}, {"logits": 2, "drop_path": -0.1}])
def test_impossible_numbers_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(SettingError):
        HoverNeXt(**wrong)
