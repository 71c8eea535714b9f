"""Prov-GigaPath's LongNet slide encoder in plain PyTorch, with the parameter names of the released weights.

Frozen only: activations are updated in place, and long slides pass through it in blocks of tokens.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cryostat.encoders.slide.dilated import BRANCHES, SHORTEST, dilated_attention, segment_lengths
from cryostat.encoders.slide.positions import axis_positions, grid_positions

ROWS = 4096
"""Tokens that pass through the token-wise layers at once; keeps the wide activations of the feed-forward small."""


@dataclass(frozen=True)
class LongNetSettings:
    """What determines the architecture; the defaults are Prov-GigaPath's.

    Attributes:
        width_in: Channels of a tile's features.
        width: Channels of a token.
        depth: Layers.
        heads: Attention heads.
        hidden: Channels of the feed-forward's hidden layer.
        grid: Cells along a side of the grid of positions.
        tile_px: Side of a grid cell in px.
        max_slide_px: Side of the largest slide, from which the segment lengths follow; 250,000 in the published
            fine-tuning on PANDA. The weights fit any, the outputs differ.
        ratios: Dilation ratio of each branch.
    """

    width_in: int = 1536
    width: int = 768
    depth: int = 12
    heads: int = 16
    hidden: int = 3072
    grid: int = 1000
    tile_px: int = 256
    max_slide_px: int = 262_144
    ratios: tuple[int, ...] = (1, 2, 4, 8, 16)

    @property
    def segments(self) -> tuple[int, ...]:
        """Segment length of each branch."""
        return segment_lengths(self.max_slide_px, self.tile_px)

    def fault(self) -> str:
        """What makes this architecture impossible; empty when nothing does."""
        if self.width % 4 or self.width % self.heads:
            return f"width {self.width} is no multiple of 4 and of heads {self.heads}"
        if any(self.heads % ratio for ratio in self.ratios):
            return f"heads {self.heads} is no multiple of every one of the ratios {self.ratios}"
        if len(self.ratios) != BRANCHES:
            return f"needs {BRANCHES} ratios, one a branch, not {len(self.ratios)}"
        if (self.max_slide_px // self.tile_px) ** 2 < SHORTEST:
            return f"max_slide_px {self.max_slide_px} holds fewer than {SHORTEST} tiles of {self.tile_px} px"
        return ""


class DilatedSelfAttention(nn.Module):
    """Self-attention with a norm before the output projection.

    Args:
        settings: The architecture.
    """

    def __init__(self, settings: LongNetSettings) -> None:
        super().__init__()
        width = settings.width
        self.settings = settings
        self.k_proj, self.v_proj, self.q_proj = (nn.Linear(width, width) for _ in range(3))
        self.inner_attn_ln = nn.LayerNorm(width)
        self.out_proj = nn.Linear(width, width)

    def project(self, tokens: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values (n, heads, width / heads) of normalised tokens (n, width)."""
        shape = (len(tokens), self.settings.heads, -1)
        return self.q_proj(tokens).view(shape), self.k_proj(tokens).view(shape), self.v_proj(tokens).view(shape)

    def finish(self, mixed: Tensor) -> Tensor:
        """The output (n, width) of mixed values (n, heads, width / heads)."""
        found: Tensor = self.out_proj(self.inner_attn_ln(mixed.flatten(1)))
        return found


