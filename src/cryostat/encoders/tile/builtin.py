"""Encoders written here, without weights of their own."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from cryostat.core.errors import SettingError
from cryostat.encoders.catalogue import Recipe
from cryostat.encoders.loading import RANDOM, Order, seeded
from cryostat.encoders.tile.base import TileEncoder

FACTORIES = (
    "cryostat.encoders.tile.pixels:MeanColours",
    "cryostat.encoders.tile.rcf:RandomConvolutionalFeatures",
    "cryostat.encoders.tile.stain:StainFilters",
)
"""Classes that a card may name: a card never runs anything else."""


def load(recipe: Recipe, order: Order) -> TileEncoder:
    """Build the class that a card's [builtin] names.

    Raises:
        SettingError: Weights or another arithmetic than fp32 are asked for.
    """
    card, settings = recipe.card, recipe.settings
    if order.weights not in (None, RANDOM):
        raise SettingError(f"{card.name} has no weights to load", remedy="Leave out --weights")
    if order.precision not in (None, "fp32"):
        raise SettingError(f"{card.name} computes in fp32 only", remedy="Leave out --precision")
    place = str(settings["factory"])
    if place not in FACTORIES:
        raise SettingError(
            f"there is no factory {place!r} of tile encoders",
            where=card.name,
            remedy=f"Use one of {', '.join(FACTORIES)}; one of your own is a Python file (cryostat encoders template)",
        )
    module, _, factory = place.partition(":")
    build: Callable[..., TileEncoder] = getattr(importlib.import_module(module), factory)
    return build(seeded(card, order.seed), order.seed) if settings.get("seeded") else build(card)
