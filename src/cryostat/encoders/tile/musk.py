"""MUSK's vision branch: a BEiT-3 ViT-L/16 with sub-layer norms, written from its published description.

The published checkpoint holds two experts in every layer, A for image tokens and B for text tokens. Only A is built
here; what is passed over is stated in `TEXT`, and everything else must fit.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from timm.layers import resample_abs_pos_embed
from torch import Tensor, nn
from torch.nn import functional as F

from cryostat.core.errors import SettingError
from cryostat.core.identity import code_version
from cryostat.encoders.card import EncoderCard
from cryostat.encoders.catalogue import Recipe
from cryostat.encoders.loading import Order, fitted
from cryostat.encoders.tile.base import TileEncoder
from cryostat.encoders.tile.branches import Branch
from cryostat.encoders.weights import weights_sha256

HEAD_WIDTH = 64
"""Channels of an attention head: 16 heads at a width of 1024."""

MLP_RATIO = 4
EPS = 1e-5
"""Of all norms: the default of torchscale's configuration, which MUSK leaves as it is."""

SKIPPED_ROWS = 2
"""First rows of the published table of positions, never read: it counts from 2, as Fairseq does."""

SCALES = {"1": 1, "1+2": 2}
"""Values of `scales` in a card's [musk], and the finest enlargement that each sees."""

TEXT = re.compile(
    r"\.B\.|^beit3\.text_embed\.|^(language_head|vision_head)\.|^logit_scale$|^beit3\.vision_embed\.mask_token$"
)
"""Tensors that are passed over: experts B, the text embedding, both projection heads, temperature, the mask token."""

STATED = "*.B.*, beit3.text_embed.*, language_head.*, vision_head.*, logit_scale, beit3.vision_embed.mask_token"

NAMES = (
    (re.compile(r"^beit3\.vision_embed\.proj\.(weight|bias)$"), r"patch_embed.\1"),
    (re.compile(r"^beit3\.vision_embed\.cls_token$"), "cls_token"),
    (re.compile(r"^beit3\.encoder\.embed_positions\.A\.weight$"), "pos_embed"),
    (re.compile(r"^beit3\.encoder\.layer_norm\.A\.(weight|bias)$"), r"norm.\1"),
    (re.compile(r"^beit3\.encoder\.(layers\.\d+)\.self_attn\.(\w+)\.A\.(weight|bias)$"), r"\1.attn.\2.\3"),
    (re.compile(r"^beit3\.encoder\.(layers\.\d+)\.ffn\.A\.(\w+)\.(weight|bias)$"), r"\1.ffn.\2.\3"),
    (re.compile(r"^beit3\.encoder\.(layers\.\d+)\.(\w+_layer_norm)\.A\.(weight|bias)$"), r"\1.\2.\3"),
)
"""Published name to the name here; the first that matches."""


class Attention(nn.Module):
    """Multi-head self-attention whose output is normed before it is projected.

    Args:
        width: Channels of a token, a multiple of `HEAD_WIDTH`, or less for a single head.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // HEAD_WIDTH)
        self.q_proj, self.k_proj, self.v_proj, self.out_proj = (nn.Linear(width, width) for _ in range(4))
        self.inner_attn_ln = nn.LayerNorm(width, eps=EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, C) to (N, L, C)."""
        query, key, value = (self._split(proj(tokens)) for proj in (self.q_proj, self.k_proj, self.v_proj))
        mixed = F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2)
        out: Tensor = self.out_proj(self.inner_attn_ln(mixed))
        return out

    def _split(self, tokens: Tensor) -> Tensor:
        heads: Tensor = tokens.unflatten(-1, (self.heads, -1)).transpose(1, 2)
        return heads


class FeedForward(nn.Module):
    """Two linear layers with an exact GELU, normed before the second.

    Args:
        width: Channels of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(width, MLP_RATIO * width), nn.Linear(MLP_RATIO * width, width)
        self.ffn_layernorm = nn.LayerNorm(MLP_RATIO * width, eps=EPS)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, C) to (N, L, C)."""
        out: Tensor = self.fc2(self.ffn_layernorm(F.gelu(self.fc1(tokens).float())))
        return out


class Layer(nn.Module):
    """A pre-norm transformer layer.

    Args:
        width: Channels of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.self_attn_layer_norm = nn.LayerNorm(width, eps=EPS)
        self.attn = Attention(width)
        self.final_layer_norm = nn.LayerNorm(width, eps=EPS)
        self.ffn = FeedForward(width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(N, L, C) to (N, L, C)."""
        tokens = tokens + self.attn(self.self_attn_layer_norm(tokens))
        out: Tensor = tokens + self.ffn(self.final_layer_norm(tokens))
        return out


