"""NeuroVFM's vision transformer of volumes, in plain PyTorch.

Tensor names and arithmetic are those of the released weights: 1024 voxels of a token are projected and a fixed
sinusoid of its place is appended (not added), pre-norm blocks, GELU by its tanh approximation, no class token.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from cryostat.core.errors import EncoderError
from cryostat.encoders.volume.tokens import TOKEN

PLACE = 30
"""Channels of a token that tell its place: ten an axis."""


class TokenEmbedding(nn.Module):
    """Voxels of a token, projected, with the sinusoid of its place appended.

    Args:
        width: Channels of the result, of which the last 30 tell the place.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(TOKEN, width - PLACE)

    def forward(self, tokens: Tensor, coords: Tensor) -> Tensor:
        """(N, 1024) voxels and (N, 3) places to (N, width)."""
        return torch.cat([self.proj(tokens).float(), sinusoid(coords)], dim=-1)


def sinusoid(coords: Tensor) -> Tensor:
    """(N, 3) places to (N, 30) float32: for each axis five pairs (sin, cos) of place · 10000^(−k/10), k = 0, 2 … 8."""
    powers = torch.arange(0, 10, 2, dtype=torch.float64, device=coords.device) / 10
    angles = coords[..., None].double() * 10000.0**-powers
    return torch.stack([angles.sin(), angles.cos()], dim=-1).flatten(-3).float()


class Attention(nn.Module):
    """Full attention among the tokens of each series, none between series.

    Args:
        width: Channels of a token.
        heads: Number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, lengths: list[int]) -> Tensor:
        """(N, width) packed tokens of series with these lengths, to the same shape."""
        heads = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(1, 2, 0, 3)
        series = [
            functional.scaled_dot_product_attention(*part.unsqueeze(1)).squeeze(0)
            for part in heads.split(lengths, dim=2)
        ]
        mixed: Tensor = self.proj(torch.cat(series, dim=1).transpose(0, 1).flatten(1))
        return mixed


class Mlp(nn.Module):
    """Two layers with the tanh approximation of GELU between them.

    Args:
        width: Channels of a token.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(N, width) to the same shape."""
        transformed: Tensor = self.fc2(functional.gelu(self.fc1(x), approximate="tanh"))
        return transformed


class Block(nn.Module):
    """A pre-norm block.

    Args:
        width: Channels of a token.
        heads: Number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.mixer = Attention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.mlp = Mlp(width)

    def forward(self, x: Tensor, lengths: list[int]) -> Tensor:
        """(N, width) packed tokens to the same shape, in float32 also under autocast."""
        x = x + self.mixer(self.norm1(x), lengths).float()
        transformed: Tensor = x + self.mlp(self.norm2(x)).float()
        return transformed


class NeuroVfm(nn.Module):
    """NeuroVFM's encoder; the released one has the default sizes and 85,803,234 parameters.

    Args:
        width: Channels of a token.
        depth: Number of blocks.
        heads: Heads of each.
    """

    def __init__(self, width: int = 768, depth: int = 12, heads: int = 12) -> None:
        super().__init__()
        self.width = width
        self.token_embed = TokenEmbedding(width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)

    def forward(self, tokens: Tensor, coords: Tensor, cu_seqlens: Tensor) -> Tensor:
        """Features of the packed tokens of several series.

        Args:
            tokens: (N, 1024) voxels, normalised.
            coords: (N, 3) place of each token in its own series: slice, row, column.
            cu_seqlens: (S + 1,) where each of S series begins, and N at the end.

        Returns:
            (N, width) float32.

        Raises:
            EncoderError: The boundaries do not divide the tokens.
        """
        lengths = [int(n) for n in cu_seqlens.diff()]
        if int(cu_seqlens[0]) != 0 or sum(lengths) != len(tokens) or min(lengths, default=0) < 1:
            raise EncoderError(
                f"the boundaries {cu_seqlens.tolist()} do not divide {len(tokens)} tokens into series",
                remedy="Pass cumulative lengths from 0 to the number of tokens, none of them empty",
            )
        x = self.token_embed(tokens, coords)
        for block in self.blocks:
            x = block(x, lengths)
        features: Tensor = self.norm(x).float()
        return features
