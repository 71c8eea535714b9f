"""The network of HoVer-NeXt: a ConvNeXt encoder with one or two U-Net decoders."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import timm
import torch
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.base.initialization import initialize_decoder, initialize_head
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from timm.models.convnext import ConvNeXt
from torch import Tensor, nn
from torch.nn import functional as F

from cryostat.core.errors import SettingError
from cryostat.encoders.tile.timm_models import build, is_timm_name, split_stage
from cryostat.encoders.weights import fit_weights, read_weights

STRIDE = 32
"""Stride of the encoder's last stage; the sides of an image are padded to multiples of it."""

DECODER_WIDTHS = (256, 128, 64, 32, 16)
"""Channels of the decoder's blocks; the first three read a skip of the encoder."""

VECTORS, PARTS = 2, 3
"""Outputs of the instance decoder: the vector to the centre (dy, dx); background, inside, border."""

EXAMPLES = "convnextv2_atto, convnextv2_tiny, convnextv2_base, convnextv2_large"


class HoverMaps(NamedTuple):
    """What the network says of every pixel.

    Attributes:
        classes: (N, logits, S, S) class logits.
        vectors: (N, 2, S, S) vector to the centre of the nucleus, px (dy, dx), or None without an instance decoder.
        parts: (N, 3, S, S) logits of background, inside and border, or None without an instance decoder.
    """

    classes: Tensor
    vectors: Tensor | None
    parts: Tensor | None


class HoverNeXt(nn.Module):
    """A ConvNeXt U-Net; with `instances` a second decoder of the same form reads the same encoder pass.

    Images are 0 … 1 without ImageNet normalisation, as published. No weights are ever downloaded.

    Args:
        logits: Number of class outputs.
        backbone: A ConvNeXt or ConvNeXtV2 by timm's name.
        instances: Whether to build the instance decoder. The paper's baseline has none.
        drop: timm's `drop_rate`. timm's ConvNeXts drop nothing but the input of their classifier, which a U-Net does
            not have: the published 0.5 reaches the encoder and has no effect.
        drop_path: Stochastic depth, growing over the encoder's blocks from 0 to this rate.
        weights: State dict of the backbone, with or without its classifier; None starts from random weights.

    Raises:
        SettingError: The backbone is no ConvNeXt of timm, or a number is out of range.
        InputError: The file of weights is missing.
        EncoderError: The weights cannot be read or are not those of the backbone.
    """

    def __init__(
        self,
        logits: int,
        *,
        backbone: str = "convnextv2_tiny",
        instances: bool = False,
        drop: float = 0.5,
        drop_path: float = 0.25,
        weights: Path | None = None,
    ) -> None:
        super().__init__()
        _check_numbers(logits, drop, drop_path)
        self.encoder = _encoder(backbone, drop, drop_path, weights)
        widths = [stage["num_chs"] for stage in self.encoder.feature_info]
        self.class_decoder = _Decoder(widths, logits)
        self.instance_decoder = _Decoder(widths, VECTORS + PARTS) if instances else None

    def forward(self, image: Tensor) -> Tensor:
        """Class logits (N, logits, H, W) of images (N, 3, H, W) in 0 … 1, of any size."""
        stages = self._stages(image)
        return _cut(self.class_decoder(stages), image)

    def forward_all(self, image: Tensor) -> HoverMaps:
        """All maps of images (N, 3, H, W) in 0 … 1, of any size, from one pass of the encoder."""
        stages = self._stages(image)
        classes = _cut(self.class_decoder(stages), image)
        if self.instance_decoder is None:
            return HoverMaps(classes, None, None)
        both = _cut(self.instance_decoder(stages), image)
        return HoverMaps(classes, both[:, :VECTORS], both[:, VECTORS:])

    def _stages(self, image: Tensor) -> list[Tensor]:
        """The padded image and the four maps of the encoder, from fine to coarse."""
        padded = pad_to_stride(image)
        maps: list[Tensor] = self.encoder.forward_intermediates(padded, intermediates_only=True)
        return [padded, *maps]


class _Decoder(nn.Module):
    """Five blocks of nearest enlarging, skip, two 3×3 convolutions with ReLU; then a 1×1 convolution."""

    def __init__(self, widths: list[int], outputs: int) -> None:
        super().__init__()
        # The image itself is no skip, and at stride 2 the encoder has no map: smp knows that as one of no channels.
        self.blocks = UnetDecoder((3, 0, *widths), DECODER_WIDTHS, use_norm=False)
        self.head = SegmentationHead(DECODER_WIDTHS[-1], outputs, kernel_size=1)
        initialize_decoder(self.blocks)
        initialize_head(self.head)

    def forward(self, stages: list[Tensor]) -> Tensor:
        image, *maps = stages
        n, _, height, width = image.shape
        half = maps[0].new_empty((n, 0, height // 2, width // 2))
        outputs: Tensor = self.head(self.blocks([image, half, *maps]))
        return outputs


def pad_to_stride(image: Tensor) -> Tensor:
    """Pad (N, C, H, W) at the bottom and right to multiples of 32: mirrored, or replicated where it is too small."""
    height, width = image.shape[-2:]
    below, right = -height % STRIDE, -width % STRIDE
    if not below and not right:
        return image
    mirrors = below < height and right < width
    return F.pad(image, (0, right, 0, below), mode="reflect" if mirrors else "replicate")


def _cut(maps: Tensor, image: Tensor) -> Tensor:
    return maps[..., : image.shape[-2], : image.shape[-1]]


def _encoder(backbone: str, drop: float, drop_path: float, weights: Path | None) -> Any:
    """The backbone with its weights, pruned of what a U-Net does not read, ready to be trained."""
    if not is_timm_name(backbone) or split_stage(backbone)[1] is not None:
        raise _no_backbone(backbone, "timm has no such model")
    if not isinstance(_skeleton(backbone), ConvNeXt):
        raise _no_backbone(backbone, "it is no ConvNeXt")
    module = build(backbone, {"drop_rate": drop, "drop_path_rate": drop_path}, where=backbone)
    if weights is not None:
        fit_weights(module, read_weights(weights), weights, classifier=module.pretrained_cfg["classifier"])
    module.prune_intermediate_layers([0, 1, 2, 3], prune_norm=True, prune_head=True)
    return module.train().requires_grad_(True)


def _skeleton(backbone: str) -> Any:
    """The model without memory for its weights."""
    try:
        with torch.device("meta"):
            return timm.create_model(backbone, pretrained=False)
    except RuntimeError as error:  # an unknown tag behind a known name
        raise _no_backbone(backbone, str(error).rstrip(".")) from error


def _no_backbone(backbone: str, why: str) -> SettingError:
    return SettingError(
        f"{backbone!r} cannot be the backbone of hovernext: {why}", remedy=f"Choose for example one of: {EXAMPLES}"
    )


def _check_numbers(logits: int, drop: float, drop_path: float) -> None:
    if logits < 1:
        raise SettingError(f"hovernext with {logits} logits", remedy="Ask for one or more")
    for name, rate in (("drop", drop), ("drop_path", drop_path)):
        if not 0 <= rate < 1:
            raise SettingError(f"hovernext's {name} is {rate}", remedy="Give a rate from 0 to less than 1")