class MuskVision(nn.Module):
    """The vision branch.

    Args:
        side: Of the image it takes, px.
        patch: Side of a token, px.
        width: Channels of a token.
        depth: Layers.
    """

    def __init__(self, side: int, patch: int, width: int, depth: int) -> None:
        super().__init__()
        self.side, self.grid = side, side // patch
        self.patch_embed = nn.Conv2d(3, width, patch, stride=patch)
        self.cls_token = nn.Parameter(torch.empty(1, 1, width).normal_(std=0.02))
        self.pos_embed = nn.Parameter(torch.empty(1, 1 + self.grid**2, width).normal_(std=0.02))
        self.layers = nn.ModuleList(Layer(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=EPS)

    def forward(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        """Maps (N, grid, grid, C) of images (N, 3, side, side): `block-K` as it leaves layer K, `final` normed."""
        patches = self.patch_embed(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], 1) + self.pos_embed
        maps = {}
        for number, layer in enumerate(self.layers, 1):
            tokens = layer(tokens)
            if (name := f"block-{number}") in layers:
                maps[name] = self._map(tokens)
        return maps | {"final": self._map(self.norm(tokens))} if "final" in layers else maps

    def _map(self, tokens: Tensor) -> Tensor:
        patches: Tensor = tokens[:, 1:].unflatten(1, (self.grid, self.grid))
        return patches


class MuskEncoder(TileEncoder):
    """MUSK as an encoder of tiles.

    Args:
        card: Its facts.
        module: The vision branch, frozen.
        scales: One of `SCALES`. `1+2`: the mean with the map of the image at twice the size, encoded in quarters.
        precision: Arithmetic.
    """

    def __init__(self, card: EncoderCard, module: nn.Module, *, scales: str, precision: str) -> None:
        self.card, self.module, self.precision = card, module, precision
        self._scales = scales
        self._weights = weights_sha256(module)

    def identity(self) -> Mapping[str, Any]:
        """Name, hash of the weights, enlargement, scales, normalisation, code version and precision."""
        return {
            "encoder": self.card.name,
            "weights": self._weights,
            "enlarged_to": self.card.enlarged_to,
            "scales": self._scales,
            "mean": self.card.mean,
            "std": self.card.std,
            "code": code_version(sys.modules[__name__], TileEncoder),
            "precision": self.precision,
        }

    def _maps(self, images: Tensor, layers: Sequence[str]) -> dict[str, Tensor]:
        side = self.card.enlarged_to or self.card.input_size
        maps: dict[str, Tensor] = self.module(enlarged(images, side), layers)
        if SCALES[self._scales] == 1:
            return maps
        finer = self.module(quarters(F.interpolate(enlarged(images, side), scale_factor=2.0, mode="bicubic")), layers)
        return {layer: (tokens + rejoined(finer[layer])) / 2 for layer, tokens in maps.items()}


def enlarged(images: Tensor, side: int) -> Tensor:
    """(N, 3, S, S) at another side, bicubic and antialiased as torchvision resizes tensors; unchanged where it fits."""
    if images.shape[-1] == side:
        return images
    return F.interpolate(images, size=(side, side), mode="bicubic", antialias=True)


def quarters(images: Tensor) -> Tensor:
    """(N, C, 2S, 2S) to (4N, C, S, S): all upper left quarters, upper right, lower left, lower right."""
    return torch.cat([half for rows in images.chunk(2, 2) for half in rows.chunk(2, 3)])


def rejoined(maps: Tensor) -> Tensor:
    """Maps (4N, g, g, C) of `quarters` to (N, g, g, C): joined in their places, then every 2 × 2 tokens averaged."""
    upper_left, upper_right, lower_left, lower_right = maps.chunk(4)
    upper, lower = torch.cat([upper_left, upper_right], 2), torch.cat([lower_left, lower_right], 2)
    whole = torch.cat([upper, lower], 1).permute(0, 3, 1, 2)
    return F.avg_pool2d(whole, 2).permute(0, 2, 3, 1)


def build(card: EncoderCard) -> MuskVision:
    """The vision branch that a card describes, untrained."""
    return MuskVision(card.enlarged_to or card.input_size, card.patch_size, card.width, card.depth)


def load(recipe: Recipe, order: Order) -> MuskEncoder:
    """MUSK as a card's [musk] describes it, with the weights that are asked for.

    Raises:
        EncoderError: Its weights are missing, damaged or do not fit.
        SettingError: `scales` is not one of `SCALES`.
    """
    scales = str(recipe.settings["scales"])
    if scales not in SCALES:
        raise SettingError(
            f"{recipe.card.name} cannot see the scales {scales!r}", remedy=f"Choose one of: {', '.join(SCALES)}"
        )
    branch = published(recipe.card)
    module, card = fitted(recipe, order, lambda: build(recipe.card), translate=branch)
    return MuskEncoder(branch.noted(card), module, scales=scales, precision=order.precision or recipe.card.precision)


def published(card: EncoderCard) -> Branch:
    """From the names of the published checkpoint to those of `MuskVision`."""
    grid = (card.enlarged_to or card.input_size) // card.patch_size
    return Branch(_renamed, lambda name: TEXT.search(name) is not None, STATED, lambda found: _place(found, grid))


def _renamed(name: str) -> str:
    return next((pattern.sub(here, name) for pattern, here in NAMES if pattern.match(name)), name)


def _place(tensors: dict[str, Tensor], grid: int) -> list[str]:
    """Bring the table of positions to this grid, bicubic as the published loader does; tells when it was another."""
    table = tensors.get("pos_embed")
    if table is None or table.ndim != 2:
        return []
    positions = table[SKIPPED_ROWS:].unsqueeze(0)
    side = round(max(positions.shape[1] - 1, 0) ** 0.5)
    if side < 1 or side**2 + 1 != positions.shape[1]:
        return []
    tensors["pos_embed"] = resample_abs_pos_embed(positions, [grid, grid], [side, side], antialias=False)
    return [] if side == grid else [f"Its positions were resampled from {side}×{side} to {grid}×{grid} (bicubic)."]
