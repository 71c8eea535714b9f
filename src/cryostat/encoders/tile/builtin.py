"""Encoders written here, without weights of their own."""

from __future__ import annotations

import importlib
from collections.abc import Callable

from cryostat.core.errors import SettingError
from cryostat.encoders.catalogue import Recipe
from cryostat.encoders.loading import RANDOM, Order, seeded
from cryostat.encoders.tile.base import TileEncoder


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
    module, _, factory = str(settings["factory"]).partition(":")
    build: Callable[..., TileEncoder] = getattr(importlib.import_module(module), factory)
    return build(seeded(card, order.seed), order.seed) if settings.get("seeded") else build(card)
