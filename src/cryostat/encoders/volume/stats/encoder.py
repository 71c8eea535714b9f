"""`volume-stats`: named statistics of brain and tumour as an encoder without weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cryostat.core.errors import EncoderError, SettingError
from cryostat.core.identity import code_version
from cryostat.encoders.volume import foreground, geometry
from cryostat.encoders.volume.base import VolumeEmbedding, VolumeEncoder
from cryostat.encoders.volume.card import VolumeCard, VolumeRecipe
from cryostat.encoders.volume.order import VolumeOrder
from cryostat.encoders.volume.pooling import check_pooling
from cryostat.encoders.volume.stats import intensity, regions, shape, texture
from cryostat.encoders.volume.volume import Volume


class VolumeStatistics(VolumeEncoder):
    """Intensity, shape and texture of brain and tumour, the mean over a patient's series.

    Args:
        card: Its facts.

    Raises:
        EncoderError: The card states another width.
    """

    def __init__(self, card: VolumeCard) -> None:
        if card.width != len(regions.FEATURES):
            raise EncoderError(
                f"the card of {card.name} says width = {card.width}, there are {len(regions.FEATURES)} features",
                remedy="Correct the card",
            )
        self.card = card

    def identity(self) -> Mapping[str, Any]:
        """Name, features and code version: there are no weights."""
        code = code_version(foreground, geometry, intensity, shape, texture, regions, VolumeStatistics, VolumeEncoder)
        return {"encoder": self.card.name, "pooling": "series-mean", "code": code, "precision": "fp64"}

    def weights_hash(self) -> str:
        """Empty: there are no tensors."""
        return ""

    def _embed(self, series: Sequence[Volume]) -> VolumeEmbedding:
        found = [regions.describe(volume) for volume in series]
        each = np.stack([numbers for numbers, _ in found])
        return VolumeEmbedding(
            vector=each.mean(axis=0).astype(np.float32),
            per_series=each.astype(np.float32),
            series=tuple(volume.name for volume in series),
            features=regions.FEATURES,
            facts=tuple(
                {"series": volume.name, "shape": volume.data.shape, "background": rule, "notes": volume.notes}
                for volume, (_, rule) in zip(series, found, strict=True)
            ),
        )


def build(recipe: VolumeRecipe, order: VolumeOrder) -> VolumeStatistics:
    """The encoder of a recipe.

    Raises:
        SettingError: Something was asked for that statistics do not have.
    """
    name = recipe.card.name
    if order.weights not in (None, "random"):
        raise SettingError(f"{name} has no weights to load", remedy="Leave out --weights")
    if order.precision != "fp32":
        raise SettingError(f"{name} computes in full precision only", remedy="Leave out --precision")
    if (order.mode, order.keep) != (VolumeOrder.mode, VolumeOrder.keep):
        raise SettingError(f"{name} makes no tokens", remedy="Leave out mode and keep")
    check_pooling(order.pooling, ("series-mean",))
    return VolumeStatistics(recipe.card)