class FeedForward(nn.Module):
    """Two linear layers, exact GELU and a norm between them.

    Args:
        width: Channels in and out.
        hidden: Channels between.
    """

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.ffn_layernorm = nn.LayerNorm(hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Of tokens (n, width)."""
        found: Tensor = self.fc2(self.ffn_layernorm(F.gelu(self.fc1(tokens))))
        return found


class LongNetLayer(nn.Module):
    """One layer: attention, then feed-forward, each after a norm and added to its input.

    Args:
        settings: The architecture.
    """

    def __init__(self, settings: LongNetSettings) -> None:
        super().__init__()
        self.self_attn = DilatedSelfAttention(settings)
        self.self_attn_layer_norm = nn.LayerNorm(settings.width)
        self.ffn = FeedForward(settings.width, settings.hidden)
        self.final_layer_norm = nn.LayerNorm(settings.width)

    def update(self, tokens: Tensor, rows: int) -> None:
        """Pass tokens (L, width) through the layer, in place.

        Args:
            tokens: The sequence.
            rows: Tokens that pass through the token-wise parts at once.
        """
        mixed = self._mix(tokens, rows)
        for block, part in zip(tokens.split(rows), mixed.split(rows), strict=True):
            block += self.self_attn.finish(part)
            block += self.ffn(self.final_layer_norm(block))

    def _mix(self, tokens: Tensor, rows: int) -> Tensor:
        attend = self.self_attn
        parts = [attend.project(self.self_attn_layer_norm(block)) for block in tokens.split(rows)]
        queries, keys, values = (torch.cat(part) for part in zip(*parts, strict=True))
        del parts
        return dilated_attention(queries, keys, values, attend.settings.segments, attend.settings.ratios)


class Projection(nn.Module):
    """The linear embedding of tile features.

    Args:
        width_in: Channels of a tile's features.
        width: Channels of a token.
    """

    def __init__(self, width_in: int, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width_in, width)


class LongNet(nn.Module):
    """The layers and their last norm.

    Args:
        settings: The architecture.
    """

    def __init__(self, settings: LongNetSettings) -> None:
        super().__init__()
        self.layers = nn.ModuleList(LongNetLayer(settings) for _ in range(settings.depth))
        self.layer_norm = nn.LayerNorm(settings.width)


class GigaPathNetwork(nn.Module):
    """The slide encoder: class token, embedded tiles with positions, LongNet, output norm.

    Args:
        settings: The architecture.
        rows: Tokens that pass through token-wise layers at once; does not matter for the result.
    """

    def __init__(self, settings: LongNetSettings, rows: int = ROWS) -> None:
        super().__init__()
        self.settings, self.rows = settings, rows
        self.cls_token = nn.Parameter(torch.zeros(1, 1, settings.width))
        self.patch_embed = Projection(settings.width_in, settings.width)
        self.encoder = LongNet(settings)
        self.norm = nn.LayerNorm(settings.width, eps=1e-6)

    def states(self, tiles: Tensor, cells: Tensor) -> Iterator[Tensor]:
        """The sequence as it enters the first layer, and after every layer.

        Args:
            tiles: (n, width_in) float features, on any device.
            cells: (n, 2) grid cells, x before y.

        Yields:
            (1 + n, width) with the class token first. The same memory every time: read it before going on.
        """
        tokens = self._embed(tiles, cells)
        yield tokens
        for layer in self.encoder.layers:
            part: Any = layer
            part.update(tokens, self.rows)
            yield tokens

    def _embed(self, tiles: Tensor, cells: Tensor) -> Tensor:
        parts = [self.cls_token[0]]
        axis = axis_positions(self.settings.grid, self.settings.width // 2).to(self.cls_token)
        for block, where in zip(tiles.split(self.rows), cells.split(self.rows), strict=True):
            parts.append(self.patch_embed.proj(block.to(axis)) + grid_positions(where.to(axis.device), axis))
        return torch.cat(parts)

    def normed(self, tokens: Tensor) -> Tensor:
        """Tokens (L, width) after the layers' own last norm."""
        return torch.cat([self.encoder.layer_norm(block) for block in tokens.split(self.rows)])


def initialise(network: nn.Module, seed: int) -> None:
    """Initial weights as the original draws them, from the seed alone; global randomness stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for part in network.modules():
            if isinstance(part, nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                nn.init.zeros_(part.bias)
            if isinstance(part, nn.LayerNorm):
                part.reset_parameters()
            if isinstance(part, GigaPathNetwork):
                nn.init.normal_(part.cls_token, std=0.02)
