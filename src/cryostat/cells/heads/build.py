"""Heads from their names: every dense head takes (N, C, h, w) maps and the normalised image, and gives pixel logits."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from cryostat.cells.heads.dpt import DPT
from cryostat.cells.heads.linear import LinearHead
from cryostat.cells.heads.settings import HoverNeXtSettings
from cryostat.cells.heads.unetr import UNetR
from cryostat.core.errors import MissingExtraError

_BUILD: Mapping[str, Callable[[int, int, Any], nn.Module]] = {
    "linear": lambda width, logits, settings: LinearHead(width, logits),
    "unetr": lambda width, logits, settings: UNetR(width, logits),
    "dpt": lambda width, logits, settings: DPT(width, logits),
    "dpt-lean": lambda width, logits, settings: DPT(width, logits, settings.features),
    "hovernext": lambda width, logits, settings: _hovernext(logits, settings),
}


def build_head(name: str, width: int, logits: int, settings: Any) -> nn.Module:
    """A dense head on an encoder.

    Args:
        name: Of the head.
        width: Channels of a token.
        logits: Number of outputs.
        settings: Of the head.
    """
    return _BUILD[name](width, logits, settings)


def _hovernext(logits: int, settings: HoverNeXtSettings) -> nn.Module:
    if importlib.util.find_spec("segmentation_models_pytorch") is None:
        raise MissingExtraError("segmentation-models-pytorch", extra="training", purpose="The hovernext baseline")
    from cryostat.cells.hovernext.head import HoverHead
    from cryostat.cells.hovernext.model import HoverNeXt

    network = HoverNeXt(
        logits,
        backbone=settings.backbone,
        instances=settings.instances,
        drop_path=settings.drop_path,
        weights=Path(settings.weights) if settings.weights else None,
    )
    return HoverHead(network)
