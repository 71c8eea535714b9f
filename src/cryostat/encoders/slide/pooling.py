"""Slide encoders without attention and without weights: what every other has to beat."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from cryostat.core.errors import SettingError
from cryostat.core.identity import code_version
from cryostat.encoders.slide.base import SlideEncoder, require_order
from cryostat.encoders.slide.card import SlideCard
from cryostat.encoders.slide.coordinates import TileCoordinates

ROWS = 8192
"""Tiles converted to float64 at once."""

STEPS = 200
"""Most Weiszfeld iterations."""

CONVERGED = 1e-7
"""Length of an iteration's step, as a share of the tiles' mean distance, at which they end."""


def mean(tiles: Tensor) -> Tensor:
    """(C,) float64 average of (n, C)."""
    total = torch.zeros(tiles.shape[1], dtype=torch.float64, device=tiles.device)
    for block in tiles.split(ROWS):
        total += block.double().sum(0)
    return total / len(tiles)


def largest(tiles: Tensor) -> Tensor:
    """(C,) largest value of each channel."""
    return tiles.amax(0)


def mean_and_spread(tiles: Tensor) -> Tensor:
    """(2C,) float64: averages, then standard deviations of the population."""
    centre = mean(tiles)
    total = torch.zeros_like(centre)
    for block in tiles.split(ROWS):
        total += (block.double() - centre).square().sum(0)
    return torch.cat([centre, (total / len(tiles)).sqrt()])


def geometric_median(tiles: Tensor) -> Tensor:
    """(C,) float64 point of least summed distance to the tiles, by Weiszfeld's iterations from their mean.

    Where it falls on a tile, Vardi and Zhang's rule moves on or stays. Where it is not unique (two tiles), it is the
    one nearest to the mean.
    """
    point = mean(tiles)
    for _ in range(STEPS):
        found, scale = _weiszfeld(tiles, point)
        step = (found - point).norm()
        point = found
        if step <= CONVERGED * scale:
            break
    return point


def _weiszfeld(tiles: Tensor, point: Tensor) -> tuple[Tensor, Tensor]:
    pull, weighted = torch.zeros_like(point), torch.zeros_like(point)
    weights, length, here = (torch.zeros((), dtype=point.dtype, device=point.device) for _ in range(3))
    for block in tiles.split(ROWS):
        away = block.double() - point
        distance = away.norm(dim=1)
        inverse = torch.where(distance > 0, 1 / distance, 0)
        pull += (away * inverse[:, None]).sum(0)
        weighted += (block.double() * inverse[:, None]).sum(0)
        weights += inverse.sum()
        length += distance.sum()
        here += (distance == 0).sum()
    scale, strength = length / len(tiles), pull.norm()
    if weights == 0 or strength <= here:
        return point, scale
    stay = here / strength
    return (1 - stay) * weighted / weights + stay * point, scale


RULES: Mapping[str, Callable[[Tensor], Tensor]] = MappingProxyType(
    {"mean": mean, "max": largest, "mean-std": mean_and_spread, "geometric-median": geometric_median}
)
"""Name of a rule to its function from (n, C) to a vector."""


class PoolingEncoder(SlideEncoder):
    """A rule of pooling as a slide encoder.

    Args:
        card: Its facts.
        rule: One of `RULES`.
        order: One of `ORDERS`; decides no more than the last bits.

    Raises:
        SettingError: A setting is unknown.
    """

    layer = "pooled"

    def __init__(self, card: SlideCard, rule: str, order: str = "row-major") -> None:
        if rule not in RULES:
            raise SettingError(f"there is no pooling {rule!r}", where=card.name, remedy=f"Choose from {list(RULES)}")
        self.card, self.rule, self.order = card, rule, require_order(order)
        self.module = nn.Module()

    def identity(self) -> Mapping[str, Any]:
        """Name, rule, order and code version."""
        return {
            "encoder": self.card.name,
            "rule": self.rule,
            "order": self.order,
            "code": code_version(sys.modules[__name__]),
        }

    def _embed(self, tiles: Tensor, where: TileCoordinates | None) -> dict[str, Tensor]:
        return {self.layer: RULES[self.rule](tiles.to(self.device))}
