"""Small slide encoders and slides for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from cryostat.encoders.slide.longnet import GigaPathNetwork, LongNetSettings, initialise

SMALL = LongNetSettings(width_in=6, width=64, depth=2, hidden=96, grid=100)

SMALL_CARD = """
[card]
name = "small-slide"
title = "Small"
architecture = "LongNet"
tile_encoder = "stain-filters"
width_in = 6
width_out = 64
mpp = 0.5
tile_px = 256
{extra}
[longnet]
width_in = 6
width = 64
depth = 2
hidden = 96
grid = 100
{settings}
"""


def small_card(folder: Path, extra: str = "", settings: str = "") -> str:
    """Path of a card file of `SMALL`."""
    path = folder / "small.toml"
    path.write_text(SMALL_CARD.format(extra=extra, settings=settings))
    return str(path)


def small_network(settings: LongNetSettings = SMALL, rows: int = 4096) -> GigaPathNetwork:
    """A network with random weights, norms and biases too."""
    network = GigaPathNetwork(settings, rows).eval().requires_grad_(False)
    initialise(network, 0)
    draw = torch.Generator().manual_seed(1)
    for parameter in network.parameters():
        parameter += 0.1 * torch.randn(parameter.shape, generator=draw)
    return network


def small_slide(tiles: int, channels: int = 6, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Features (n, channels) and corners (n, 2) of a square piece of tissue, row by row."""
    draw = np.random.default_rng(seed)
    side = int(np.ceil(np.sqrt(tiles)))
    rows, columns = np.divmod(np.arange(tiles), side)
    corners = np.stack([columns, rows], 1) * 256.0 + 1024
    return draw.standard_normal((tiles, channels), dtype=np.float32), corners
