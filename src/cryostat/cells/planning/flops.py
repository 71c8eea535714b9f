"""Operations of one tile through encoders and heads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from cryostat.cells.heads import HeadCard
from cryostat.cells.heads.build import build_head
from cryostat.cells.heads.settings import HoverNeXtSettings
from cryostat.cells.training.tiles.models import tokens_gathered
from cryostat.encoders.card import EncoderCard

TRAINING = 3
"""Forward passes that a step with all its gradients costs: one forward, two backward."""

TUNING = 2
"""The same where most weights get no gradient (LoRA)."""


def counted(call: Callable[[], object]) -> int:
    """Floating-point operations (a multiplication and an addition are two) of a call, as torch counts them."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        call()
    return int(counter.get_total_flops())


def transformer_flops(card: EncoderCard, side: int) -> int:
    """Operations of one tile through a transformer: 2 × parameters × tokens, attention itself left out.

    Args:
        card: Of the encoder.
        side: Of the tile, px.
    """
    return 2 * (card.parameters or 0) * (card.tokens_across(side) ** 2 + card.prefix_tokens)


@cache
def timm_flops(model: str, side: int) -> int:
    """Operations of one tile through a timm model, counted on its skeleton.

    Args:
        model: timm's name, with or without a `+stageK`, which is passed over.
        side: Of the tile, px.
    """
    from cryostat.encoders.tile.timm_models import build

    with torch.device("meta"):
        module = build(model, {}, where=model)
        return counted(lambda: module(torch.zeros(1, 3, side, side)))


def head_flops(head: HeadCard, settings: Any, *, width: int, grid: int, side: int, logits: int) -> int:
    """Operations of one tile through a head.

    Args:
        head: Its card.
        settings: As `head_settings` makes them.
        width: Channels of a token.
        grid: Tokens along a side.
        side: Of the tile, px.
        logits: Number of outputs.

    Raises:
        ModuleNotFoundError: The head is built from an optional package that is not installed.
    """
    if head.reads == "final":
        return linear_flops(width * (2 if getattr(settings, "ring_um", 0) else 1), logits) * grid**2
    bare = replace(settings, weights="") if isinstance(settings, HoverNeXtSettings) else settings
    gathered = tokens_gathered(side / grid, side) if head.reads == "blocks" else 1
    return _built_flops(head.name, bare, width * gathered**2, grid // gathered, side, logits)


def linear_flops(width: int, logits: int) -> int:
    """Operations of one vector through a linear layer."""
    return 2 * width * logits


@cache
def _built_flops(head: str, settings: Any, width: int, grid: int, side: int, logits: int) -> int:
    with torch.device("meta"):
        module = build_head(head, width, logits, settings).eval()
        maps, image = [torch.zeros(1, width, grid, grid)] * 4, torch.zeros(1, 3, side, side)
        return counted(lambda: module(maps, image))
