"""CONCH and CONCH v1.5 (the tile encoder of TITAN): their image trunks, timm vision transformers within a wrapper.

Of the wrapper only the trunk is read: its pooling heads and its text branch have no dense map. What is passed over is
stated in the card (`ignored`), and everything else must fit.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import torch
from timm.layers import resample_abs_pos_embed
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from cryostat.core.errors import EncoderError, SettingError
from cryostat.core.identity import code_version
from cryostat.encoders.catalogue import Recipe
from cryostat.encoders.loading import Order, fitted
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.branches import Branch
from cryostat.encoders.tile.timm_models import TimmEncoder

OFFSET = 0.1
"""Added to the number of tokens a side before positions are enlarged, in DINO's code and all that descend from it."""


class _FitsAsDino:
    """Mixed into timm's vision transformer: fits positions to the image as DINO does, bicubic with an offset of 0.1."""

    cls_token: Tensor
    pos_embed: Tensor
    pos_drop: nn.Module

    def _pos_embed(self, x: Tensor) -> Tensor:
        tokens = torch.cat([self.cls_token.expand(len(x), -1, -1), x.flatten(1, 2)], 1)
        placed: Tensor = self.pos_drop(tokens + dino_positions(self.pos_embed, x.shape[1]))
        return placed


DinoPositions = type("DinoPositions", (_FitsAsDino, VisionTransformer), {})
"""timm's vision transformer with DINO's way of fitting positions."""

TRUNKS: Mapping[str, Any] = {"timm": VisionTransformer, "dino": DinoPositions}
"""Values of `positions` in a card's [conch], and the transformer that fits positions to the image so."""


def dino_positions(table: Tensor, grid: int) -> Tensor:
    """(1, 1 + g², C) positions, class token first, to (1, 1 + grid², C); untouched where the grid is the same."""
    side = round((table.shape[1] - 1) ** 0.5)
    if side == grid:
        return table
    scale = (grid + OFFSET) / side
    patches = table[:, 1:].float().unflatten(1, (side, side)).permute(0, 3, 1, 2)
    placed = F.interpolate(patches, scale_factor=(scale, scale), mode="bicubic").permute(0, 2, 3, 1).flatten(1, 2)
    return torch.cat([table[:, :1], placed.to(table.dtype)], 1)


class ConchEncoder(TimmEncoder):
    """A trunk of the CONCH family as an encoder."""

    def identity(self) -> Mapping[str, Any]:
        """As of any timm model, with the code version of this module."""
        return {**super().identity(), "code": code_version(sys.modules[__name__], TimmEncoder, TileEncoder)}


def build(settings: Mapping[str, Any], *, where: str) -> nn.Module:
    """The trunk that a card's [conch] describes, untrained.

    Args:
        settings: `positions` (one of `TRUNKS`) and `args` of timm's `VisionTransformer`.
        where: Name of the card, for messages.

    Raises:
        SettingError: `positions` is unknown.
        EncoderError: timm cannot build it so.
    """
    kind = settings.get("positions", "timm")
    if kind not in TRUNKS:
        raise SettingError(
            f"there are no positions {kind!r}", where=where, remedy=f"Choose one of: {', '.join(TRUNKS)}"
        )
    try:
        trunk: nn.Module = TRUNKS[kind](num_classes=0, dynamic_img_size=True, **settings.get("args", {}))
    except (TypeError, ValueError, AssertionError) as error:
        raise EncoderError(
            f"timm cannot build the trunk ({error})", where=where, remedy="Compare [conch.args] with a card of ours"
        ) from error
    return trunk


def load(recipe: Recipe, order: Order) -> ConchEncoder:
    """The trunk that a card's [conch] describes, with the weights that are asked for.

    Raises:
        EncoderError: timm cannot build it so, the card does not describe it, or its weights are missing or do not fit.
        SettingError: `positions` is unknown.
    """
    settings = recipe.settings
    branch = published(settings)
    module, card = fitted(recipe, order, lambda: build(settings, where=recipe.card.name), translate=branch)
    arguments = {"positions": settings.get("positions", "timm"), **settings.get("args", {})}
    precision = order.precision or recipe.card.precision
    return ConchEncoder(branch.noted(card), module, model="VisionTransformer", arguments=arguments, precision=precision)


def published(settings: Mapping[str, Any]) -> Branch:
    """From the names of the published checkpoint to those of the trunk.

    Args:
        settings: `trunk`, the prefix of its tensors; `ignored`, prefixes of what is passed over; `args`.
    """
    trunk, ignored = str(settings["trunk"]), tuple(map(str, settings.get("ignored", ())))
    arguments = settings.get("args", {})
    grid = int(arguments.get("img_size", 224)) // int(arguments.get("patch_size", 16))
    return Branch(
        lambda name: name.removeprefix(trunk),
        lambda name: name.startswith(ignored),
        ", ".join(f"{prefix}*" for prefix in ignored),
        lambda tensors: _place(tensors, grid),
    )


def _place(tensors: dict[str, Tensor], grid: int) -> list[str]:
    """Bring a table of positions made for another size to this grid, bilinear as the published loaders do."""
    table = tensors.get("pos_embed")
    side = round(max(table.shape[1] - 1, 0) ** 0.5) if table is not None and table.ndim == 3 else 0
    if table is None or side in (0, grid) or side**2 + 1 != table.shape[1]:
        return []
    tensors["pos_embed"] = resample_abs_pos_embed(
        table, [grid, grid], [side, side], interpolation="bilinear", antialias=False
    )
    return [f"Its positions were resampled from {side}×{side} to {grid}×{grid} (bilinear)."]
