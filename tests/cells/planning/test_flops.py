"""Operations that can be counted by hand."""

from __future__ import annotations

import torch
from torch import nn

from cryostat.cells.heads import head_card, head_settings
from cryostat.cells.planning.flops import counted, head_flops, timm_flops, transformer_flops
from cryostat.encoders.registry import card


def flops(name: str, **geometry: int) -> int:
    return head_flops(head_card(name), head_settings(name, on_tiles=True), **geometry)


def test_a_1x1_convolution_is_two_operations_a_weight_and_pixel() -> None:
    with torch.device("meta"):
        convolution = nn.Conv2d(8, 3, 1)
        assert counted(lambda: convolution(torch.zeros(1, 8, 5, 7))) == 2 * 8 * 3 * 5 * 7


def test_a_linear_head_multiplies_every_token() -> None:
    assert flops("linear", width=384, grid=14, side=224, logits=6) == 2 * 384 * 6 * 14**2
    assert flops("cell-probe", width=384, grid=14, side=224, logits=6) == 2 * (2 * 384) * 6 * 14**2  # and the ring


def test_a_transformer_multiplies_every_parameter_with_every_token() -> None:
    uni = card("uni")
    assert transformer_flops(uni, 224) == 2 * 303_350_784 * (14 * 14 + 1)
    assert transformer_flops(uni, 448) == 2 * 303_350_784 * (28 * 28 + 1)


def test_another_class_costs_a_decoder_its_last_convolution() -> None:
    size = {"width": 384, "grid": 14, "side": 224}
    assert flops("unetr", **size, logits=7) - flops("unetr", **size, logits=6) == 2 * 64 * 224**2
    assert flops("dpt", **size, logits=7) - flops("dpt", **size, logits=6) == 2 * 384 * 224**2
    assert flops("dpt-lean", **size, logits=7) - flops("dpt-lean", **size, logits=6) == 2 * 256 * 224**2


def test_a_network_of_timm_is_counted_on_its_skeleton() -> None:
    # ResNet-18 is known for 1.8 thousand million multiplications at 224 px.
    assert 3.6e9 < timm_flops("resnet18", 224) < 3.7e9


def test_hovernext_is_counted_without_its_weights() -> None:
    settings = head_settings("hovernext", {"backbone": "convnextv2_atto", "weights": "nowhere.bin"})
    one = head_flops(head_card("hovernext"), settings, width=3, grid=7, side=224, logits=6)
    two = head_flops(head_card("hovernext"), settings, width=3, grid=7, side=224, logits=7)
    assert two - one == 2 * 16 * 224**2  # a 1×1 convolution of 16 channels to one more class
